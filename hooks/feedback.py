"""Feedback on cards: what a clinician did with them (CDS Hooks 2.0.1 "Feedback")."""

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from hooks.members import text
from hooks.refusals import Refusal, missing, type_name, wrong_type
from hooks.wire import decode

_OUTCOMES = ("accepted", "overridden")
MOST_ITEMS = 1000  # of one call: a hundred thousand of them keep the ledger from everybody else
_LONGEST = 200  # of a card's or suggestion's id, of a code
_COMMENT = 10_000


class Feedback(Struct, frozen=True):
    """What became of one card."""

    card: str
    outcome: str  # accepted or overridden
    at: str  # ISO 8601 with its zone
    suggestions: tuple[str, ...] = ()
    reason_system: str = ""
    reason_code: str = ""
    comment: str = ""  # may hold PHI: kept as evidence is, never logged


def parse_feedback(body: bytes) -> tuple[Feedback, ...]:
    """The feedback in `body`. Raises Refusal."""
    sent = decode(body)
    if not isinstance(sent, dict):
        raise Refusal(400, "structure", f"the body: expected an object, found {type_name(sent)}")
    found = sent.get("feedback")
    if found is None:
        raise missing("feedback", "an array")
    if not isinstance(found, list):
        raise wrong_type("feedback", "an array", found)
    if not found:
        raise Refusal(400, "value", "feedback: expected at least one element, found none", "feedback")
    if len(found) > MOST_ITEMS:
        raise Refusal(400, "too-costly", f"feedback: expected at most {MOST_ITEMS} elements in one call", "feedback")
    return tuple(_item(item, f"feedback[{index}]") for index, item in enumerate(found))


def _item(item: Any, path: str) -> Feedback:
    if not isinstance(item, dict):
        raise wrong_type(path, "an object", item)
    outcome = text(item, "outcome", f"{path}.outcome", "'accepted' or 'overridden'")
    if outcome not in _OUTCOMES:
        raise Refusal(400, "value", f"{path}.outcome: expected 'accepted' or 'overridden'", f"{path}.outcome")
    suggestions = _suggestions(item, path) if outcome == "accepted" else ()
    system, code, comment = _override(item, path) if outcome == "overridden" else ("", "", "")
    card = _short(text(item, "card", f"{path}.card", "a card's uuid"), f"{path}.card")
    return Feedback(card, outcome, _timestamp(item, path), suggestions, system, code, comment)


def _suggestions(item: dict[str, Any], path: str) -> tuple[str, ...]:
    place = f"{path}.acceptedSuggestions"
    found = item.get("acceptedSuggestions")
    if found is None:
        raise missing(place, "an array")
    if not isinstance(found, list):
        raise wrong_type(place, "an array", found)
    ids = []
    for index, suggestion in enumerate(found):
        if not isinstance(suggestion, dict):
            raise wrong_type(f"{place}[{index}]", "an object", suggestion)
        own = f"{place}[{index}].id"
        ids.append(_short(text(suggestion, "id", own, "a suggestion's uuid"), own))
    return tuple(ids)


def _override(item: dict[str, Any], path: str) -> tuple[str, str, str]:
    place = f"{path}.overrideReason"
    found = item.get("overrideReason")
    if found is None:
        return "", "", ""
    if not isinstance(found, dict):
        raise wrong_type(place, "an object", found)
    reason, comment = found.get("reason"), found.get("userComment")
    if reason is not None and not isinstance(reason, dict):
        raise wrong_type(f"{place}.reason", "a Coding", reason)
    if comment is not None and not isinstance(comment, str):
        raise wrong_type(f"{place}.userComment", "a string", comment)
    coding = reason if reason is not None else found  # CDS Hooks 1.1 had code and system there
    for member in ("system", "code"):
        if coding.get(member) is not None and not isinstance(coding[member], str):
            raise wrong_type(f"{place}.reason.{member}", "a string", coding[member])
    if comment is not None and len(comment) > _COMMENT:
        raise Refusal(400, "too-long", f"{place}.userComment: expected at most {_COMMENT} characters", place)
    system, code = coding.get("system") or "", coding.get("code") or ""
    return _short(system, f"{place}.reason.system"), _short(code, f"{place}.reason.code"), comment or ""


def _timestamp(item: dict[str, Any], path: str) -> str:
    place = f"{path}.outcomeTimestamp"
    written = text(item, "outcomeTimestamp", place, "an ISO 8601 date and time")
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        raise Refusal(400, "value", f"{place}: expected an ISO 8601 date and time", place) from None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).isoformat()


def _short(value: str, path: str) -> str:
    if len(value) > _LONGEST:
        raise Refusal(400, "too-long", f"{path}: expected at most {_LONGEST} characters", path)
    return value
