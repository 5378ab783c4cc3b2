"""Dates in searches: every FHIR date is a range, and a comparison is one of ranges."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

_FORM = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)?)?)?)?")
_TICK = timedelta(microseconds=1)
# Every datetime here is labelled UTC, the ones "as written" too, so that all of them compare.
_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
PREFIXES = ("eq", "ge", "le", "gt", "lt")


class Range(Struct, frozen=True):
    """All moments that a date may mean: `first`..`last` as written, and the same as instants."""

    first: datetime
    last: datetime
    first_instant: datetime
    last_instant: datetime
    by_day: bool = True  # no time of day given


_ALWAYS = Range(_EARLIEST, _LATEST, _EARLIEST, _LATEST)


def parse_range(text: str) -> Range:
    """The range of a FHIR date, dateTime or instant. Raises ValueError."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a date (YYYY, YYYY-MM, YYYY-MM-DD or a date with a time)")
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    clock = int(hour or 0), int(minute or 0), int(second or 0)
    first = datetime(int(year), int(month or 1), int(day or 1), *clock, tzinfo=UTC)
    if fraction:
        first = first.replace(microsecond=int(f"{fraction:0<6}"[:6]))
    last = _end(first, month, day, hour, second, fraction)
    offset = _offset(zone)
    return Range(first, last, _moved(first, offset), _moved(last, offset), hour is None)


def _end(first: datetime, *given: str | None) -> datetime:
    month, day, hour, second, fraction = given
    try:
        if month is None:
            return first.replace(year=first.year + 1) - _TICK
        if day is None:
            return (first.replace(day=28) + timedelta(days=4)).replace(day=1) - _TICK
    except (ValueError, OverflowError):
        return _LATEST
    if fraction:
        return first
    width = timedelta(days=1) if hour is None else timedelta(seconds=1) if second else timedelta(minutes=1)
    return _moved(first, width) - _TICK


def _offset(zone: str | None) -> timedelta:
    if zone is None or zone == "Z":
        return timedelta()
    ahead = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
    return -ahead if zone[0] == "+" else ahead


def _moved(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment + by
    except OverflowError:
        return _LATEST if by > timedelta() else _EARLIEST


def range_of(values: Iterable[Any]) -> Range | None:
    """The range of an element's value: a date, or a Period (open ends reach on for ever). None when there is none."""
    for value in values:
        try:
            if isinstance(value, str):
                return parse_range(value)
            if isinstance(value, dict) and ("start" in value or "end" in value):
                start = parse_range(value["start"]) if "start" in value else _ALWAYS
                end = parse_range(value["end"]) if "end" in value else _ALWAYS
                return Range(start.first, end.last, start.first_instant, end.last_instant, start.by_day)
        except (ValueError, TypeError):
            continue
    return None


def matches(found: Range, prefix: str, asked: Range) -> bool:
    """True when a resource's range compares as asked; a search by day compares the day as it is written."""
    if asked.by_day:
        low, high, first, last = found.first, found.last, asked.first, asked.last
    else:
        low, high = found.first_instant, found.last_instant
        first, last = asked.first_instant, asked.last_instant
    return {
        "eq": low >= first and high <= last,
        "ge": high >= first,
        "le": low <= last,
        "gt": high > last,
        "lt": low < first,
    }[prefix]


def sort_moment(found: Range) -> datetime:
    """Where a range stands in a sorted list: its start."""
    return found.first_instant
