"""How a policy file writes statements, and how it is told what is wrong with one."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cds_service.policy.composed import AllOf, AnyOf, CountOf, IfThen, Not, ToldBy
from cds_service.policy.documents import PolicyFileError, decode, read_document
from cds_service.policy.language import Expression, Needing, statements_in
from cds_service.policy.measured import ValueOf
from cds_service.policy.truth import Truth

from .samples import facts, number, of_test, says, statement

VALUE = {"value": {"test": "t", "at_least": "50", "within_months": "3"}}
ANSWER = {"answer": {"question": "q.a", "is": "yes"}}


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ({"all": [VALUE, ANSWER]}, AllOf),
        ({"any": [VALUE, ANSWER]}, AnyOf),
        ({"told_by": [VALUE, ANSWER]}, ToldBy),
        ({"count": {"at_least": "1", "of": [VALUE, ANSWER]}}, CountOf),
        ({"not": VALUE}, Not),
        ({"if": ANSWER, "then": VALUE}, IfThen),
        (VALUE, ValueOf),
        ({**VALUE, "needed": "a count"}, Needing),
    ],
)
def test_each_form_becomes_its_statement(written: Any, kind: type) -> None:
    """One class for each."""
    assert isinstance(statement(written), kind)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({**VALUE, **ANSWER}, "found value and answer"),
        ({"needed": "a count"}, "found none"),
        ({"then": VALUE}, "found none"),
        ({"if": ANSWER}, "`if` goes with `then`"),
        ({**VALUE, "then": VALUE}, "`if` goes with `then`"),
        ({**VALUE, "else": VALUE}, "`else` with both"),
        ({"value": {"test": "t"}}, "exactly one of at_most, below, at_least, above"),
        ({"value": {"test": "t", "below": "1", "above": "2"}}, "exactly one of at_most, below, at_least, above"),
        ({"answer": {"question": "q.a"}}, "exactly one of is, at_least, below, given"),
        ({"answer": {"question": "q.a", "is": "yes", "below": "3"}}, "exactly one of is, at_least, below, given"),
        ({"value": {"test": "t", "below": "fifty"}}, "`below`: expected a number, found 'fifty'"),
        ({"value": {"test": "t", "below": "NaN"}}, "NaN"),
        ({"value": {"test": "t", "below": "1", "whithin_months": "3"}}, "whithin_months"),
        ({"result": {"test": "t", "is": "maybe"}}, "maybe"),
        (
            {"result": {"test": "t", "is": "positive", "within_months": "three"}},
            "expected a whole number, found 'three'",
        ),
        ({"treatment": {"of": ["med.x"], "how": ["swallowed"]}}, "swallowed"),
        ({"measurement": {"test": "t"}}, "measurement"),
        ({"all": VALUE}, "expected a list, found a mapping"),
    ],
)
def test_a_statement_that_cannot_be_is_refused_with_what_is_allowed(written: Any, message: str) -> None:
    """The file, the place and the trouble."""
    with pytest.raises(PolicyFileError) as refused:
        decode(Path("policies/p.yaml"), {"met": [written]}, dict[str, list[Expression]])
    assert message in str(refused.value)
    assert str(refused.value).startswith("policies/p.yaml: ")


def test_the_message_for_two_kinds_lists_those_there_are(tmp_path: Path) -> None:
    """Whoever writes a policy is told what may stand there, and where."""
    path = tmp_path / "p.yaml"
    path.write_text("all:\n- refills: {count: 1}\n- {refills: {count: 0}, answer: {question: q.b, is: no}}\n")
    with pytest.raises(PolicyFileError) as refused:
        read_document(path, Expression)
    for part in ("told_by", "not", "if", "value", "dose", "line 3: "):
        assert part in str(refused.value)


def test_needed_is_said_only_while_it_is_open() -> None:
    """The words go with an unknown alone."""
    written = {**VALUE, "needed": "a count"}
    assert says(written, facts()).needed == ("a count",)
    assert says(written, of_test(number("90"))).needed == ()
    assert says(written, of_test(number("40"))).needed == ()


def test_since_is_the_first_day_of_the_window_and_today_is_today() -> None:
    """Both filled in from the day that is judged."""
    words = says({**VALUE, "needed": "a count from {since} to {today}"}, facts()).needed
    assert words == ("a count from 2026-08-24 to 2026-11-24",)


def test_since_is_the_widest_window_of_the_statements_together() -> None:
    """An `any` has no window of its own."""
    written = {"any": [VALUE, {"result": {"test": "u", "is": "negative", "within_months": "12"}}], "needed": "{since}"}
    assert says(written, facts()).needed == ("2025-11-24",)
    assert says(written, facts(day=date(2026, 5, 31))).needed == ("2025-05-31",)


def test_the_words_of_a_whole_take_the_place_of_those_of_its_parts() -> None:
    """One sentence for the prescriber."""
    written = {"all": [{**VALUE, "needed": "a"}, {**ANSWER, "needed": "b"}], "needed": "both"}
    said = says(written, facts())
    assert (said.truth, said.needed, said.tests) == (Truth.UNKNOWN, ("both",), ("t",))


def test_every_plain_statement_is_found_wherever_it_stands() -> None:
    """What is read from a record follows from them."""
    written = {
        "all": [{"not": VALUE}, {"if": ANSWER, "then": VALUE, "else": {"any": [ANSWER]}}, {"told_by": [ANSWER]}],
    }
    found = statements_in(decode(Path("p.yaml"), written, Expression))
    assert [type(part).__name__ for part in found] == ["ValueOf", "AnswerTo", "ValueOf", "AnswerTo", "AnswerTo"]
