"""Answered forms of the policies at hand to Answer.

Only completed and amended responses of this patient to exactly these forms, in any version, count, the newest first.
Items that belong together (`q.x`, `q.x.date`, `q.x.report`) are taken from one response, so that a value never gets
another day's date.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal

from msgspec import Struct

from cds_service.policy.dates import Span
from cds_service.policy.facts import Answer, Interval, exactly
from fhir_mappings.fhir_dates import date_text, parse_date
from fhir_mappings.record import Record
from fhir_mappings.references import Json, child, children, own_reference, plain, word

SOURCE = "answers"
_DEEPEST = 20
_OPEN_LOW = Decimal(0)
_LINK_ID = re.compile(r"[A-Za-z0-9\-._]{1,64}")
Value = bool | int | str | Interval | Span
_Read = tuple[Value, str, Json | None]  # the value, how it reads, and the quantity it came from


class Answers(Struct, frozen=True):
    """The answers by linkId, and the quantities among them as they came, for whoever knows the unit."""

    by_link: Mapping[str, Answer]
    quantities: Mapping[str, Json]


def read_answers(
    record: Record, canonicals: Iterable[str], together: Mapping[str, str], day: date | None = None
) -> Answers:
    """The newest answer to each item of those forms.

    `canonicals` are the forms' URLs without version. `together` names the group of an item whose linkId does not show
    it; otherwise an item belongs to the linkId before its second dot.
    """
    forms = frozenset(canonicals)
    responses = [found for found in record.of("QuestionnaireResponse") if _is_ours(found, forms, record)]
    responses.sort(key=lambda found: _age(found, day), reverse=True)
    by_link: dict[str, Answer] = {}
    quantities: dict[str, Json] = {}
    taken: dict[str, int] = {}  # group → the response it comes from
    for at, response in enumerate(responses):
        for link_id, answer, quantity in _items(response, record):
            group = together.get(link_id) or ".".join(link_id.split(".")[:2])
            if taken.setdefault(group, at) == at and link_id not in by_link:
                by_link[link_id] = answer
                if quantity is not None:
                    quantities[link_id] = quantity
    return Answers(by_link, quantities)


def _is_ours(response: Json, forms: frozenset[str], record: Record) -> bool:
    form = response.get("questionnaire")
    if not isinstance(form, str):
        if form is not None:
            record.mark_broken(SOURCE, response)
        return False
    return form.partition("|")[0] in forms and word(response, "status") in ("completed", "amended")


def _age(response: Json, day: date | None) -> tuple[date, str, str]:
    """What the responses are sorted by: the day, the instant as written, and the version for two of one instant."""
    authored = parse_date(response.get("authored"))
    last = authored.last if authored is not None else date.min
    return last, word(response, "authored"), word(child(response, "meta"), "lastUpdated")


def _items(response: Json, record: Record) -> Iterator[tuple[str, Answer, Json | None]]:
    reference = own_reference(response) or "QuestionnaireResponse"
    authored = parse_date(response.get("authored"))
    said_on = date_text(response.get("authored"))
    items: list[Json] = []
    _flatten(response, 0, items)
    for item in items:
        link_id, given = word(item, "linkId"), item.get("answer")
        if given is None or not _LINK_ID.fullmatch(link_id):
            continue
        answers = children(item, "answer")
        found = _value(answers[0]) if answers else None
        if found is None:
            if not (isinstance(given, list) and not given):
                record.mark_broken(SOURCE, response)
            continue
        value, shown, quantity = found
        text = (plain(item["text"], 80) if "text" in item else "") or link_id
        display = f"{text}: {shown}" + (f" (answered {said_on})" if said_on else "")
        yield link_id, Answer(link_id, value, f"{reference}#{link_id}", display, authored, shown), quantity


def _flatten(element: Json, depth: int, items: list[Json]) -> None:
    """Adds every item, whether nested in items or in answers."""
    if depth > _DEEPEST:
        return
    for item in children(element, "item"):
        items.append(item)
        for inner in (item, *children(item, "answer")):
            if "item" in inner:
                _flatten(inner, depth + 1, items)


def _value(answer: Json) -> _Read | None:
    """The value of an answer; None for one that cannot be read."""
    for member, found in answer.items():
        read = _READ.get(member)
        if read is not None and (value := read(found)) is not None:
            return value
    return None


def _boolean(found: object) -> _Read | None:
    return (found, "yes" if found else "no", None) if isinstance(found, bool) else None


def _integer(found: object) -> _Read | None:
    return (found, str(found), None) if isinstance(found, int) and not isinstance(found, bool) else None


def _decimal(found: object) -> _Read | None:
    number = _number(found)
    return (exactly(number), str(found), None) if number is not None else None


def _text(found: object) -> _Read | None:
    return (plain(found, 500), plain(found), None) if isinstance(found, str) and found.strip() else None


def _date(found: object) -> _Read | None:
    span = parse_date(found)
    return (span, date_text(found), None) if span is not None else None


def _coding(found: object) -> _Read | None:
    code = word(found, "code") if isinstance(found, dict) else ""
    return (code, plain(word(found, "display") or code), None) if isinstance(found, dict) and code else None


def _quantity(found: object) -> _Read | None:
    interval = _interval(found) if isinstance(found, dict) else None
    return (interval, _shown(found), found) if isinstance(found, dict) and interval is not None else None


def _attachment(found: object) -> _Read | None:
    if not isinstance(found, dict):
        return None
    return bool(found.get("data") or found.get("url")), plain(word(found, "title")) or "attached", None


def _reference(found: object) -> _Read | None:
    if not isinstance(found, dict) or not word(found, "reference"):
        return None
    return True, plain(word(found, "display")) or "attached", None


_READ: Mapping[str, Callable[[object], _Read | None]] = {
    "valueBoolean": _boolean,
    "valueInteger": _integer,
    "valueDecimal": _decimal,
    "valueString": _text,
    "valueUri": _text,
    "valueDate": _date,
    "valueDateTime": _date,
    "valueCoding": _coding,
    "valueQuantity": _quantity,
    "valueAttachment": _attachment,
    "valueReference": _reference,
}


def _number(found: object) -> Decimal | None:
    if isinstance(found, bool) or not isinstance(found, int | Decimal):
        return None
    number = Decimal(found)
    return number if number.is_finite() and abs(number.adjusted()) < 100 else None


def _interval(quantity: Json) -> Interval | None:
    """The values that a Quantity can stand for, in its own unit."""
    number, comparator = _number(quantity.get("value")), quantity.get("comparator", "")
    if number is None:
        return None
    if comparator in ("<", "<="):
        return Interval(_OPEN_LOW, number, high_open=comparator == "<") if number >= 0 else None
    if comparator in (">", ">="):
        return Interval(number, None, low_open=comparator == ">")
    return exactly(number) if comparator == "" else None


def _shown(quantity: Json) -> str:
    comparator = word(quantity, "comparator")
    unit = plain(word(quantity, "unit") or word(quantity, "code"), 30)
    return f"{comparator}{quantity['value']} {unit}".rstrip()
