"""The judging alone, without a web server and without JSON: parsed call in, findings out."""

from datetime import UTC, date, datetime
from pathlib import Path

from bench.bodies import PUBLIC_URL
from cds_service.app import build_service
from cds_service.policy.determination import Determination, determine
from cds_service.settings import read_settings
from fhir_mappings.chart import chart_of, complete_record, open_record
from fhir_mappings.needs import facts_for, needs_of
from fhir_mappings.order import read_order
from hooks.call import Call
from hooks.orders import asked_of
from hooks.service import Moment, Service


def service_in(folder: Path) -> Service:
    """The service's own parts, in this process."""
    return build_service(read_settings({}, public_url=PUBLIC_URL, auth="off", data_dir=folder))


def today() -> date:
    """The evaluation day."""
    return datetime.now(UTC).date()


def judge(call: Call, service: Service, day: date) -> Determination:
    """What hooks.answer does for the call's first order, between parsing and writing the cards."""
    drafts = call.subjects.answered
    order = drafts[0].resource
    asked = asked_of(call, drafts, Moment(day, 0.0))
    sent = open_record(asked)
    products = read_order(order, sent.record, service.vocabulary.codes).products
    policies = service.library.governing(products, day)
    needs = needs_of(policies, asked)
    complete_record(sent, needs, asked, service.vocabulary)
    chart = chart_of(sent.record, order, needs, asked, service.vocabulary, day)
    return determine(policies[0], facts_for(policies[0], chart, service.vocabulary.labs))
