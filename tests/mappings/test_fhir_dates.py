"""FHIR dates to spans."""

from datetime import date

import pytest

from cds_service.policy.dates import Span, day_span
from fhir_mappings.fhir_dates import date_text, parse_date, period_end, period_start, result_date


@pytest.mark.parametrize(
    "text", ["2026-01-05", "2026-01-05T23:59:59-05:00", "2026-01-05T00:10:00.123Z", "2026-01-05T10:00Z", " 2026-01-05 "]
)
def test_a_day_is_the_day_that_is_written(text: str) -> None:
    """No time zone moves it."""
    assert parse_date(text) == day_span(date(2026, 1, 5))


def test_a_month_and_a_year_are_spans() -> None:
    """Every day of them is possible."""
    assert parse_date("2024-02") == Span(date(2024, 2, 1), date(2024, 2, 29))
    assert parse_date("2025") == Span(date(2025, 1, 1), date(2025, 12, 31))


@pytest.mark.parametrize(
    "junk",
    ["", "yesterday", "2025-13-01", "2025-02-30", "0000-01-01", "2025-1-1", "25-01-01", "2025-11-20T", None, 5, []],
)
def test_junk_is_no_date(junk: object) -> None:
    """Not an error either."""
    assert parse_date(junk) is None
    assert date_text(junk) == ""


def test_the_text_of_a_date_is_its_date_part() -> None:
    """As precise as the source wrote it."""
    assert date_text("2026-01-05T08:00:00Z") == "2026-01-05"
    assert date_text("2026-01") == "2026-01"


def test_the_end_of_a_period_is_its_date() -> None:
    """The start is asked for apart."""
    period = {"start": "2025-12-30", "end": "2026-01-05"}
    assert period_end(period) == day_span(date(2026, 1, 5))
    assert period_start(period) == day_span(date(2025, 12, 30))
    assert period_end({"start": "2025"}) is None
    assert period_end("2025") is None
    assert period_start(None) is None


def test_the_effective_date_is_the_date_of_a_result() -> None:
    """The day of issue does not matter beside it."""
    found = result_date({"effectiveDateTime": "2026-01-05T08:00:00Z", "issued": "2026-01-09T00:00:00Z"})
    assert found == (day_span(date(2026, 1, 5)), "2026-01-05", False)
    assert result_date({"effectiveInstant": "2026-01-05T08:00:00Z"})[1] == "2026-01-05"


def test_the_end_of_the_effective_period_is_the_date() -> None:
    """One that still runs gives no date, and the day of issue does not stand in."""
    assert result_date({"effectivePeriod": {"start": "2025-12-01", "end": "2026-01-05"}})[1] == "2026-01-05"
    assert result_date({"effectivePeriod": {"start": "2025-12-01"}, "issued": "2026-01-09"}) == (None, "", False)
    assert result_date({"effectivePeriod": "2026", "issued": "2026-01-09"}) == (None, "", False)


def test_the_day_of_issue_stands_in_with_a_flag() -> None:
    """Only where no effective date is given."""
    assert result_date({"issued": "2026-01-09T00:00:00Z"}) == (day_span(date(2026, 1, 9)), "2026-01-09", True)
    assert result_date({"effectiveDateTime": "soon", "issued": "2026-01-09"}) == (None, "", False)
    assert result_date({}) == (None, "", False)


def test_a_timing_of_one_event_is_that_day() -> None:
    """Effective at one moment, which is written as a list of one."""
    timing = {"event": ["2026-01-05T09:00:00Z"]}
    assert result_date({"effectiveTiming": timing}) == (day_span(date(2026, 1, 5)), "2026-01-05", False)


@pytest.mark.parametrize(
    "timing",
    [
        {},
        5,
        {"event": []},
        {"event": "2026-01-05"},
        {"event": ["2026-01-05", "2026-01-06"]},
        {"event": ["2026-01-05"], "repeat": {"frequency": 1}},
        {"event": ["2026-01-05"], "code": {"text": "daily"}},
        {"repeat": {"boundsPeriod": {"start": "2026-01-01", "end": "2026-01-05"}}},
    ],
    ids=repr,
)
def test_any_other_timing_gives_no_day(timing: object) -> None:
    """Of which of its moments the result is, is not said; the day of issue does not stand in."""
    assert result_date({"effectiveTiming": timing, "issued": "2026-01-09"}) == (None, "", False)
