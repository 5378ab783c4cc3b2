"""FHIR dates as spans of days: `2025-11` is a month, and a day is the day that is written, whatever its time zone.

A time zone is never applied: the source's own calendar day is what a prescriber reads in the chart.
"""

import calendar
import re
from datetime import date
from functools import lru_cache
from typing import Any

from cds_service.policy.dates import Span

# date, dateTime, instant and their partial forms (FHIR R4 datatypes); seconds and zone are not insisted on.
_FORM = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ]\d\d(?::\d\d(?::\d\d(?:[.,]\d+)?)?)?\s?(?:Z|[+-]\d\d:?\d\d)?)?)?)?", re.I
)


def parse_date(found: object) -> Span | None:
    """The days that a FHIR date, dateTime or instant can stand for; None for anything else."""
    return _span(found) if isinstance(found, str) and len(found) < 50 else None


@lru_cache(maxsize=4096)
def _span(text: str) -> Span | None:
    parts = _FORM.fullmatch(text.strip())
    if parts is None:
        return None
    year, month, day = parts.groups()
    try:
        if day is not None:
            only = date(int(year), int(month), int(day))
            return Span(only, only)
        if month is not None:
            return Span(
                date(int(year), int(month), 1),
                date(int(year), int(month), calendar.monthrange(int(year), int(month))[1]),
            )
        return Span(date(int(year), 1, 1), date(int(year), 12, 31))
    except ValueError:  # 2025-02-30, month 13, year 0
        return None


def date_text(found: object) -> str:
    """The date part as the source wrote it (`2025-11`, `2025-11-20`); empty for anything that is no date."""
    return found.strip()[:10] if isinstance(found, str) and parse_date(found) is not None else ""


def period_end(found: object) -> Span | None:
    """The last day of a FHIR Period; None while it is still running, when it has no end or is no Period."""
    return parse_date(found.get("end")) if isinstance(found, dict) else None


def period_start(found: object) -> Span | None:
    """The first day of a FHIR Period; None when it has no start or is no Period."""
    return parse_date(found.get("start")) if isinstance(found, dict) else None


def result_date(resource: dict[str, Any]) -> tuple[Span | None, str, bool]:
    """The day of a result, the same as the source wrote it, and whether it is only the day of issue.

    The specimen or effective date counts; of a Period its end, so a Period that still runs gives no date at all; of a
    Timing its event where that is one and all that it says, for a schedule does not tell which of its moments it was.
    `issued` stands in only where no effective date is given.
    """
    found = resource.get("effectiveDateTime")
    if found is None:
        found = resource.get("effectiveInstant")
    if found is None:
        period = resource.get("effectivePeriod")
        if period is not None:
            found = period.get("end") if isinstance(period, dict) else None
            return parse_date(found), date_text(found), False
        if "effectiveTiming" in resource:
            found = _only_event(resource["effectiveTiming"])
            return parse_date(found), date_text(found), False
        found = resource.get("issued")
        span = parse_date(found)
        return span, date_text(found), span is not None
    span = parse_date(found)
    return (span, found.strip()[:10], False) if span is not None and isinstance(found, str) else (None, "", False)


def _only_event(timing: object) -> object:
    """The one event of a FHIR Timing that says nothing else; else None."""
    events = timing.get("event") if isinstance(timing, dict) and timing.keys() <= {"event", "id"} else None
    return events[0] if isinstance(events, list) and len(events) == 1 else None
