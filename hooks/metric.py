"""A call as CRD 2.2.1 counts it: the logical model CRDMetricData, without what is a patient's or a clinician's.

Left out of the model for that reason: providerId, groupId, orders' details and focus, and authorization numbers. The
ledger has what is said of an order under the same `hookInstance`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_mappings.queries import Failure
from fhir_mappings.record import Record
from fhir_mappings.references import word
from hooks.bundles import DraftOrder
from hooks.call import Call
from hooks.coverage_information import Assertion
from hooks.one_order import Written

_REJECTED = frozenset({Failure.UNAUTHORIZED, Failure.FORBIDDEN})

Counts = Mapping[str, int]  # resources by type


def counts_of(record: Record) -> Counts:
    """How many resources of each type are there."""
    return {kind: len(found) for kind, found in record.resources.items() if found}


def metric_of(
    call: Call,
    record: Record,
    sent: Counts,
    orders: Iterable[DraftOrder],
    answers: Iterable[Written],
    response: Mapping[str, Any],
) -> dict[str, Any]:
    """tokenUse, resources and request of the model; `sent` is what was there before anything was read."""
    returned = {card["uuid"] for card in response["cards"]}
    resources = [{"type": kind, "count": count, "prefetch": True} for kind, count in sent.items()]
    read = {kind: count - sent.get(kind, 0) for kind, count in counts_of(record).items()}
    resources += [{"type": kind, "count": count, "prefetch": False} for kind, count in read.items() if count > 0]
    return {
        "tokenUse": _token_use(call, record, any(count > 0 for count in read.values())),
        "resources": resources,
        "request": [
            _request(order, [code for code, card in answer.cards if card["uuid"] in returned], answer, response)
            for order, answer in zip(orders, answers, strict=False)  # there is none for an order that was not read
        ],
    }


def _token_use(call: Call, record: Record, was_read: bool) -> str:
    if not call.token:
        return "not-used"
    if not _REJECTED.isdisjoint(record.failures.values()):
        return "rejected"
    return "used" if was_read else "not-used"


def _request(order: DraftOrder, cards: list[str], answer: Written, response: Mapping[str, Any]) -> dict[str, Any]:
    found: list[dict[str, Any]] = [{"type": code} for code in cards]
    if answer.assertion is not None and answer.action is not None and response["systemActions"]:
        found.append({"type": "coverage-info", "coverageInfo": [_said(answer.assertion)]})
    return {"type": word(order.resource, "resourceType"), "response": found}


def _said(assertion: Assertion) -> dict[str, Any]:
    codes = {
        "covered": assertion.covered,
        "paNeeded": assertion.pa_needed,
        "docNeeded": assertion.doc_needed,
        "infoNeeded": assertion.info_needed,
    }
    found: dict[str, Any] = {name: code for name, code in codes.items() if code}
    if assertion.questionnaire:
        found["questionnaire"] = [{"reference": assertion.questionnaire, "adaptive": False}]
    return found
