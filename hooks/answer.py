"""THE LINE: a call in, an answer out.

for each order that the call asks about
    policy   in_force(what is ordered, day)
    chart    what was sent, and what could be read of the rest     the only reading
    said     determine(policy, facts)                              pure
    kept     in the book, before anything is promised
    cards and coverage-information
"""

from collections.abc import Mapping
from datetime import date
from itertools import chain
from typing import Any

from msgspec import Struct

from cds_service.policy.determination import Determination
from fhir_mappings.asked import Needs
from fhir_mappings.chart import chart_of, complete_record, open_record, outline_of
from fhir_mappings.fhir_dates import parse_date
from fhir_mappings.needs import needs_of
from fhir_mappings.questionnaire_response import SOURCE as ANSWERS
from fhir_mappings.reads import test_source
from fhir_mappings.record import Record
from fhir_mappings.servers import Server
from hooks.book import Receipt
from hooks.call import Call
from hooks.cards import unread_order_card
from hooks.coverage_information import Dialect
from hooks.coverages import standing
from hooks.hook import Hook
from hooks.metric import counts_of, metric_of
from hooks.one_order import Asking, Judged, Written, entry_of, judge, written
from hooks.options import choices
from hooks.orders import asked_of, orders_of, products_of
from hooks.service import Caller, Moment, Service


class Answered(Struct, frozen=True):
    """The response, and what there is to count of it."""

    response: dict[str, Any]
    said: tuple[Determination, ...] = ()
    unrecorded: int = 0
    metric: dict[str, Any] = {}  # see hooks/metric.py


def answer(call: Call, hook: Hook, service: Service, caller: Caller, moment: Moment) -> dict[str, Any]:
    """The CDS Hooks response. Raises Refusal."""
    return answered(call, hook, service, caller, moment).response


def answered(call: Call, hook: Hook, service: Service, caller: Caller, moment: Moment) -> Answered:
    """The CDS Hooks response with what was judged. Raises Refusal."""
    server = caller.server_for(call.fhir_server, call.token) if call.fhir_server else None
    with service.turn(server, moment.deadline):
        return _answered(call, hook, service, caller, server, moment)


def _answered(
    call: Call, hook: Hook, service: Service, caller: Caller, server: Server | None, moment: Moment
) -> Answered:
    dialect: Dialect = "2.2" if call.requested_version else caller.dialect or service.default_dialect
    orders, unread = orders_of(call, service, server, moment)
    if not orders and not unread:
        return Answered({"cards": [], "systemActions": []})
    asked = asked_of(call, orders, moment)
    sent = open_record(asked, server)
    products = [products_of(order.resource, sent.record, service) for order in orders]
    days = [day_of(order.resource, moment.today) for order in orders]
    governing = [service.library.governing(known, day) for known, day in zip(products, days, strict=True)]
    needs = needs_of(dict.fromkeys(chain(*governing)), asked)
    if server is not None and needs.questionnaires:
        add_kept_forms(sent.record, service, server, call.patient_id, needs, moment)
    counts = counts_of(sent.record)
    complete_record(sent, needs, asked, service.vocabulary, service.reader, server, moment.deadline)
    home = server.base if server is not None else f"{caller.name} {call.fhir_server}".strip()
    asking = Asking(call, hook, caller, service, dialect, choices(call.configuration), moment.today, home)
    judged = []
    for order, known, day in zip(orders, products, days, strict=True):
        if known:
            chart = chart_of(sent.record, order.resource, needs, asked, service.vocabulary, day)
        else:
            chart = outline_of(sent.record, order.resource, asked, service.vocabulary, day)
        covered = standing(order, chart, dialect, service.plans, day, moment.deadline)
        judged.append(judge(asking, order, chart, covered))
    receipts = _kept(asking, judged, moment)
    answers = [written(asking, one, receipt) for one, receipt in zip(judged, receipts, strict=True)]
    answers += [Written([("guideline", unread_order_card(name, service.label, dialect))]) for name in unread]
    lost = sum(1 for receipt in receipts if receipt is not None and not receipt.recorded)
    said = tuple(one.said for one in judged if one.said is not None)
    response = _response(asking, answers)
    return Answered(response, said, lost, metric_of(call, sent.record, counts, orders, answers, response))


def add_kept_forms(
    record: Record, service: Service, server: Server, patient_id: str, needs: Needs, moment: Moment
) -> None:
    """Adds the forms that this EHR did not take; where there may be more, whatever they can say counts as unread."""
    kept = service.kept_forms(server.base, patient_id, moment.deadline)
    record.add_all(kept.forms)
    if not kept.is_whole:
        record.unread.update({ANSWERS}, map(test_source, needs.tests))


def day_of(order: Mapping[str, Any], today: date) -> date:
    """The evaluation date: the day the order was written, unless that is unknown or to come."""
    written_on = parse_date(order.get("authoredOn"))
    return written_on.first if written_on is not None and written_on.exact and written_on.first <= today else today


def _kept(asking: Asking, judged: list[Judged], moment: Moment) -> list[Receipt | None]:
    """A receipt for each order that was judged by a policy; None for the others, and where no book is kept."""
    book = asking.service.book
    entries = [entry_of(asking, one) if book is not None else None for one in judged]
    kept = [entry for entry in entries if entry is not None]
    until = moment.deadline + moment.keeping_s
    receipts = iter(book.record(tuple(kept), until)) if book is not None and kept else iter(())
    return [next(receipts) if entry is not None else None for entry in entries]


def _response(asking: Asking, answers: list[Written]) -> dict[str, Any]:
    """The most important cards, as many as are wanted, and the actions."""
    wanted = asking.choices
    ranked = sorted(
        (found for answer in answers for found in answer.cards if found[0] in wanted.cards),
        key=lambda found: wanted.cards.index(found[0]),
    )
    actions = [answer.action for answer in answers if answer.action is not None]
    return {
        "cards": [card for _, card in ranked[: wanted.max_cards]],
        "systemActions": actions if wanted.coverage_information else [],
    }
