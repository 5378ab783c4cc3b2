"""`cds-service evaluate`: one patient Bundle with a draft order, judged on the terminal.

The Bundle is the whole record: what is not in it is not there.
"""

import textwrap
import time
from collections.abc import Iterable
from datetime import date
from typing import Any

from msgspec.structs import replace

from cds_service.app import build_service
from cds_service.settings import Settings
from fhir_mappings.needs import EVERYTHING
from fhir_mappings.prefetch import ROW_OF
from fhir_mappings.references import plain
from hooks import order_sign
from hooks.answer import answer
from hooks.bundles import ORDER_TYPES, DraftOrder
from hooks.call import Call
from hooks.cards import DETERMINATION
from hooks.hook import Subjects
from hooks.refusals import Refusal
from hooks.service import Caller, Moment
from hooks.wire import decode, encode

WIDTH = 110


class EvaluationError(ValueError):
    """A Bundle that cannot be judged; the message says what is expected."""


def evaluate_bundle(body: bytes, order_id: str | None, day: date, as_json: bool, settings: Settings) -> str:
    """The answer as a table for a reviewer, or as JSON. Raises EvaluationError."""
    try:
        bundle = decode(body)
        call = _call(bundle, order_id)
        service = replace(build_service(settings), default_dialect="plain")
        response = answer(call, order_sign.HOOK, service, Caller(), Moment(day, time.monotonic() + 60))
    except Refusal as refusal:
        raise EvaluationError(refusal.diagnostics) from None
    told = [card for card in response["cards"] if card["source"]["topic"]["code"] == "guideline"]
    if as_json:
        judged = [card["extension"][DETERMINATION] for card in told if _is_judged(card)]
        return encode({"determinations": judged, **response}).decode()
    names = ", ".join(draft.reference for draft in call.subjects.drafts)
    return "\n\n".join(map(_shown, told)) or f"No drug policy was found for {names}."


def _is_judged(card: dict[str, Any]) -> bool:
    return DETERMINATION in card["extension"]


def _shown(card: dict[str, Any]) -> str:
    if _is_judged(card):
        return _table(card["extension"][DETERMINATION], card)
    return textwrap.fill(plain(f"{card['summary']}. {card['detail']}", 1000), WIDTH)


def _call(bundle: Any, order_id: str | None) -> Call:
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise EvaluationError("expected a FHIR Bundle")
    entries = bundle.get("entry")
    if not isinstance(entries, list):
        raise EvaluationError("expected a Bundle with entries")
    entries = [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("resource"), dict)]
    orders = [entry["resource"] for entry in entries if _is_wanted(entry["resource"], order_id)]
    if not orders:
        wanted = f"an order with the id {order_id}" if order_id else "an order with status draft"
        raise EvaluationError(f"expected {wanted} in the Bundle ({', '.join(sorted(ORDER_TYPES))})")
    patient_id = _patient_id([entry["resource"] for entry in entries])
    drafts = tuple(DraftOrder(f"{o['resourceType']}/{o.get('id', 'order')}", o, encode(o)) for o in orders)
    return Call(
        instance="evaluate",
        patient_id=patient_id,
        user=_user(orders),
        encounter_id="",
        subjects=Subjects(drafts, drafts),
        fhir_server="",
        token="",
        prefetch=_whole_record(entry for entry in entries if not _is_wanted(entry["resource"], order_id)),
        configuration={},
        requested_version="",
    )


def _is_wanted(resource: dict[str, Any], order_id: str | None) -> bool:
    if resource.get("resourceType") not in ORDER_TYPES:
        return False
    return resource.get("id") == order_id if order_id else resource.get("status") == "draft"


def _patient_id(resources: list[dict[str, Any]]) -> str:
    ids = [resource.get("id") for resource in resources if resource.get("resourceType") == "Patient"]
    if len(ids) != 1 or not isinstance(ids[0], str):
        raise EvaluationError(f"expected one Patient with an id in the Bundle, found {len(ids)}")
    return ids[0]


def _user(orders: list[dict[str, Any]]) -> str:
    requester = orders[0].get("requester")
    reference = requester.get("reference") if isinstance(requester, dict) else None
    return reference if isinstance(reference, str) else ""


def _whole_record(entries: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The entries under the prefetch keys of their types, an empty Bundle where there is none."""
    by_type: dict[str, list[dict[str, Any]]] = {kind: [] for kind in EVERYTHING}
    for entry in entries:
        by_type.setdefault(str(entry["resource"].get("resourceType")), []).append(entry)
    return {
        ROW_OF[kind].key: {"resourceType": "Bundle", "type": "searchset", "entry": found}
        for kind, found in by_type.items()
        if kind in ROW_OF
    }


def _table(said: dict[str, Any], card: dict[str, Any]) -> str:
    head = f"{said['policy']} {said['drug']}, version {said['policyVersion']}, order {said['order']}"
    lines = [head, f"as of {said['evaluatedOn']}: {said['outcome']}", card["summary"], ""]
    for criterion in said["criteria"]:
        status = criterion["status"] + (f" ({criterion['reason']})" if "reason" in criterion else "")
        lines.append(f"{criterion['id']:>4}  {status:<24}  {criterion['label']}")
        for fact in criterion["evidence"]:
            lines += _wrapped(f"{fact['display']} [{fact['reference']}]")
        if "needed" in criterion:
            lines += _wrapped(f"needed: {criterion['needed']}")
    return "\n".join(lines)


def _wrapped(text: str) -> list[str]:
    indent = " " * 32
    return textwrap.wrap(plain(text, 1000), WIDTH, initial_indent=indent, subsequent_indent=indent + "  ")
