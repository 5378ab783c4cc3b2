"""The form's fields: values to text and back. Whatever a browser sends is read again by the policy's own questions."""

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from cds_service.dtr.forms import Form
from cds_service.dtr.names import UCUM, coding
from cds_service.dtr.response import is_shown
from cds_service.policy.policy import Question
from fhir_mappings.references import Json, child, children, word

Answers = dict[str, Json]  # linkId → value[x]

_NUMBER = re.compile(r"(<=|>=|<|>)?\s*(\d{1,9}(?:\.\d{1,9})?)")
_WHOLE = re.compile(r"\d{1,9}")
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_EARLIEST = date(1900, 1, 1)
_LONGEST = {"string": 500, "text": 4000}


class FieldError(ValueError):
    """What is wrong with a field, for who filled it in."""


def items_of(form: Form) -> dict[str, Json]:
    """The form's items that take an answer, by linkId, in its order."""
    return {item["linkId"]: item for group in form.questionnaire["item"] for item in group["item"] if _is_asked(item)}


def _is_asked(item: Json) -> bool:
    return item["type"] not in ("display", "group")


def text_of(answer: Json) -> str:
    """The text of an answer, with its digits as they are; empty for an attachment."""
    if not answer:
        return ""
    (name, value), *_ = [(name, value) for name, value in answer.items() if name.startswith("value")] or [("", "")]
    match name:
        case "valueBoolean":
            return "yes" if value else "no"
        case "valueCoding":
            return word(value, "code")
        case "valueQuantity":
            return f"{word(value, 'comparator')}{value['value']}"
        case "valueAttachment":
            return ""
        case _:
            return str(value)


def parse_text(form: Form, question: Question, text: str, today: date, public_url: str) -> Json | None:
    """The answer that a text is; None for an empty one. Raises FieldError."""
    text = _UNSEEN.sub(" ", text.replace("\r\n", "\n")).strip()
    if not text:
        return None
    match question.type:
        case "boolean":
            if text not in ("yes", "no"):
                raise FieldError("Choose yes or no.")
            return {"valueBoolean": text == "yes"}
        case "choice":
            if text not in question.options:
                raise FieldError("Choose one of the answers.")
            return {"valueCoding": coding(form.policy.source, question, text, public_url)}
        case "integer":
            if not _WHOLE.fullmatch(text):
                raise FieldError(f"Enter a whole number{_range(question)}, like 12.")
            _check_range(question, Decimal(text))
            return {"valueInteger": int(text)}
        case "quantity":
            return {"valueQuantity": _quantity(question, text)}
        case "date":
            return {"valueDate": _day(text, today)}
        case "string" | "text":
            if len(text) > _LONGEST[question.type]:
                raise FieldError(f"Shorten this to {_LONGEST[question.type]} characters; it has {len(text)}.")
            return {"valueString": text}
        case _:
            raise FieldError("Attach a file here.")


def _quantity(question: Question, text: str) -> Json:
    found = _NUMBER.fullmatch(text)
    if found is None:
        hint = "Use a point and not a comma, and leave the unit out." if "," in text else "Leave the unit out."
        raise FieldError(f"Enter a number{_range(question)}. {hint}")
    number = Decimal(found[2])  # with its digits: 1.50 stays 1.50
    _check_range(question, number)
    comparator = {"comparator": found[1]} if found[1] else {}
    return {"value": number, **comparator, "unit": question.unit, "system": UCUM, "code": question.unit}


def _check_range(question: Question, number: Decimal) -> None:
    below = question.min is not None and number < question.min
    if below or (question.max is not None and number > question.max):
        raise FieldError(f"Enter a number{_range(question)}; {number} cannot be right.")


def _range(question: Question) -> str:
    unit = f" in {unit_text(question.unit)}" if question.unit else ""
    if question.min is not None and question.max is not None:
        return f" from {question.min} to {question.max}{unit}"
    return f" from {question.min}{unit}" if question.min is not None else unit


def _day(text: str, today: date) -> str:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise FieldError("Enter a date as year-month-day, like 2026-03-09.") from None
    if len(text) != 10:
        raise FieldError("Enter a date as year-month-day, like 2026-03-09.")
    if day > today:
        raise FieldError(f"This day is still to come. Enter a date up to {today.isoformat()}.")
    if day < _EARLIEST:
        raise FieldError("Check the year: this is too long ago.")
    return day.isoformat()


def unit_text(unit: str) -> str:
    """A UCUM unit as people write it."""
    return {"10*9/L": "× 10⁹/L", "/uL": "/µL"}.get(unit, unit)


def shown(items: Mapping[str, Json], answers: Mapping[str, Json]) -> frozenset[str]:
    """The items that the form asks with these answers. An answer to one that is not asked shows no other."""
    left = dict(answers)
    while True:
        asked = frozenset(name for name, item in items.items() if is_shown(item, left))
        kept = {name: value for name, value in left.items() if name in asked}
        if len(kept) == len(left):
            return asked
        left = kept


def asked_only(items: Mapping[str, Json], answers: Mapping[str, Json]) -> Answers:
    """The answers to items that are asked."""
    asked = shown(items, answers)
    return {name: value for name, value in answers.items() if name in asked}


def answers_in(response: Json, items: Mapping[str, Json]) -> Answers:
    """The answers of a response to this form's items, as far as they are of the right type."""
    found: Answers = {}
    _collect(response, items, found, 0)
    return found


def _collect(element: Json, items: Mapping[str, Json], found: Answers, depth: int) -> None:
    for item in children(element, "item") if depth < 20 else ():
        link_id = word(item, "linkId")
        for answer in children(item, "answer")[:1]:
            if link_id in items:
                value = {name: said for name, said in answer.items() if name == _VALUE[items[link_id]["type"]]}
                if value and _is_whole(value):
                    found.setdefault(link_id, value)
            _collect(answer, items, found, depth + 1)
        _collect(item, items, found, depth + 1)


_VALUE = {
    "boolean": "valueBoolean",
    "string": "valueString",
    "text": "valueString",
    "integer": "valueInteger",
    "quantity": "valueQuantity",
    "choice": "valueCoding",
    "date": "valueDate",
    "attachment": "valueAttachment",
}


def _is_whole(answer: Json) -> bool:
    (name, value), *_ = answer.items()
    if name in ("valueCoding", "valueAttachment"):
        return isinstance(value, dict)
    if name == "valueQuantity":
        return isinstance(value, dict) and isinstance(value.get("value"), int | Decimal)
    return isinstance(value, {"valueBoolean": bool, "valueInteger": int}.get(name, str))


def conditions(item: Json) -> list[dict[str, Any]]:
    """The item's `enableWhen` in plain words for the page's script: item, operator, text."""
    found = []
    for condition in children(item, "enableWhen"):
        value = {f"value{name[6:]}": said for name, said in condition.items() if name.startswith("answer")}
        found.append({"q": condition["question"], "op": condition["operator"], "v": text_of(value)})
    return found


def same(one: Json | None, other: Json | None) -> bool:
    """True when two answers say the same: a coding by its code, a number by its value."""
    if one is None or other is None or one.keys() != other.keys():
        return one is other
    for name, value in one.items():
        if name == "valueCoding":
            return word(value, "code") == word(child(other, name), "code")
        if value != other[name]:
            return False
    return True
