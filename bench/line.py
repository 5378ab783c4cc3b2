"""The judging alone, without a web server and without JSON: parsed call in, findings out."""

from datetime import UTC, date, datetime
from pathlib import Path

from bench.bodies import PUBLIC_URL
from cds_service.app import build_service
from cds_service.policy.determination import Determination, determine
from cds_service.settings import read_settings
from fhir_mappings.chart import Asked, chart_of, complete_record, open_record
from fhir_mappings.needs import facts_for, needs_of
from fhir_mappings.order import read_order
from hooks.answer import Service
from hooks.call import Call


def service_in(folder: Path) -> Service:
    """The service's own parts, in this process."""
    return build_service(read_settings({}, public_url=PUBLIC_URL, auth="off", data_dir=folder))


def today() -> date:
    """The evaluation day."""
    return datetime.now(UTC).date()


def judge(call: Call, service: Service, day: date) -> Determination:
    """What hooks.answer does for the call's first order, between parsing and writing the cards."""
    order = call.drafts[0].resource
    asked = Asked(
        patient_id=call.patient_id,
        orders=(order,),
        day=day,
        drafts=tuple(draft.resource for draft in call.drafts),
        prefetch=call.prefetch,
        user=call.user,
    )
    sent = open_record(asked)
    products = read_order(order, sent.record, service.vocabulary.codes).products
    policies = service.library.governing(products, day)
    needs = needs_of(policies, asked)
    complete_record(sent, needs, asked, service.vocabulary)
    chart = chart_of(sent.record, order, needs, asked, service.vocabulary, day)
    return determine(policies[0], facts_for(policies[0], chart, service.vocabulary.labs))
