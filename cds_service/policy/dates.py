"""Dates as spans: `2025-11` is a month, so a comparison with it can be unknown."""

import calendar
from datetime import date
from functools import lru_cache
from typing import Annotated

from msgspec import Meta, Struct

from cds_service.policy.truth import Truth

Months = Annotated[int, Meta(ge=1, le=1200)]  # a window, as a policy may write it


class Span(Struct, frozen=True):
    """A day that is known to lie between `first` and `last`, both inclusive."""

    first: date
    last: date

    @property
    def exact(self) -> bool:
        """True when the span is one day."""
        return self.first == self.last

    def within(self, first: date, last: date) -> Truth:
        """MET when every possible day lies in first..last, NOT_MET when none does."""
        if self.first >= first and self.last <= last:
            return Truth.MET
        return Truth.NOT_MET if self.last < first or self.first > last else Truth.UNKNOWN


def day_span(day: date) -> Span:
    """The span of one day."""
    return Span(day, day)


@lru_cache(maxsize=1024)
def months_before(day: date, months: int) -> date:
    """The same day of the month `months` earlier; the month's last where it has no such day (31 May, 3 → 28 Feb)."""
    index = day.year * 12 + day.month - 1 - months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def months_after(day: date, months: int) -> date:
    """The same day of the month `months` later; the month's last day where it has no such day."""
    return months_before(day, -months)
