"""What a policy says of an order: rows before `met`, what hides, the outcome, and the line of business."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest

from cds_service.policy.dates import Span
from cds_service.policy.determination import Determination, Finding, determine, outcome_of
from cds_service.policy.facts import Certainty, Facts, Person, Plan, Result, Word
from cds_service.policy.reasons import Outcome, Reason, Status

from .samples import answers, diagnosis, facts, note, of_test, on, policy

YES = {"answer": {"question": "q.a", "is": "yes"}}
NO = {"answer": {"question": "q.a", "is": "no"}}
HAS_X = {"diagnosis": {"of": ["cond.x"]}}
HAS_Y = {"diagnosis": {"of": ["cond.y"]}}


def finding(criterion: Mapping[str, Any], about: Facts) -> Finding:
    """What is said of the one criterion."""
    return determine(policy({"id": "1", **criterion}), about).findings[0]


def test_a_row_that_is_shown_fails_the_criterion_and_speaks() -> None:
    """Its sentence and its evidence go on the card."""
    row = {"when": HAS_X, "says": "X is recorded."}
    found = finding({"met": YES, "not_met": [row]}, facts(answers=answers(a=True), diagnoses=(diagnosis("cond.x"),)))
    assert (found.status, found.says) == (Status.NOT_MET, "X is recorded.")
    assert [evidence.reference for evidence in found.evidence] == ["Condition/c"]


def test_a_review_row_comes_before_a_not_met_row() -> None:
    """A contradiction that the file names wins."""
    criterion = {"met": YES, "review": [{"when": HAS_X, "says": "r"}], "not_met": [{"when": HAS_X, "says": "n"}]}
    found = finding(criterion, facts(diagnoses=(diagnosis("cond.x"),)))
    assert (found.status, found.reason, found.says) == (Status.UNKNOWN, Reason.REVIEW, "r")


def test_unless_takes_a_row_back() -> None:
    """The row is not shown where its exception is."""
    criterion = {"met": YES, "not_met": [{"when": HAS_X, "unless": HAS_Y, "says": "n"}]}
    both = facts(answers=answers(a=True), diagnoses=(diagnosis("cond.x"), diagnosis("cond.y")))
    assert finding(criterion, both).status is Status.MET
    assert finding(criterion, facts(diagnoses=(diagnosis("cond.x"),))).status is Status.NOT_MET


def test_an_exception_that_was_not_read_keeps_a_row_from_deciding() -> None:
    """Neither not met nor met."""
    criterion = {"met": YES, "not_met": [{"when": HAS_X, "unless": {"note": {"says": ["s"]}}, "says": "n"}]}
    about = facts(answers=answers(a=True), diagnoses=(diagnosis("cond.x"),), unread=frozenset({"notes"}))
    found = finding(criterion, about)
    assert (found.status, found.reason) == (Status.UNKNOWN, Reason.NOT_RETRIEVED)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"unread": frozenset({"diagnoses"})}, Reason.NOT_RETRIEVED),
        ({"diagnoses": (diagnosis("cond.x", Certainty.UNCONFIRMED),)}, Reason.INCONCLUSIVE),
    ],
)
def test_a_row_that_cannot_be_told_keeps_the_criterion_from_being_met(more: Any, reason: Reason) -> None:
    """What was not read, or is there and unclear, could speak against."""
    criterion = {"met": YES, "not_met": [{"when": HAS_X, "says": "n"}]}
    found = finding(criterion, facts(answers=answers(a=True), **more))
    assert (found.status, found.reason) == (Status.UNKNOWN, reason)


def test_a_row_that_finds_nothing_hides_nothing() -> None:
    """Looked, and nothing there: the criterion is met."""
    criterion = {"met": YES, "not_met": [{"when": HAS_X, "says": "n"}]}
    assert finding(criterion, facts(answers=answers(a=True))).status is Status.MET


def test_a_criterion_that_does_not_apply_is_not_asked() -> None:
    """Where `applies_when` is shown not to hold, nothing else is looked at."""
    criterion = {"applies_when": YES, "met": HAS_X, "not_met": [{"when": HAS_Y, "says": "n"}]}
    about = facts(answers=answers(a=False), diagnoses=(diagnosis("cond.y"),))
    assert finding(criterion, about).status is Status.NOT_APPLICABLE


def test_a_criterion_of_which_it_is_not_known_whether_it_applies_never_fails() -> None:
    """It stays open for that reason; when it is met, that stands."""
    criterion = {"applies_when": YES, "met": HAS_X, "not_met": [{"when": HAS_Y, "says": "n"}]}
    assert finding(criterion, facts(diagnoses=(diagnosis("cond.y"),))).reason is Reason.NOT_RECORDED
    assert finding(criterion, facts(diagnoses=(diagnosis("cond.x"),))).status is Status.MET


def test_a_criterion_can_look_at_an_earlier_one() -> None:
    """Met by the other, and open with its reason."""
    written = policy({"id": "1", "met": HAS_X}, {"id": "2", "met": {"criterion": {"met": "1"}}})
    shown = determine(written, facts(diagnoses=(diagnosis("cond.x"),)))
    assert [found.status for found in shown.findings] == [Status.MET, Status.MET]
    missed = determine(written, facts(unread=frozenset({"diagnoses"})))
    assert [found.reason for found in missed.findings] == [Reason.NOT_RETRIEVED] * 2


def test_a_note_can_say_that_a_criterion_is_not_met() -> None:
    """`not` of an earlier criterion holds when that one failed, and not while it is open."""
    criterion = {"id": "1", "met": YES, "not_met": [{"when": NO, "says": "n"}]}
    notes = [{"when": {"not": {"criterion": {"met": "1"}}}, "text": "another policy applies"}]
    written = policy(criterion, notes=notes)
    assert determine(written, facts(answers=answers(a=False))).notes[-1] == "another policy applies"
    assert "another policy applies" not in determine(written, facts()).notes
    assert "another policy applies" not in determine(written, facts(answers=answers(a=True))).notes


@pytest.mark.parametrize(
    ("day", "undated"),
    [(on("2020-01-01"), False), (None, True), (Span(date(2020, 1, 1), date(2020, 1, 31)), True)],
    ids=["a day", "none", "a month"],
)
def test_of_what_is_stale_it_is_known_whether_it_has_a_day(day: Span | None, undated: bool) -> None:
    """By the day of the result, whatever days its text tells."""
    criterion = {"met": {"result": {"test": "t", "is": "negative", "within_months": 3}}}
    text = "Negative, as reported on 2026-11-01"
    found = finding(criterion, of_test(Result("t", "Observation/t", text, day, word=Word.NEGATIVE)))
    assert (found.reason, found.undated) == (Reason.STALE, undated)


def test_what_is_needed_is_said_only_while_it_is_open() -> None:
    """A finding that is settled asks for nothing."""
    criterion = {"met": {**YES, "needed": "the answer"}}
    assert finding(criterion, facts()).needed == ("the answer",)
    assert finding(criterion, facts(answers=answers(a=True))).needed == ()
    assert finding(criterion, facts(answers=answers(a=False))).needed == ()


@pytest.mark.parametrize(("value", "blocks"), [(True, False), (False, True)])
def test_when_not_met_blocks_only_then(value: bool, blocks: bool) -> None:
    """Silence on it stands in nobody's way."""
    criterion = {"met": YES, "blocking": "when-not-met"}
    assert finding(criterion, facts(answers=answers(a=value))).blocking is blocks
    assert finding(criterion, facts()).blocking is False


def a_finding(status: Status, reason: Reason | None = None, blocking: bool = True) -> Finding:
    """A finding with this status."""
    return Finding("1", "", "inclusion", blocking, status, reason, (), "", (), (), (), (), "")


MISSING = a_finding(Status.UNKNOWN, Reason.STALE)
UNREAD = a_finding(Status.UNKNOWN, Reason.NOT_RETRIEVED)
REVIEW = a_finding(Status.UNKNOWN, Reason.REVIEW)
FAILED, GOOD = a_finding(Status.NOT_MET), a_finding(Status.MET)
ASIDE, NEITHER = a_finding(Status.NOT_MET, blocking=False), a_finding(Status.NOT_APPLICABLE)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ((GOOD, REVIEW, UNREAD, MISSING, FAILED), Outcome.CRITERIA_NOT_MET),
        ((GOOD, REVIEW, UNREAD, MISSING), Outcome.DOCUMENTATION_MISSING),
        ((GOOD, REVIEW, UNREAD), Outcome.UNDETERMINED),
        ((GOOD, REVIEW), Outcome.NEEDS_REVIEW),
        ((GOOD, NEITHER, ASIDE), Outcome.CRITERIA_MET),
    ],
)
def test_the_first_outcome_that_applies_is_said(found: tuple[Finding, ...], expected: Outcome) -> None:
    """The order of precedence, whatever order the findings stand in; what does not block does not count."""
    assert outcome_of(found) is expected
    assert outcome_of(found[::-1]) is expected


@pytest.mark.parametrize("reason", [r for r in Reason if r not in (Reason.REVIEW, Reason.NOT_RETRIEVED)])
def test_every_other_reason_is_missing_documentation(reason: Reason) -> None:
    """All of them are for the prescriber to settle."""
    assert outcome_of((a_finding(Status.UNKNOWN, reason), UNREAD, REVIEW)) is Outcome.DOCUMENTATION_MISSING


SCOPE = {
    "unconfirmed": "not confirmed",
    "lines": [
        {"name": "Pharmacy", "of": ["c.dual", "c.pharmacy"], "applies": "no"},
        {"name": "Dual", "of": ["c.dual"], "applies": "yes", "roster": ["d-snp"], "note": "first things first"},
        {"name": "Federal", "of": ["c.fep"], "applies": "no", "roster": ["FEP"]},
    ],
}


def determined(*sets: str, roster: tuple[str, ...] = (), unread: str = "") -> Determination:
    """What is said of an order under this coverage."""
    plan = Plan("Coverage/c", frozenset(sets), "c", roster) if sets or roster else None
    return determine(
        policy({"id": "1", "met": YES}, scope=SCOPE),
        facts(plan=plan, answers=answers(a=True), unread=frozenset({unread} - {""})),
    )


@pytest.mark.parametrize(
    ("sets", "roster", "line", "outcome"),
    [
        (("c.dual",), (), "Dual", Outcome.CRITERIA_MET),
        (("c.dual", "c.pharmacy"), (), "Pharmacy", Outcome.POLICY_NOT_APPLICABLE),
        (("c.fep",), (), "Federal", Outcome.POLICY_NOT_APPLICABLE),
        (("c.fep",), ("D-SNP ",), "Dual", Outcome.CRITERIA_MET),
        (("c.dual",), ("fep",), "Federal", Outcome.POLICY_NOT_APPLICABLE),
        (("c.dual",), ("federal",), "Federal", Outcome.POLICY_NOT_APPLICABLE),
        (("c.dual",), ("unheard of",), "Dual", Outcome.CRITERIA_MET),
        (("c.other",), (), "", Outcome.CRITERIA_MET),
        ((), (), "", Outcome.CRITERIA_MET),
    ],
)
def test_the_first_line_that_fits_counts_and_the_roster_before_the_coverage(
    sets: tuple[str, ...], roster: tuple[str, ...], line: str, outcome: Outcome
) -> None:
    """The plan's own word stands above the coverage's; upper case and spaces do not matter."""
    said = determined(*sets, roster=roster)
    assert (said.line, said.outcome) == (line, outcome)


def test_the_line_of_business_speaks_and_so_does_not_knowing_it() -> None:
    """The line's own note, or that it is not confirmed."""
    assert determined("c.dual").notes == ("first things first",)
    assert determined().notes == ("not confirmed",)


def test_out_of_scope_no_criterion_is_judged() -> None:
    """The policy does not apply, so it says nothing."""
    assert determined("c.fep").findings == ()


def test_a_coverage_that_was_not_read_never_ends_in_criteria_met() -> None:
    """It may be one that the policy does not apply to."""
    assert determined(unread="coverage").outcome is Outcome.UNDETERMINED
    assert determined("c.dual", unread="coverage").outcome is Outcome.CRITERIA_MET


def test_the_blocking_findings_of_a_status_are_found() -> None:
    """What a card lists."""
    said = determined("c.dual")
    assert [found.id for found in said.blocking(Status.MET)] == ["1"]
    assert said.blocking(Status.NOT_MET) == ()


def test_evidence_is_not_said_twice() -> None:
    """One fact that decides two parts is shown once."""
    person = Person("Patient/p", on("1980-01-01"), False, "born 1980-01-01")
    age = {"age": {"at_least": "18"}}
    found = finding({"met": {"all": [age, age]}}, facts(person=person))
    assert [evidence.reference for evidence in found.evidence] == ["Patient/p"]


def test_a_contradiction_shows_both_sides() -> None:
    """So that the reader can judge."""
    asked = {"told_by": [YES, {"note": {"says": ["s"], "denies": ["n"]}}]}
    found = finding({"met": asked}, facts(answers=answers(a=True), notes=(note("n"),)))
    assert found.reason is Reason.REVIEW
    assert [evidence.reference for evidence in found.evidence] == ["QuestionnaireResponse/r#q.a", "DocumentReference/d"]


def test_what_tells_whether_a_criterion_applies_is_needed_first() -> None:
    """A renewal is not asked for before it is known to be one."""
    applies = {"answer": {"question": "q.b", "is": "yes"}, "needed": "Whether this is a renewal"}
    criterion = {"applies_when": applies, "met": {**YES, "needed": "The improvement"}}
    assert finding(criterion, facts()).needed == ("Whether this is a renewal", "The improvement")
    assert finding(criterion, facts(answers=answers(b=True))).needed == ("The improvement",)
