"""Calendar months, and days that are known in part."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.policy.dates import Span, day_span, months_after, months_before
from cds_service.policy.truth import Truth

DAYS = st.dates(date(1950, 1, 1), date(2060, 1, 1))


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        ("2026-11-24", 3, "2026-08-24"),
        ("2026-11-24", 12, "2025-11-24"),
        ("2026-02-10", 3, "2025-11-10"),
        ("2026-05-31", 3, "2026-02-28"),
        ("2024-05-31", 3, "2024-02-29"),
        ("2024-02-29", 12, "2023-02-28"),
        ("2024-02-29", 48, "2020-02-29"),
        ("2026-12-31", 1, "2026-11-30"),
        ("2026-01-31", 0, "2026-01-31"),
        ("2026-03-31", 216, "2008-03-31"),
    ],
)
def test_months_are_counted_back_by_the_calendar(day: str, months: int, expected: str) -> None:
    """The same day of the month, or the month's last where it has no such day."""
    assert months_before(date.fromisoformat(day), months).isoformat() == expected


def test_months_are_counted_forward_by_the_calendar() -> None:
    """31 August and six months is the end of February."""
    assert months_after(date(2026, 8, 31), 6) == date(2027, 2, 28)


@given(DAYS, st.integers(0, 240))
def test_a_later_day_never_has_an_earlier_window(day: date, months: int) -> None:
    """A result does not come back into the window as time goes on."""
    assert months_before(day, months) <= months_before(day + timedelta(days=1), months)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("2026-08-24", "2026-08-24", Truth.MET),
        ("2026-11-24", "2026-11-24", Truth.MET),
        ("2026-08-23", "2026-08-23", Truth.NOT_MET),
        ("2026-11-25", "2026-11-25", Truth.NOT_MET),
        ("2026-10-01", "2026-10-31", Truth.MET),
        ("2026-08-01", "2026-08-31", Truth.UNKNOWN),
        ("2026-11-01", "2026-11-30", Truth.UNKNOWN),
        ("2026-01-01", "2026-12-31", Truth.UNKNOWN),
        ("2025-01-01", "2025-12-31", Truth.NOT_MET),
    ],
)
def test_a_partial_date_is_inside_only_when_all_of_it_is(first: str, last: str, expected: Truth) -> None:
    """A month or a year that straddles an end of the window cannot be told."""
    span = Span(date.fromisoformat(first), date.fromisoformat(last))
    assert span.within(date(2026, 8, 24), date(2026, 11, 24)) is expected


def test_a_day_is_exact_and_a_month_is_not() -> None:
    """Only a span of one day names a day."""
    assert day_span(date(2026, 11, 1)).exact
    assert not Span(date(2026, 11, 1), date(2026, 11, 30)).exact
