"""Every policy's cases hold, and together they leave no statement, limit or window of its file untried."""

from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from cds_service.policy.cases import Case, CaseFile, facts_of, read_cases, run_case
from cds_service.policy.compiled import CompiledPolicy, statements_of
from cds_service.policy.criteria import AnswerTo, CriterionIs, NoteThat
from cds_service.policy.dates import months_before
from cds_service.policy.determination import Determination, Finding, determine
from cds_service.policy.facts import Facts, Interval
from cds_service.policy.library import load_library
from cds_service.policy.measured import ResultOf, ValueOf
from cds_service.policy.policy import Criterion
from cds_service.policy.reasons import Outcome, Reason, Status
from cds_service.policy.value_sets import read_systems
from fhir_mappings.labs import read_labs

POLICIES = Path(__file__).resolve().parents[2] / "policies"
LABS = read_labs(read_systems(POLICIES / "value_sets"))
LIBRARY = load_library(POLICIES, LABS.tests)
CASES = {
    (policy.source.policy, policy.source.drug): read_cases(
        POLICIES / policy.source.policy.lower() / policy.source.drug / "cases.yaml"
    )
    for policy in LIBRARY.policies
}
SOURCES = ("patient", "coverage", "diagnoses", "treatments", "bills", "clinicians", "notes", "answers", "order")

EVERY_POLICY = pytest.mark.parametrize("policy", LIBRARY.policies, ids=[p.source.drug for p in LIBRARY.policies])
EVERY_CASE = pytest.mark.parametrize(
    ("policy", "case"),
    [(policy, case) for policy in LIBRARY.policies for case in CASES[policy.source.policy, policy.source.drug].cases],
    ids=lambda value: value.name if isinstance(value, Case) else value.source.drug,
)


def cases_of(policy: CompiledPolicy) -> CaseFile:
    """The cases that lie beside the policy."""
    return CASES[policy.source.policy, policy.source.drug]


@cache
def tried(policy: CompiledPolicy) -> tuple[tuple[Case, Facts, Determination], ...]:
    """Every case with its facts and what is said of them."""
    file = cases_of(policy)
    charts = ((case, facts_of(policy, file, case)) for case in file.cases)
    return tuple((case, facts, determine(policy, facts)) for case, facts in charts)


def expected(policy: CompiledPolicy, criterion: str) -> set[str]:
    """What the cases expect of the criterion."""
    return {case.expect[criterion] for case, _, _ in tried(policy) if criterion in case.expect}


def findings(policy: CompiledPolicy) -> list[Finding]:
    """Every finding of every case."""
    return [finding for _, _, said in tried(policy) for finding in said.findings]


@EVERY_CASE
def test_the_case_holds(policy: CompiledPolicy, case: Case) -> None:
    """The criteria, outcome and line of business of a case are those that it names."""
    _, failures = run_case(policy, cases_of(policy), case)
    assert [failure.message for failure in failures] == []


@EVERY_POLICY
def test_no_two_cases_have_one_name(policy: CompiledPolicy) -> None:
    """A name finds its case."""
    names = [case.name for case in cases_of(policy).cases]
    assert sorted(names) == sorted(set(names))


@EVERY_POLICY
def test_cases_expect_only_criteria_of_the_policy(policy: CompiledPolicy) -> None:
    """A misspelt criterion in a case is no case."""
    known = {criterion.id for criterion in policy.source.criteria}
    assert [case.name for case in cases_of(policy).cases if not case.expect.keys() <= known] == []


@EVERY_POLICY
def test_every_criterion_is_seen_met_not_met_and_unknown(policy: CompiledPolicy) -> None:
    """No criterion has a side that no case shows."""
    for criterion in policy.source.criteria:
        seen = {words.partition(" ")[0] for words in expected(policy, criterion.id)}
        wanted = {"met", "not-met", "unknown"} | ({"not-applicable"} if criterion.applies_when else set())
        assert wanted <= seen, criterion.id


@EVERY_POLICY
def test_every_reason_that_can_apply_is_seen(policy: CompiledPolicy) -> None:
    """Each way in which a criterion can stay open has a case."""
    for criterion in policy.source.criteria:
        if criterion.blocking == "yes":
            seen = expected(policy, criterion.id)
            missing = {reason for reason in _reasons(policy, criterion) if f"unknown {reason}" not in seen}
            assert missing == set(), criterion.id


def _reasons(policy: CompiledPolicy, criterion: Criterion) -> set[Reason]:
    reasons = {Reason.NOT_RECORDED, Reason.NOT_RETRIEVED}
    if criterion.review:
        reasons.add(Reason.REVIEW)
    questions = [question for question in policy.source.questions if question.id in criterion.questions]
    on_form = {question.test for question in questions}
    on_form |= {test for question in questions for tests in question.words.values() for test in tests}
    for statement in statements_of(criterion):
        if isinstance(statement, ResultOf | ValueOf):
            reasons |= {Reason.PRELIMINARY, Reason.INCONCLUSIVE, Reason.REVIEW}
            if isinstance(statement, ValueOf):
                reasons |= {Reason.UNIT_UNKNOWN, Reason.IMPLAUSIBLE}
            if statement.within_months is not None:
                reasons.add(Reason.STALE)
            if statement.test in on_form:
                reasons.add(Reason.ATTESTED_ONLY)
    return reasons


@EVERY_POLICY
def test_every_row_of_the_file_decides_some_case(policy: CompiledPolicy) -> None:
    """No `review` or `not_met` row is there that no case needs."""
    spoken = {(finding.id, finding.says) for finding in findings(policy)}
    rows = {(c.id, row.says) for c in policy.source.criteria for row in (*c.review, *c.not_met)}
    assert rows - spoken == set()


@EVERY_POLICY
def test_every_statement_of_the_file_is_seen_to_hold_and_not_to_hold(policy: CompiledPolicy) -> None:
    """No part of an `any`, an `all` or an `unless` is there that the cases leave untried."""
    untried = []
    for statement in (s for criterion in policy.source.criteria for s in statements_of(criterion)):
        if isinstance(statement, CriterionIs):
            continue  # it asks for another finding, not for a fact
        only_denies = isinstance(statement, NoteThat) and not statement.says
        seen = {statement.say(facts, {}).truth.name for _, facts, _ in tried(policy)}
        if ("NOT_MET" if only_denies else "MET") not in seen or len(seen) == 1:
            untried.append(statement)
    assert untried == []


@EVERY_POLICY
def test_every_limit_has_a_value_at_it_under_it_and_over_it(policy: CompiledPolicy) -> None:
    """A limit that is off by one, or strict where it is not, fails some case."""
    for test, limit in sorted({(s.test, _limit(s)) for s in policy.statements if isinstance(s, ValueOf)}):
        points = {p for case, facts, _ in tried(policy) if case.expect for p in _points(facts, test)}
        near = max(Decimal(1), limit / 10)
        assert limit in points, f"{test}: no value of {limit}"
        assert any(limit - near <= point < limit for point in points), f"{test}: none just under {limit}"
        assert any(limit < point <= limit + near for point in points), f"{test}: none just over {limit}"


def _limit(statement: ValueOf) -> Decimal:
    limits = (statement.at_most, statement.below, statement.at_least, statement.above)
    return next(limit for limit in limits if limit is not None)


def _points(facts: Facts, test: str) -> list[Decimal]:
    values = [result.value for result in facts.results.get(test, ())]
    return [value.low for value in values if isinstance(value, Interval) and value.low == value.high]


@EVERY_POLICY
def test_every_number_of_an_answer_is_tried_at_its_limit_and_beside_it(policy: CompiledPolicy) -> None:
    """Bleeds and exposure days are counted exactly."""
    for statement in policy.statements:
        limit = getattr(statement, "at_least", None) or getattr(statement, "below", None)
        if isinstance(statement, AnswerTo) and limit is not None:
            answers = [facts.answers.get(statement.question) for _, facts, _ in tried(policy)]
            given = {answer.value for answer in answers if answer is not None}
            assert {limit - 1, limit, limit + 1} <= given, statement.question


@EVERY_POLICY
def test_every_window_has_its_last_day_and_the_day_before(policy: CompiledPolicy) -> None:
    """A window that is a day too long or too short fails some case."""
    asked = [s for s in policy.statements if isinstance(s, ResultOf | ValueOf)]
    windows = {(s.test, s.within_months) for s in asked if s.within_months is not None}
    for test, months in sorted(windows):
        days = {
            (result.date.first - months_before(facts.day, months)).days
            for _, facts, _ in tried(policy)
            for result in facts.results.get(test, ())
            if result.date is not None and result.date.exact
        }
        assert {0, -1} <= days, f"{test}: {months} months"


@EVERY_POLICY
def test_every_window_of_a_note_has_its_last_day_and_the_day_before(policy: CompiledPolicy) -> None:
    """As for results."""
    for statement in policy.statements:
        if isinstance(statement, NoteThat) and statement.within_months is not None:
            days = {
                (note.date.first - months_before(facts.day, statement.within_months)).days
                for _, facts, _ in tried(policy)
                for note in facts.notes
                if note.date is not None and note.sets & statement.says
            }
            assert {0, -1} <= days


@EVERY_POLICY
def test_every_outcome_and_every_line_of_business_is_seen(policy: CompiledPolicy) -> None:
    """The six outcomes, the lines in and out of scope, and the coverage that tells nothing."""
    cases = cases_of(policy).cases
    assert {case.outcome for case in cases} - {None} == set(Outcome)
    assert {case.line for case in cases} - {None} == {line.name for line in policy.source.scope.lines} | {""}


@EVERY_POLICY
def test_the_chart_that_meets_everything_does_so_only_when_all_of_it_was_read(policy: CompiledPolicy) -> None:
    """Each source that a blocking criterion rests on, left unread, takes the outcome away."""
    _, facts, said = tried(policy)[0]
    assert said.outcome is Outcome.CRITERIA_MET
    rests_on_nothing = {"order", "result/body_weight", "result/fib4", "result/platelet_clumps"}
    for source in (*SOURCES, *(f"result/{test}" for test in policy.tests)):
        unread = determine(policy, _unread(facts, source))
        if source not in rests_on_nothing:
            assert unread.outcome is not Outcome.CRITERIA_MET, source


@EVERY_POLICY
def test_what_was_not_read_never_makes_a_criterion_met(policy: CompiledPolicy) -> None:
    """Over the charts of the cases: a source that fails may open a criterion, never settle it for the order."""
    never_sought = {
        statement.test for statement in policy.statements if getattr(statement, "if_unread", "") == "silent"
    }
    sources = (*SOURCES, *(f"result/{test}" for test in policy.tests.keys() - never_sought))
    sources = tuple(sorted(sources))
    for number, (case, facts, said) in enumerate(tried(policy)):
        before = {finding.id: finding.status for finding in said.findings}
        for source in (sources[number % len(sources)], sources[(number * 7 + 3) % len(sources)]):
            after = determine(policy, _unread(facts, source))
            met = {f.id for f in after.findings if f.status is Status.MET and before.get(f.id) in _OPEN}
            assert met == set(), f"{case.name} without {source}"
            assert after.outcome is not Outcome.CRITERIA_MET or said.outcome is after.outcome, f"{case.name}: {source}"


_OPEN = (Status.NOT_MET, Status.UNKNOWN)


def _unread(facts: Facts, source: str) -> Facts:
    unread = replace(facts, unread=facts.unread | {source})
    empty: dict[str, Any] = {
        "patient": {"person": None},
        "coverage": {"plan": None},
        "answers": {"answers": {}},
        "bills": {},
    }
    if source.startswith("result/"):
        return replace(unread, results={**facts.results, source.removeprefix("result/"): ()})
    if source == "order":
        return replace(unread, order=replace(facts.order, refills=None, doses=()))
    return replace(unread, **empty.get(source, {source: ()}))


@EVERY_POLICY
def test_the_words_for_what_is_needed_name_the_first_day_of_the_window(policy: CompiledPolicy) -> None:
    """`{since}` is filled in with the day three or twelve months back, never with today."""
    nothing = next(said for case, _, said in tried(policy) if case.chart == "nothing-on-record")
    needed = " ".join(text for finding in nothing.findings for text in finding.needed)
    assert "{" not in needed
    assert "2026-08-24" in needed
    assert "2026-11-24" not in needed


@EVERY_POLICY
def test_an_inhibitor_result_older_than_3_months_is_pointed_out(policy: CompiledPolicy) -> None:
    """12 months are accepted, and the age is said after 3; a day younger is not remarked."""
    by_name = {case.name: said for case, _, said in tried(policy)}
    old = by_name["A negative inhibitor on the last day of 12 months counts."]
    fresh = by_name["A negative inhibitor of today counts."]
    assert any("more than 3 months old" in r for f in old.findings if f.id == "6" for r in f.remarks)
    assert not any(f.remarks for f in fresh.findings if f.id == "6")


@EVERY_POLICY
def test_another_diagnosis_brings_the_note_on_the_off_label_policy(policy: CompiledPolicy) -> None:
    """Hemophilia of the other type is not simply refused: the plan has a policy for it, and the card names it."""
    said = next(said for case, _, said in tried(policy) if case.name.endswith("alone fails.") and "3" in case.expect)
    assert any("Pharmacy-32" in note for note in said.notes)
    assert not any("Pharmacy-32" in note for note in tried(policy)[0][2].notes)


@EVERY_POLICY
def test_the_day_of_the_cases_is_the_day_they_are_judged_on(policy: CompiledPolicy) -> None:
    """The windows in the cases' names are those of this day."""
    assert cases_of(policy).day == date(2026, 11, 24).isoformat()
