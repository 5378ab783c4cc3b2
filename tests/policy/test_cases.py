"""The cases beside a policy: how a chart is written, changed and judged."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cds_service.policy.cases import CaseFile, facts_of, read_cases, run_case
from cds_service.policy.documents import PolicyFileError, decode
from cds_service.policy.facts import Facts, How, Interval, Stage, Word

from .samples import policy

POLICY = policy(
    {"id": "1", "met": {"value": {"test": "t", "at_least": "50", "within_months": "3"}}},
    {"id": "2", "met": {"answer": {"question": "q.a", "is": "yes"}}},
)
CHART: dict[str, Any] = {
    "birth": "1980-01-01",
    "results": {"t": [{"value": "90", "date": "2026-11-01"}]},
    "answers": {"q.a": "yes"},
}


def file_of(**case: Any) -> CaseFile:
    """A file of one chart and one case."""
    written = {
        "day": "2026-11-24",
        "charts": {"c": CHART},
        "cases": [{"name": "n", "chart": "c", "expect": {}, **case}],
    }
    return decode(Path("cases.yaml"), written, CaseFile)


def chart(**change: Any) -> Facts:
    """The facts of the chart with this change."""
    file = file_of(change=change)
    return facts_of(POLICY, file, file.cases[0])


def failures(**case: Any) -> list[str]:
    """Where the case does not hold."""
    file = file_of(**case)
    return [failure.message for failure in run_case(POLICY, file, file.cases[0])[1]]


def test_a_case_that_holds_has_no_failure() -> None:
    """Every criterion, the outcome and the line as expected."""
    assert failures(expect={"1": "met", "2": "met"}, outcome="criteria-met", line="") == []


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ({"expect": {"1": "not-met"}}, "1: expected not-met, found met (t 90 on 2026-11-01)"),
        ({"expect": {"1": "unknown stale"}, "without": ["t"]}, "1: expected unknown stale, found unknown not-recorded"),
        ({"expect": {"3": "met"}}, "3: expected met, found nothing"),
        ({"outcome": "criteria-not-met"}, "outcome: expected criteria-not-met, found criteria-met"),
        ({"line": "Commercial"}, "line: expected 'Commercial', found ''"),
    ],
)
def test_a_case_that_does_not_hold_says_what_was_found(case: dict[str, Any], message: str) -> None:
    """What was expected, and what came instead."""
    assert failures(**case) == [message]


def test_a_change_replaces_a_test_and_an_answer_and_leaves_the_others() -> None:
    """Results by test, answers by item; everything else as a whole."""
    changed = chart(results={"u": [{"word": "negative"}]}, answers={"q.b": "3"}, unread=["notes"])
    assert set(changed.results) == {"t", "u"}
    assert {link: answer.value for link, answer in changed.answers.items()} == {"q.a": True, "q.b": 3}
    assert changed.unread == {"notes"}


def test_without_takes_tests_and_answers_out() -> None:
    """As if they had never been there."""
    file = file_of(without=["t", "q.a"])
    taken = facts_of(POLICY, file, file.cases[0])
    assert (dict(taken.results), dict(taken.answers)) == ({}, {})


def test_a_case_can_have_its_own_day() -> None:
    """The same chart, later, is stale."""
    assert failures(expect={"1": "unknown stale"}, day="2027-11-24") == []


@pytest.mark.parametrize(
    ("text", "low", "high", "low_open", "high_open"),
    [
        ("50", "50", "50", False, False),
        ("<50", "0", "50", False, True),
        ("<=50", "0", "50", False, False),
        (">50", "50", None, True, False),
        (">=50", "50", None, False, False),
        ("8-10", "8", "10", False, False),
        ("0.5", "0.5", "0.5", False, False),
    ],
)
def test_a_value_is_written_as_a_laboratory_does(
    text: str, low: str, high: str | None, low_open: bool, high_open: bool
) -> None:
    """A number, a comparator, a range."""
    found = chart(results={"t": [{"value": text, "date": "2026-11-01"}]}).results["t"][0].value
    assert found == Interval(Decimal(low), Decimal(high) if high else None, low_open, high_open)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-11-05", "2026-11-05", "2026-11-05"),
        ("2026-02", "2026-02-01", "2026-02-28"),
        ("2026-12", "2026-12-01", "2026-12-31"),
        ("2026", "2026-01-01", "2026-12-31"),
    ],
)
def test_a_date_can_be_a_day_a_month_or_a_year(text: str, first: str, last: str) -> None:
    """Known in part, like in a record."""
    found = chart(results={"t": [{"value": "1", "date": text}]}).results["t"][0].date
    assert found is not None
    assert (found.first.isoformat(), found.last.isoformat()) == (first, last)


def test_results_are_newest_first_whatever_order_they_are_written_in() -> None:
    """As a record gives them."""
    rows = [{"value": "1", "date": "2026-01-01"}, {"value": "2"}, {"value": "3", "date": "2026-10-01"}]
    assert [r.value.low for r in chart(results={"t": rows}).results["t"] if r.value] == [3, 1, 2]


def test_a_result_can_be_early_a_word_an_answer_or_unreadable() -> None:
    """Each kind that a record or a form can hold."""
    rows = [
        {"word": "positive", "date": "2026-10-04", "stage": "preliminary"},
        {"problem": "unit-unknown", "value": "5", "date": "2026-10-03"},
        {"word": "negative", "date": "2026-10-02", "answer": "yes", "report": "no", "flags": ["conflict"]},
    ]
    early, unreadable, answered = chart(results={"t": rows}).results["t"]
    assert (early.stage, early.word) == (Stage.PRELIMINARY, Word.POSITIVE)
    assert (unreadable.value, unreadable.problem) == (None, "unit-unknown")
    assert (answered.answer, answered.report, answered.flags) == (True, False, frozenset({"conflict"}))


def test_days_make_so_many_administrations() -> None:
    """On consecutive days from the first."""
    given = chart(treatments=[{"of": ["med.x"], "how": "given", "date": "2024-02-28", "days": "3"}]).treatments
    assert [t.date.first for t in given if t.date] == [date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)]
    assert {t.how for t in given} == {How.GIVEN}


def test_a_patient_who_has_died_is_one_without_a_birth_date_too() -> None:
    """Nothing else is known of that patient."""
    person = chart(birth="", deceased="yes").person
    assert person is not None
    assert (person.birth, person.deceased) == (None, True)
    assert chart(birth="").person is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"results": {"t": [{"value": "many", "date": "2026-11-01"}]}},
            "expected a number like 50, <50 or 8-10, found 'many'",
        ),
        ({"answer": {"q.a": "no"}}, "'answer' is not known here; did you mean 'answers'"),
        ({"treatments": [{"of": ["med.x"], "how": "swallowed"}]}, "swallowed"),
    ],
)
def test_a_chart_that_cannot_be_read_is_refused(change: dict[str, Any], message: str) -> None:
    """A misspelt case is no case."""
    with pytest.raises(PolicyFileError, match=message):
        chart(**change)


def test_a_case_of_a_chart_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """With the file, the case and the chart."""
    path = tmp_path / "cases.yaml"
    path.write_text("day: 2026-11-24\ncharts: {}\ncases: [{name: n, chart: c, expect: {}}]\n")
    with pytest.raises(PolicyFileError, match="line 3: case 'n' starts from a chart 'c' that is not there"):
        read_cases(path)
