"""What is filled into the draft: only what the record says, and only where it counts."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from asking import CONTEXT, Endpoint, Json, answer, answers, asked_for, coverage_of, known, packages, parameters, post
from msgspec.structs import replace
from signing import PUBLIC, story_named

from cds_service.dtr.package import Known
from cds_service.dtr.prefill import Filling
from cds_service.policy.dates import Span, day_span
from cds_service.policy.facts import (
    Answer,
    Certainty,
    Clinician,
    Diagnosis,
    Facts,
    Interval,
    Result,
    Stage,
    Word,
    exactly,
)
from cds_service.policy.reasons import Reason
from hooks.service import Service

HERE = Decimal(0)
RECENT = day_span(date(2026, 11, 3))


@pytest.fixture
def bare(service: Service) -> Facts:
    """The facts of an order with an empty chart."""
    facts = known(service, "demo-hemgenix-met").facts
    assert facts is not None
    return replace(facts, results={}, diagnoses=(), treatments=(), clinicians=(), notes=(), answers={})


def filled(service: Service, facts: Facts, drug: str = "hemgenix", **changed: Any) -> dict[str, Any]:
    """What is filled in from these facts, as linkId → value, or code of a choice."""
    policy = next(found for found in service.library.policies if found.source.drug == drug)
    given = Filling(policy, service.vocabulary.labs, PUBLIC).answers(replace(facts, **changed))
    values = {link: next(iter(value.values())) for link, value in given.items()}
    return {link: value["code"] if "display" in _members(value) else value for link, value in values.items()}


def _members(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def result(test: str, value: Interval | None = None, word: Word | None = None, **members: Any) -> Result:
    """A final result of three weeks ago."""
    given: dict[str, Any] = {"date": RECENT, "value": value, "word": word, **members}
    return Result(test, "Observation/o", "as the chart has it", **given)


def platelets(value: int, **members: Any) -> dict[str, tuple[Result, ...]]:
    """One platelet count."""
    return {"platelets": (result("platelets", exactly(Decimal(value)), **members),)}


def test_a_number_comes_with_unit_and_day(service: Service, bare: Facts) -> None:
    """As the form asks for it."""
    found = filled(service, bare, results=platelets(212))
    assert found["q.platelets"]["value"] == 212
    assert found["q.platelets"]["code"] == "10*9/L"
    assert found["q.platelets.date"] == "2026-11-03"


@pytest.mark.parametrize(
    "members",
    [
        {"date": day_span(date(2026, 8, 23))},
        {"date": None},
        {"date": Span(date(2026, 8, 1), date(2026, 8, 31))},
        {"date": day_span(date(2026, 12, 1))},
        {"stage": Stage.PRELIMINARY},
        {"flags": frozenset({"clumped"})},
        {"answer": True},
    ],
    ids=["one day too old", "no day", "may be too old", "not yet", "preliminary", "clumped", "an earlier answer"],
)
def test_a_result_that_does_not_count_is_not_filled_in(service: Service, bare: Facts, members: Json) -> None:
    """It would look like the answer, and the plan would not take it."""
    assert "q.platelets" not in filled(service, bare, results=platelets(212, **members))


def test_a_number_out_of_range_is_not_filled_in(service: Service, bare: Facts) -> None:
    """A slip in the chart is not copied into the form."""
    assert "q.platelets" not in filled(service, bare, results=platelets(212_000))


def test_the_lowest_factor_level_of_any_day_is_taken(service: Service, bare: Facts) -> None:
    """And what was reported as less than a limit is marked as such."""
    levels = (
        result("factor_ix_activity", exactly(Decimal("8.4"))),
        result("factor_ix_activity", Interval(HERE, Decimal(1), high_open=True), date=day_span(date(2015, 12, 24))),
    )
    found = filled(service, bare, results={"factor_ix_activity": levels})
    assert (found["q.baseline"]["value"], found["q.baseline.below"]) == (1, True)
    assert found["q.baseline.date"] == "2015-12-24"
    assert "comparator" not in found["q.baseline"]


@pytest.mark.parametrize(
    "members", [{"flags": frozenset({"clumped"})}, {"problem": Reason.UNIT_UNKNOWN, "value": None}]
)
def test_a_newest_result_that_cannot_be_used_is_not_passed_over(service: Service, bare: Facts, members: Json) -> None:
    """An older number would look like the latest."""
    newest = result("platelets", **{"value": exactly(Decimal(30)), "date": day_span(date(2026, 11, 20)), **members})
    assert "q.platelets" not in filled(service, bare, results={"platelets": (newest, *platelets(212)["platelets"])})


def test_a_test_without_a_code_is_known_by_its_name(service: Service, bare: Facts) -> None:
    """No LOINC code exists for AAV5 antibodies; other tests that were known by name alone are left to a person."""
    by_name = {"flags": frozenset({"text-match"}), "word": Word.NEGATIVE}
    results = {test: (result(test, **by_name),) for test in ("aav5_antibody", "hbsag")}
    found = filled(service, bare, results=results)
    assert (found["q.aav5"], found["q.aav5.date"]) == ("negative", "2026-11-03")
    assert "q.hbv" not in found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"hbsag": Word.NEGATIVE}, "negative"),
        ({"hbsag": Word.POSITIVE}, "active"),
        ({"hbsag": Word.NEGATIVE, "hbv_dna": Word.NEGATIVE}, "negative"),
        ({"hbsag": Word.POSITIVE, "hbv_dna": Word.NEGATIVE}, None),
        ({"hbsag": Word.INDETERMINATE}, None),
        ({}, None),
    ],
)
def test_a_choice_is_made_only_where_the_tests_agree(
    service: Service, bare: Facts, words: dict[str, Word], said: str | None
) -> None:
    """Two tests that say different things leave it open, and so does one that says neither."""
    results = {test: (result(test, word=word),) for test, word in words.items()}
    assert filled(service, bare, results=results).get("q.hbv") == said


def test_a_fibrosis_stage_is_a_choice(service: Service, bare: Facts) -> None:
    """The stage of the record is the code of the form, with the day of the liver test."""
    results = {"fibrosis_stage": (result("fibrosis_stage", exactly(Decimal(1))),)}
    found = filled(service, bare, results=results)
    assert (found["q.liver_stage"], found["q.liver.date"]) == ("F1", "2026-11-03")


def test_two_liver_tests_of_different_days_do_not_share_one(service: Service, bare: Facts) -> None:
    """A value never gets another test's day."""
    results = {
        "liver_stiffness": (result("liver_stiffness", exactly(Decimal("5.1"))),),
        "fibrosis_stage": (result("fibrosis_stage", exactly(Decimal(1)), date=day_span(date(2026, 10, 1))),),
    }
    found = filled(service, bare, results=results)
    assert found["q.liver.date"] == "2026-11-03"
    assert "q.liver_stage" not in found


def diagnosis(*sets: str, certainty: Certainty = Certainty.CONFIRMED) -> Diagnosis:
    """A diagnosis of those value sets."""
    return Diagnosis(frozenset(sets), certainty, True, None, "Condition/c", "as the chart has it")


@pytest.mark.parametrize(
    ("diagnoses", "said"),
    [
        ((diagnosis("cond.hemophilia_b"),), "congenital-b"),
        ((diagnosis("cond.hemophilia_a"),), "congenital-a"),
        ((diagnosis("cond.hemophilia_b"), diagnosis("cond.hemophilia_a")), None),
        ((diagnosis("cond.hemophilia_b", certainty=Certainty.REFUTED),), None),
        ((diagnosis("cond.hemophilia_b", certainty=Certainty.UNCONFIRMED),), None),
        ((), None),
    ],
)
def test_the_diagnosis_is_filled_in_where_the_record_has_one(
    service: Service, bare: Facts, diagnoses: tuple[Diagnosis, ...], said: str | None
) -> None:
    """One confirmed diagnosis; two that differ are for a person."""
    assert filled(service, bare, diagnoses=diagnoses).get("q.dx") == said


@pytest.mark.parametrize(
    ("sets", "sites", "said"),
    [
        ({"specialty.hematology"}, {"site.htc"}, {"q.hematologist": True, "q.htc": True}),
        ({"specialty.hematology"}, set(), {"q.hematologist": True}),
        (set(), {"site.htc"}, {}),
    ],
)
def test_the_center_must_be_the_hematologists_own(
    service: Service, bare: Facts, sets: set[str], sites: set[str], said: dict[str, bool]
) -> None:
    """Another clinician's treatment center says nothing of the hematologist's."""
    clinician = Clinician("consultant", frozenset(sets), frozenset(sites), "PractitionerRole/r", "as the chart has it")
    assert filled(service, bare, clinicians=(clinician,)) == said


def stated(link: str, value: Any) -> dict[str, Answer]:
    """One answer of an earlier form."""
    return {link: Answer(link, value, f"QuestionnaireResponse/q#{link}", "as it was", day_span(date(2026, 11, 1)))}


@pytest.mark.parametrize(
    ("link", "value"),
    [
        ("q.lth", True),
        ("q.convenience", False),
        ("q.exposure_days", 412),
        ("q.reason", "Bleeds."),
        ("q.dx", "acquired"),
    ],
)
def test_what_an_earlier_form_stated_is_kept(service: Service, bare: Facts, link: str, value: Any) -> None:
    """Nobody is asked twice."""
    assert filled(service, bare, answers=stated(link, value))[link] == value


@pytest.mark.parametrize(
    ("link", "value"),
    [("q.exposure_days", -1), ("q.lth", "yes"), ("q.dx", "unknown"), ("q.hbv", "negative"), ("q.hbv.date", RECENT)],
)
def test_an_earlier_answer_that_does_not_fit_is_left_out(service: Service, bare: Facts, link: str, value: Any) -> None:
    """Another type, out of range, no such choice; and a result is stated anew with its own report."""
    assert link not in filled(service, bare, answers=stated(link, value))


def test_the_reason_on_the_order_is_enough_for_the_diagnosis(endpoint: Endpoint) -> None:
    """Without an assertion only what was sent is filled in."""
    ((_, draft),) = packages(answer(post(endpoint(), asked_for("demo-labs-missing"))))
    assert list(answers(draft)) == ["q.dx"]
    assert answers(draft)["q.dx"]["code"] == "congenital-b"


def test_a_draft_without_an_answer_still_has_its_groups(endpoint: Endpoint) -> None:
    """So that it is valid, and has somewhere to put the first answer."""
    canonical = f"{PUBLIC}/fhir/Questionnaire/pharmacy-109-hemgenix"
    body = parameters(("coverage", coverage_of("demo-labs-missing")), ("questionnaire", canonical))
    ((form, draft),) = packages(answer(post(endpoint(), body)))
    assert answers(draft) == {}
    assert [item["linkId"] for item in draft["item"]] == [group["linkId"] for group in form["item"]]


def test_an_item_that_is_not_shown_is_not_filled_in(endpoint: Endpoint, service: Service) -> None:
    """A life-threatening hemorrhage makes the count of bleeds needless, and its detail with it."""
    story = story_named("demo-hemgenix-met")
    found = known(service, story)
    assert found.facts is not None
    assert {"q.lth", "q.bleeds", "q.bleeds.detail"} <= found.facts.answers.keys()
    ((_, draft),) = packages(answer(post(endpoint(found), asked_for(story, context=CONTEXT))))
    assert answers(draft)["q.lth"] is True
    assert not {"q.bleeds", "q.bleeds.detail"} & answers(draft).keys()


def test_the_missing_tests_stay_empty(endpoint: Endpoint, service: Service) -> None:
    """What the story lacks is what the form asks for; the rest is there."""
    story = "demo-labs-missing"
    ((form, draft),) = packages(answer(post(endpoint(known(service, story)), asked_for(story, context=CONTEXT))))
    given = answers(draft)
    assert not {"q.platelets", "q.hiv", "q.hbv", "q.hcv", "q.liver"} & given.keys()
    assert {"q.dx", "q.baseline", "q.aav5", "q.inhibitor", "q.exposure_days"} <= given.keys()
    assert form["resourceType"] == "Questionnaire"


def test_nothing_is_filled_in_for_another_drug(endpoint: Endpoint, service: Service) -> None:
    """What was judged for one drug's policy is not put into another's form."""
    found: Known = known(service, "demo-labs-missing")
    canonical = f"{PUBLIC}/fhir/Questionnaire/pharmacy-109-roctavian"
    body = parameters(
        ("coverage", coverage_of("demo-labs-missing")), ("questionnaire", canonical), ("context", CONTEXT)
    )
    drafts = {form["id"]: draft for form, draft in packages(answer(post(endpoint(found), body)))}
    assert answers(drafts["pharmacy-109-roctavian"]) == {}
    assert answers(drafts["pharmacy-109-hemgenix"])
