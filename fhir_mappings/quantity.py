"""Reported numbers as intervals in the test's canonical unit, or why a number says nothing.

A unit that the lab table does not list is never guessed: the result is `unit-unknown`. Every number is a Decimal, taken
digit for digit from what the source wrote.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from msgspec import Struct

from cds_service.policy.facts import Interval
from cds_service.policy.reasons import Reason
from fhir_mappings.lab_file import LabTest

_ZERO = Decimal(0)
_UCUM = ("http://unitsofmeasure.org", "urn:oid:2.16.840.1.113883.6.8")


class Reading(Struct, frozen=True):
    """A number as read: its interval, or why it has none; `sign` where the unit cannot be converted."""

    value: Interval | None = None
    problem: Reason | None = None
    sign: Interval | None = None  # the bare number, in a unit of which only "more than nothing" can be used


_UNIT_UNKNOWN = Reading(problem=Reason.UNIT_UNKNOWN)
_IMPLAUSIBLE = Reading(problem=Reason.IMPLAUSIBLE)
_INCONCLUSIVE = Reading(problem=Reason.INCONCLUSIVE)


def decimal(found: object) -> Decimal | None:
    """The number as a Decimal, digit for digit; None for anything that is no finite number."""
    if isinstance(found, Decimal):
        return found if found.is_finite() else None
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    try:
        value = Decimal(repr(found))
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def interval(comparator: str | None, value: Decimal) -> Interval | None:
    """The values that a number with that comparator can stand for, nothing below zero; None for another comparator."""
    match comparator:
        case None | "":
            return Interval(value, value)
        case "<":
            return Interval(_ZERO, value, high_open=True)
        case "<=":
            return Interval(_ZERO, value)
        case ">":
            return Interval(value, None, low_open=True)
        case ">=":
            return Interval(value, None)
        case _:
            return None


def read_quantity(found: object, test: LabTest, ranges: object = None, codes: tuple[str, ...] = ()) -> Reading:
    """A FHIR Quantity as an interval of that test.

    `ranges` is the resource's referenceRange, `codes` the codes by which the test was recognised.
    """
    if not isinstance(found, dict):
        return _INCONCLUSIVE
    value = decimal(found.get("value"))
    if value is None:
        return _INCONCLUSIVE
    comparator = found.get("comparator")
    values = interval(comparator, value) if comparator is None or isinstance(comparator, str) else None
    if values is None:
        return _INCONCLUSIVE
    unit = _unit_of(found)
    if unit is None:
        return _UNIT_UNKNOWN
    return _converted(values, unit, test, ranges, codes)


def _unit_of(quantity: dict[str, Any]) -> tuple[str, str] | None:
    """The coded and the written unit, either may be empty; None for a unit that is no text."""
    unit, code, system = quantity.get("unit"), quantity.get("code"), quantity.get("system")
    if not (unit is None or isinstance(unit, str)) or not (code is None or isinstance(code, str)):
        return None
    if system is not None and system not in _UCUM:  # a code of another system is no UCUM code
        code = None
    return (code or "").strip(), (unit or "").strip()


def _converted(
    values: Interval, unit: tuple[str, str], test: LabTest, ranges: object, codes: tuple[str, ...]
) -> Reading:
    code, text = unit
    written = code or text
    factor = test.factor(written)
    if code and text and code != text and factor is not None:
        other = test.factor(text)
        if (other is not None and other != factor) or (other is None and test.of_another(text)):
            return _UNIT_UNKNOWN  # code and text contradict each other
    if factor is None:
        if written and (test.sign_only(written) or (not code and test.sign_only(text))):
            return Reading(sign=values)
        factor = _shown_by_range(written, test, ranges, codes)
        if factor is None:
            return _UNIT_UNKNOWN
    elif test.normal_high is not None and ranges and not _range_agrees(factor, test, ranges):
        return _UNIT_UNKNOWN
    if factor != 1:
        values = Interval(
            values.low * factor,
            None if values.high is None else values.high * factor,
            values.low_open,
            values.high_open,
        )
    return _plausible(values, test)


def _plausible(values: Interval, test: LabTest) -> Reading:
    """The interval, when the number that was written lies within what the test can give."""
    bounds = test.plausible
    low, high = values.low, values.high
    if bounds is not None:
        written_low = high if (high is not None and values.high_open) or (low == 0 and high is not None) else low
        written_high = low if high is None else high
        if written_low < bounds.low or written_high > bounds.high:
            return _IMPLAUSIBLE
    elif low < 0:
        return _IMPLAUSIBLE
    return Reading(values)


def _first_range(ranges: object) -> tuple[Decimal | None, Decimal | None, str]:
    """Low, high and unit of the only reference range; nothing for none or several."""
    if not isinstance(ranges, list) or len(ranges) != 1 or not isinstance(ranges[0], dict):
        return None, None, ""
    low, high = ranges[0].get("low"), ranges[0].get("high")
    units = [end.get("code") or end.get("unit") or "" for end in (low, high) if isinstance(end, dict)]
    unit = units[0] if units and all(unit == units[0] for unit in units) else ""
    return (
        decimal(low.get("value")) if isinstance(low, dict) else None,
        decimal(high.get("value")) if isinstance(high, dict) else None,
        unit if isinstance(unit, str) else "",
    )


def _range_agrees(factor: Decimal, test: LabTest, ranges: object) -> bool:
    """False when the report's upper limit, converted like the value, is far from where it lies for this test."""
    _, high, unit = _first_range(ranges)
    if high is None or test.normal_high is None:
        return True
    if unit:
        own = test.factor(unit)
        if own is None:
            return True
        factor = own
    return test.normal_high.low <= high * factor <= test.normal_high.high


def _shown_by_range(written: str, test: LabTest, ranges: object, codes: tuple[str, ...]) -> Decimal | None:
    """The factor that the report's reference range proves for a number without a unit; None when it proves none."""
    if not test.unitless:
        return None
    low, high, unit = _first_range(ranges)
    if low is None or high is None:
        return None
    for row in test.unitless:
        if written not in row.units or (row.codes and not set(row.codes) & set(codes)):
            continue
        if unit and unit not in row.units and test.factor(unit) != row.factor:
            continue
        if row.low.low <= low <= row.low.high and row.high.low <= high <= row.high.high:
            return row.factor
    return None


def report_limit(test: LabTest, ranges: object) -> Decimal | None:
    """The report's own upper limit in the canonical unit; None when it states none that can be used."""
    _, high, unit = _first_range(ranges)
    factor = test.factor(unit) if unit else Decimal(1)
    return None if high is None or factor is None else high * factor


# -- numbers in text ---------------------------------------------------------------------------------------------------

_NUMBER = r"(?:[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?"
_TEXT = re.compile(
    rf"""\s*(?P<comparator><\s*=|>\s*=|=<|=>|≤|≥|<|>
        |(?:less|lower)\s+than\s+or\s+equal\s+to|(?:greater|more|higher)\s+than\s+or\s+equal\s+to
        |(?:less|lower)\s+than|(?:greater|more|higher)\s+than|at\s+most|at\s+least|up\s+to|below|under|above|over)?
        \s*(?P<number>{_NUMBER})(?!\d|:|[/.,]\d)
        (?:\s*(?P<middle>\S{{0,20}}?)\s*(?:-|–|—|\bto\b)\s*(?P<second>{_NUMBER})(?!\d|:|[/.,-]\d))?
        \s*(?P<rest>.*)""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_COMPARATORS = {
    "=<": "<=", "=>": ">=", "≤": "<=", "≥": ">=", "at most": "<=", "up to": "<=", "at least": ">=",
    "below": "<", "under": "<", "above": ">", "over": ">",
}  # fmt: skip
# What may follow the unit: punctuation with a comment, a flag, or a result word.
_AFTER_UNIT = re.compile(
    r"\s*(?:$|[,;(\[*.]|\(?\b(?:h|l|hh|ll|high|low|abnormal|normal|final)\b|(?:not |un)?detect|positive|negative|non)",
    re.I,
)


_TITRE = re.compile(r"\s*(?P<comparator><=?|>=?|≤|≥|=<|=>)?\s*1\s?:\s?(?P<number>\d{1,7})\s*")


def read_titre(text: str, test: LabTest) -> Reading | None:
    """`1:50` or `<1:50` as the interval of 50, for a test that is told so; None for anything else."""
    found = _TITRE.fullmatch(text[:300]) if test.titre else None
    if found is None:
        return None
    values = _interval_of(found["comparator"], found["number"], None)
    return Reading(values) if values is not None else None


def read_number_text(text: str, test: LabTest, ranges: object = None, codes: tuple[str, ...] = ()) -> Reading | None:
    """A text such as `<1 %`, `less than 1 IU/dL` or `5-7 kPa` as an interval; None where no number begins it.

    A titre (`1:58`, see `read_titre`), a date and a decimal comma are no numbers here.
    """
    found = _TEXT.match(text[:300])
    if found is None:
        return None
    parts = found.groupdict()
    values = _interval_of(parts["comparator"], parts["number"], parts["second"])
    if values is None:
        return None
    unit = _unit_before(parts["rest"], test)
    if unit is None:
        return _UNIT_UNKNOWN
    if parts["second"] and parts["middle"] and parts["middle"] != unit:
        return _UNIT_UNKNOWN
    return _converted(values, ("", unit), test, ranges, codes)


def _interval_of(comparator: str | None, number: str, second: str | None) -> Interval | None:
    low = Decimal(number.replace(",", ""))
    if second is not None:
        high = Decimal(second.replace(",", ""))
        return Interval(low, high) if comparator is None and low <= high else None
    if comparator is None:
        return Interval(low, low)
    sign = " ".join(comparator.lower().split())
    if len(sign) > 2 and "or equal" in sign:
        return interval("<=" if sign.startswith(("less", "lower")) else ">=", low)
    if sign.endswith(" than"):
        return interval("<" if sign.startswith(("less", "lower")) else ">", low)
    sign = sign.replace(" ", "") if sign[0] in "<>" else sign
    return interval(_COMPARATORS.get(sign, sign), low)


def _unit_before(rest: str, test: LabTest) -> str | None:
    """The unit at the beginning of what follows a number: "" for none, None for something that is no listed unit."""
    rest = rest.strip()
    words = rest.split(" ")
    for count in range(min(len(words), 4), 0, -1):
        unit = " ".join(words[:count]).rstrip(",;.")
        known = unit and (test.factor(unit) is not None or test.sign_only(unit))
        if known and _AFTER_UNIT.match(rest[len(unit) :]):
            return unit
    return "" if _AFTER_UNIT.match(rest) else None
