"""How the results of a test are weighed: which one counts, what it can prove, and why it sometimes proves nothing."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cds_service.policy.dates import Span
from cds_service.policy.facts import Interval, Result, Stage, Word
from cds_service.policy.reasons import Reason
from cds_service.policy.truth import Truth

from .samples import PRELIMINARY, answers, facts, number, of_test, says, word

MET, UNKNOWN, NOT_MET = Truth.MET, Truth.UNKNOWN, Truth.NOT_MET
AT_LEAST_50 = {"value": {"test": "t", "at_least": "50", "within_months": "3"}}
EVER_AT_MOST_2 = {"value": {"test": "t", "at_most": "2", "pick": "ever", "refutes": "untreated"}}
NEGATIVE = {"result": {"test": "t", "is": "negative", "within_months": "3"}}
EVER_POSITIVE = {"result": {"test": "t", "is": "positive", "pick": "ever"}}
UNTREATED = frozenset({"untreated"})
NOVEMBER_1 = Span(date(2026, 11, 1), date(2026, 11, 1))
NOVEMBER = Span(date(2026, 11, 1), date(2026, 11, 30))


def interval(low: str, high: str | None, low_open: bool = False, high_open: bool = False) -> Interval:
    """The interval with these ends."""
    return Interval(Decimal(low), None if high is None else Decimal(high), low_open, high_open)


@pytest.mark.parametrize(
    ("given", "at_most", "below"),
    [
        (interval("2", "2"), MET, NOT_MET),
        (interval("1.9", "1.9"), MET, MET),
        (interval("2.1", "2.1"), NOT_MET, NOT_MET),
        (interval("0", "2", high_open=True), MET, MET),
        (interval("0", "2"), MET, UNKNOWN),
        (interval("0", "5", high_open=True), UNKNOWN, UNKNOWN),
        (interval("2", None, low_open=True), NOT_MET, NOT_MET),
        (interval("2", None), UNKNOWN, NOT_MET),
        (interval("1", "3"), UNKNOWN, UNKNOWN),
        (interval("2", "3"), UNKNOWN, NOT_MET),
        (interval("2", "3", low_open=True), NOT_MET, NOT_MET),
    ],
)
def test_an_interval_meets_a_limit_only_when_all_of_it_does(given: Interval, at_most: Truth, below: Truth) -> None:
    """2, <2, ≤2, <5, >2, ≥2, ranges and open ends, each against a limit of 2."""
    assert given.at_most(Decimal(2)) is at_most
    assert given.below(Decimal(2)) is below


COMPARED = pytest.mark.parametrize(
    ("compare", "under", "at", "over"),
    [
        ("at_most", MET, MET, NOT_MET),
        ("below", MET, NOT_MET, NOT_MET),
        ("at_least", NOT_MET, MET, MET),
        ("above", NOT_MET, NOT_MET, MET),
    ],
)


@COMPARED
def test_each_comparison_is_exact_at_its_limit(compare: str, under: Truth, at: Truth, over: Truth) -> None:
    """Which side the limit itself is on."""
    written = {"value": {"test": "t", compare: "200"}}
    found = [says(written, of_test(number(value))).truth for value in ("199.9", "200", "200.1")]
    assert found == [under, at, over]


def test_nothing_there_is_not_recorded_and_not_read_is_not_retrieved() -> None:
    """Two kinds of nothing."""
    assert says(AT_LEAST_50, facts()).reason is Reason.NOT_RECORDED
    assert says(AT_LEAST_50, facts(unread=frozenset({"result/t"}))).reason is Reason.NOT_RETRIEVED


def test_the_newest_final_result_decides() -> None:
    """Older ones are shown, and do not count."""
    said = says(AT_LEAST_50, of_test(number("40", "2026-11-02"), number("90", "2026-11-01")))
    assert said.truth is NOT_MET
    assert [fact.date.first.day for fact in said.facts] == [2, 1]


def test_the_order_in_which_same_day_results_stand_does_not_matter() -> None:
    """Opposite results of one day are for review, and an unclear one leaves the day open."""
    low, high, unclear = number("40"), number("90"), number("1", problem=Reason.UNIT_UNKNOWN)
    for rows in ((low, high), (high, low)):
        assert says(AT_LEAST_50, of_test(*rows)).reason is Reason.REVIEW
    for rows in ((unclear, high), (high, unclear)):
        assert says(AT_LEAST_50, of_test(*rows)).reason is Reason.UNIT_UNKNOWN


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (number("90", "2026-08-23"), Reason.STALE),
        (number("90", stage=PRELIMINARY), Reason.PRELIMINARY),
        (number("90", stage=Stage.ORDERED), Reason.NOT_RECORDED),
        (number("90", "2026-08-23", stage=Stage.ORDERED), Reason.NOT_RECORDED),
        (number("90", "2026-11-25"), Reason.NOT_RECORDED),
        (number("90", problem=Reason.UNIT_UNKNOWN), Reason.UNIT_UNKNOWN),
        (number("90", problem=Reason.IMPLAUSIBLE), Reason.IMPLAUSIBLE),
        (number("90", flags=frozenset({"unreliable"})), Reason.INCONCLUSIVE),
        (number("90", flags=frozenset({"conflict"})), Reason.REVIEW),
        (number("90", answer=True, report=False), Reason.ATTESTED_ONLY),
        (Result("t", "Observation/t", "t", None), Reason.STALE),
    ],
)
def test_a_result_that_does_not_count_says_why(result: Result, reason: Reason) -> None:
    """Every word for a result that is there and proves nothing."""
    said = says(AT_LEAST_50, of_test(result))
    assert (said.truth, said.reason) == (UNKNOWN, reason)


def test_a_result_of_tomorrow_is_remarked() -> None:
    """It is not used, and the reader is told."""
    said = says(AT_LEAST_50, of_test(number("90", "2026-11-25"), number("60", "2026-11-20")))
    assert said.truth is MET
    assert said.remarks == ("t 90 on 2026-11-25 is dated after today and was not used",)


def test_a_result_with_a_partial_date_proves_nothing_and_can_speak_against() -> None:
    """`2026-11`, this month, may be newer than the good result of the 2nd: for review. Alone it is stale."""
    low = Result("t", "Observation/p", "t", NOVEMBER, value=interval("40", "40"))
    assert says(AT_LEAST_50, of_test(low)).reason is Reason.STALE
    assert says(AT_LEAST_50, of_test(low, number("90", "2026-11-02"))).reason is Reason.REVIEW
    assert says(AT_LEAST_50, of_test(low, number("30", "2026-11-02"))).truth is NOT_MET


def test_a_partial_date_counts_where_any_date_does() -> None:
    """A positive result of this year, whose day is not known, is still a history."""
    positive = Result("t", "Observation/p", "t", Span(date(2026, 1, 1), date(2026, 12, 31)), word=Word.POSITIVE)
    assert says(EVER_POSITIVE, of_test(positive)).truth is MET


@pytest.mark.parametrize(
    ("rows", "truth", "reason"),
    [
        ((number("90", "2026-11-01"), number("40", "2026-11-20", stage=PRELIMINARY)), UNKNOWN, Reason.REVIEW),
        ((number("90", "2026-11-01"), number("70", "2026-11-20", stage=PRELIMINARY)), MET, None),
        ((number("90", "2026-11-20"), number("40", "2026-11-01", stage=PRELIMINARY)), MET, None),
        ((number("90"), number("40", answer=True)), UNKNOWN, Reason.REVIEW),
        ((number("90"), number("40", answer=True, report=False)), UNKNOWN, Reason.REVIEW),
        ((number("40"), number("90", answer=True)), UNKNOWN, Reason.REVIEW),
        ((number("90"), number("70", answer=True)), MET, None),
        ((number("90", answer=True), number("40", stage=PRELIMINARY)), UNKNOWN, Reason.REVIEW),
        ((number("90", answer=True), number("40", "2026-08-01")), MET, None),
    ],
)
def test_the_record_is_weighed_against_answers_and_newer_preliminaries(
    rows: tuple[Result, ...], truth: Truth, reason: Reason | None
) -> None:
    """A contradiction inside the window is for review, in both directions."""
    said = says(AT_LEAST_50, of_test(*rows))
    assert (said.truth, said.reason) == (truth, reason)


@pytest.mark.parametrize(
    ("rows", "truth", "reason"),
    [
        ((number("1"),), MET, None),
        ((number("8", flags=UNTREATED), number("1", "1999-01-01")), MET, None),
        ((number("8", flags=UNTREATED),), NOT_MET, None),
        ((number("8"),), UNKNOWN, Reason.INCONCLUSIVE),
        ((number("8"), number("6", flags=UNTREATED)), NOT_MET, None),
        (
            (number("8", flags=UNTREATED), number("1", problem=Reason.UNIT_UNKNOWN)),
            UNKNOWN,
            Reason.UNIT_UNKNOWN,
        ),
        ((number("8", flags=UNTREATED, stage=PRELIMINARY),), UNKNOWN, Reason.PRELIMINARY),
        ((number("1", stage=PRELIMINARY),), UNKNOWN, Reason.PRELIMINARY),
        ((number("1", answer=True),), MET, None),
        ((number("1", answer=True, report=False),), UNKNOWN, Reason.ATTESTED_ONLY),
        ((number("1", answer=True), number("8", flags=UNTREATED)), UNKNOWN, Reason.REVIEW),
        ((number("1"), number("8", answer=True, flags=UNTREATED)), UNKNOWN, Reason.REVIEW),
    ],
)
def test_ever_takes_the_one_that_fits(rows: tuple[Result, ...], truth: Truth, reason: Reason | None) -> None:
    """One low activity at any time is enough; a higher one counts against only when it is a baseline."""
    said = says(EVER_AT_MOST_2, of_test(*rows))
    assert (said.truth, said.reason) == (truth, reason)


def test_a_negative_answer_does_not_contradict_an_old_positive_with_a_newer_negative() -> None:
    """The answer is on the latest result, and agrees with it."""
    old, new = word(Word.POSITIVE, "2001-01-01"), word(Word.NEGATIVE, "2026-10-01")
    answer = word(Word.NEGATIVE, "2026-10-01", answer=True)
    assert says(EVER_POSITIVE, of_test(old, new, answer)).truth is MET
    assert says(EVER_POSITIVE, of_test(old, answer)).reason is Reason.REVIEW


@pytest.mark.parametrize(
    ("given", "negative", "positive", "reported"),
    [
        (Word.NEGATIVE, MET, NOT_MET, MET),
        (Word.POSITIVE, NOT_MET, MET, MET),
        (Word.REACTIVE, Reason.INCONCLUSIVE, Reason.INCONCLUSIVE, MET),
        (Word.BORDERLINE, Reason.REVIEW, Reason.REVIEW, MET),
        (Word.INDETERMINATE, Reason.INCONCLUSIVE, Reason.INCONCLUSIVE, Reason.INCONCLUSIVE),
    ],
)
def test_each_word_is_read_for_what_is_asked(given: Word, negative: Any, positive: Any, reported: Any) -> None:
    """Negative, positive, or simply reported."""
    asked = [{"result": {"test": "t", "is": what}} for what in ("negative", "positive", "reported")]
    found = [says(written, of_test(word(given))) for written in asked]
    assert [said.reason or said.truth for said in found] == [negative, positive, reported]


def test_a_reactive_screen_counts_as_positive_where_the_file_says_so() -> None:
    """Without confirmation, for what has to be followed up rather than refused."""
    written = {"result": {"test": "t", "is": "positive", "reactive_counts": "yes"}}
    assert says(written, of_test(word(Word.REACTIVE))).truth is MET


def test_a_number_without_a_word_is_a_report_and_nothing_more() -> None:
    """A titre shows that the test was done, not what it means."""
    assert says({"result": {"test": "t", "is": "reported"}}, of_test(number("400"))).truth is MET
    assert says({"result": {"test": "t", "is": "negative"}}, of_test(number("400"))).reason is Reason.INCONCLUSIVE


@pytest.mark.parametrize("compare", ["at_least", "below"])
def test_clumping_makes_a_low_count_doubtful_and_leaves_a_good_one(compare: str) -> None:
    """Clumps make a count too low, never too high, whichever way the limit is written."""
    written = {"value": {"test": "t", compare: "50"}}
    clumped = frozenset({"clumped"})
    assert says(written, of_test(number("40", flags=clumped))).reason is Reason.REVIEW
    assert says(written, of_test(number("60", flags=clumped))).truth is not UNKNOWN


def test_a_limit_of_detection_does_not_fail_a_limit() -> None:
    """`1` from an assay that sees nothing below 1 may be less."""
    written = {"value": {"test": "t", "below": "1"}}
    assert says(written, of_test(number("1", flags=frozenset({"detection-limit"})))).reason is Reason.INCONCLUSIVE


@pytest.mark.parametrize(
    ("written", "rows", "truth"),
    [
        (AT_LEAST_50, (number("90"),), MET),
        (AT_LEAST_50, (number("40"),), NOT_MET),
        (AT_LEAST_50, (), UNKNOWN),
        (EVER_POSITIVE, (word(Word.POSITIVE),), MET),
        (EVER_POSITIVE, (word(Word.NEGATIVE),), UNKNOWN),
        (EVER_POSITIVE, (word(Word.NEGATIVE, answer=True),), UNKNOWN),
    ],
)
def test_of_a_test_read_in_part_only_what_nothing_can_undo_stands(
    written: Any, rows: tuple[Result, ...], truth: Truth
) -> None:
    """Of those that were read the newest decides; one positive is enough for "ever", and none found is not."""
    said = says(written, of_test(*rows, unread=frozenset({"result/t"})))
    assert said.truth is truth
    assert said.reason is (Reason.NOT_RETRIEVED if truth is UNKNOWN else None)


@pytest.mark.parametrize(("day", "remarked"), [("2026-08-24", False), ("2026-08-23", True), ("2026-11-01", False)])
def test_an_old_result_is_remarked_and_counts(day: str, remarked: bool) -> None:
    """The policy sets no age; the reader is told."""
    written = {"result": {"test": "t", "is": "negative", "within_months": "12", "warn_after_months": "3"}}
    said = says(written, of_test(word(Word.NEGATIVE, day)))
    assert said.truth is MET
    assert bool(said.remarks) is remarked


def test_the_test_that_would_settle_it_is_named() -> None:
    """So that the order for it can be offered."""
    assert says(NEGATIVE, facts()).tests == ("t",)
    assert says(NEGATIVE, of_test(word(Word.NEGATIVE))).tests == ()


# -- so many times the laboratory's own upper limit of normal ----------------------------------------------------------

AT_MOST_3_TIMES = {
    "value": {"test": "t", "at_most": "3", "times": "upper-limit-of-normal", "within_months": "3"},
    "needed": "An ALT on or after {since}",
}
ULN_40 = {"upper_limit_of_normal": Decimal(40), "normal": "7 U/L - 40 U/L"}


@COMPARED
def test_a_limit_in_times_is_that_many_times_the_results_own(
    compare: str, under: Truth, at: Truth, over: Truth
) -> None:
    """2.5 times 40 is 100: just under it, at it and just over it, for each comparison."""
    written = {"value": {"test": "t", compare: "2.5", "times": "upper-limit-of-normal"}}
    found = [says(written, of_test(number(value, **ULN_40))).truth for value in ("99.9", "100", "100.1")]
    assert found == [under, at, over]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (interval("0", "120", high_open=True), MET),
        (interval("0", "130", high_open=True), Reason.INCONCLUSIVE),
        (interval("120", None, low_open=True), NOT_MET),
        (interval("100", None, low_open=True), Reason.INCONCLUSIVE),
    ],
)
def test_a_comparator_is_held_against_the_multiple_as_an_interval(given: Interval, expected: Truth | Reason) -> None:
    """<120, <130, >120 and >100 against three times 40."""
    said = says(AT_MOST_3_TIMES, of_test(Result("t", "Observation/t", "t", NOVEMBER_1, value=given, **ULN_40)))
    assert (said.reason or said.truth) is expected


@pytest.mark.parametrize("value", ["1", "100", "100000"])
def test_a_value_without_the_laboratorys_limit_is_never_decided(value: str) -> None:
    """However low or high; an older one with its limit does not stand in for it."""
    said = says(AT_MOST_3_TIMES, of_test(number(value), number("30", "2026-10-01", **ULN_40)))
    assert (said.truth, said.reason) == (UNKNOWN, Reason.INCONCLUSIVE)


def test_what_is_needed_names_the_laboratorys_limit() -> None:
    """With the policy's own words or without, and not twice."""
    (needed,) = says(AT_MOST_3_TIMES, of_test(number("100"))).needed
    assert needed == "An ALT on or after 2026-08-24, with the laboratory's upper limit of normal"
    said = says({"value": AT_MOST_3_TIMES["value"]}, of_test(number("100")))
    assert said.needed == ("The result with the laboratory's upper limit of normal",)
    own = {**AT_MOST_3_TIMES, "needed": "An ALT with its upper limit of normal"}
    assert says(own, of_test(number("100"))).needed == ("An ALT with its upper limit of normal",)


def test_the_range_stands_beside_the_value_where_it_is_asked_for_alone() -> None:
    """As the source has it; a statement that does not ask shows what it always did."""
    found = of_test(number("100", **ULN_40), number("90", "2026-10-01"))
    assert [fact.display for fact in says(AT_MOST_3_TIMES, found).facts] == [
        "t 100 on 2026-11-01 (normal 7 U/L - 40 U/L)",
        "t 90 on 2026-10-01 (no upper limit of normal with it)",
    ]
    assert [fact.display for fact in says(AT_LEAST_50, found).facts] == ["t 100 on 2026-11-01", "t 90 on 2026-10-01"]


def test_a_typed_number_is_not_decided_by_times() -> None:
    """The form has no range; with its report it does not decide, without it is only stated."""
    reported, stated = number("30", answer=True), number("30", answer=True, report=False)
    assert says(AT_MOST_3_TIMES, of_test(reported)).reason is Reason.INCONCLUSIVE
    assert says(AT_MOST_3_TIMES, of_test(stated)).reason is Reason.ATTESTED_ONLY


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (number("100"), MET),
        (number("100", **ULN_40), MET),
        (number("130", **ULN_40), Reason.REVIEW),
    ],
)
def test_a_yes_on_the_form_stands_where_the_range_lacks_and_not_against_it(
    result: Result, expected: Truth | Reason
) -> None:
    """Both sources under `told_by`, as the docs say."""
    yes = {"answer": {"question": "q.alt_ok", "is": "yes"}}
    said = says({"told_by": [AT_MOST_3_TIMES, yes]}, of_test(result, answers=answers(alt_ok=True)))
    assert (said.reason or said.truth) is expected


@given(
    compare=st.sampled_from(["at_most", "below", "at_least", "above"]),
    times=st.decimals("0.1", "10", places=1),
    limit=st.decimals("1", "100", places=1),
    low=st.decimals("0", "400", places=1),
    wide=st.one_of(st.none(), st.decimals("0", "100", places=1)),
    open_ends=st.tuples(st.booleans(), st.booleans()),
)
def test_times_decides_as_the_multiplied_limit_does(
    compare: str, times: Decimal, limit: Decimal, low: Decimal, wide: Decimal | None, open_ends: tuple[bool, bool]
) -> None:
    """Any value and comparator: the same word as the plain limit, and open without the laboratory's."""
    value = Interval(low, None if wide is None else low + wide, *open_ends)
    plain = {"value": {"test": "t", compare: str(times * limit)}}
    relative = {"value": {"test": "t", compare: str(times), "times": "upper-limit-of-normal"}}
    result = Result("t", "Observation/t", "t", NOVEMBER_1, value=value, upper_limit_of_normal=limit)
    expected, found = says(plain, of_test(result)), says(relative, of_test(result))
    assert (found.truth, found.reason) == (expected.truth, expected.reason)
    assert says(relative, of_test(replace(result, upper_limit_of_normal=None))).truth is UNKNOWN
