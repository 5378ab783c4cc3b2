"""The kinds of statement, one by one."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from cds_service.policy.dates import Span
from cds_service.policy.facts import (
    Answer,
    Certainty,
    Clinician,
    Dose,
    Facts,
    How,
    Interval,
    Person,
    Treatment,
    Word,
    exactly,
)
from cds_service.policy.reasons import Reason
from cds_service.policy.truth import Truth

from .samples import NO_ORDER, answers, diagnosis, facts, note, number, of_test, on, says, word

MET, UNKNOWN, NOT_MET = Truth.MET, Truth.UNKNOWN, Truth.NOT_MET


def person(birth: Span | None, deceased: bool = False) -> Person:
    """A patient."""
    return Person("Patient/p", birth, deceased, "p")


def treatment(how: How = How.GIVEN, day: str = "2024-01-01", **more: Any) -> Treatment:
    """A record of the drug `med.x`."""
    return Treatment(frozenset({"med.x"}), how, more.pop("active", True), on(day), "MedicationStatement/m", "x", **more)


def heard(written: Any, about: Facts) -> Truth | Reason:
    """The truth, or why there is none."""
    said = says(written, about)
    return said.reason or said.truth


@pytest.mark.parametrize(
    ("birth", "expected"),
    [
        (on("2008-11-24"), MET),
        (on("2008-11-25"), NOT_MET),
        (Span(date(2008, 11, 1), date(2008, 11, 30)), Reason.INCONCLUSIVE),
        (Span(date(2008, 1, 1), date(2008, 10, 31)), MET),
        (Span(date(2008, 12, 1), date(2008, 12, 31)), NOT_MET),
        (None, Reason.NOT_RECORDED),
    ],
)
def test_age_is_reached_on_the_birthday(birth: Span | None, expected: Truth | Reason) -> None:
    """A partial birth date counts when every day of it does."""
    assert heard({"age": {"at_least": "18"}}, facts(person=person(birth))) is expected


def test_the_age_of_a_patient_who_has_died_is_for_review() -> None:
    """With or without a birth date."""
    for birth in (on("1980-01-01"), None):
        assert heard({"age": {"at_least": "18"}}, facts(person=person(birth, deceased=True))) is Reason.REVIEW


def test_the_age_of_a_patient_who_was_not_read_is_not_retrieved() -> None:
    """Nobody is taken for a child or an adult."""
    assert heard({"age": {"at_least": "18"}}, facts(unread=frozenset({"patient"}))) is Reason.NOT_RETRIEVED


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (diagnosis("cond.x"), MET),
        (diagnosis("cond.x", active=False), MET),
        (diagnosis("cond.x", Certainty.UNCONFIRMED), Reason.INCONCLUSIVE),
        (diagnosis("cond.x", Certainty.REFUTED), Reason.NOT_RECORDED),
        (diagnosis("cond.x", Certainty.UNREADABLE), Reason.NOT_RETRIEVED),
        (diagnosis("cond.y", Certainty.UNREADABLE), Reason.NOT_RECORDED),
        (diagnosis("cond.y"), Reason.NOT_RECORDED),
    ],
)
def test_a_diagnosis_counts_when_it_is_confirmed(found: Any, expected: Truth | Reason) -> None:
    """An unconfirmed one is never enough, and nothing found is silence."""
    assert heard({"diagnosis": {"of": ["cond.x"]}}, facts(diagnoses=(found,))) is expected


def test_a_diagnosis_can_be_asked_for_as_active_resolved_or_refuted() -> None:
    """Each has its own word in the file."""
    active, resolved = diagnosis("cond.x"), diagnosis("cond.x", active=False)
    refuted = diagnosis("cond.x", Certainty.REFUTED)
    asked = {"of": ["cond.x"]}
    assert heard({"diagnosis": {**asked, "active": "yes"}}, facts(diagnoses=(active,))) is MET
    assert heard({"diagnosis": {**asked, "active": "yes"}}, facts(diagnoses=(resolved,))) is Reason.NOT_RECORDED
    assert heard({"diagnosis": {**asked, "active": "no"}}, facts(diagnoses=(resolved,))) is MET
    unreadable = diagnosis("cond.x", Certainty.UNREADABLE, active=False)
    for way in ({"active": "yes"}, {"active": "no"}, {"certainty": "refuted"}):
        assert heard({"diagnosis": {**asked, **way}}, facts(diagnoses=(unreadable,))) is Reason.NOT_RETRIEVED
    assert heard({"diagnosis": {**asked, "certainty": "refuted"}}, facts(diagnoses=(refuted,))) is MET
    assert heard({"diagnosis": {**asked, "certainty": "refuted"}}, facts(diagnoses=(active,))) is Reason.NOT_RECORDED


@pytest.mark.parametrize(
    ("written", "source"),
    [
        ({"diagnosis": {"of": ["cond.x"]}}, "diagnoses"),
        ({"treatment": {"of": ["med.x"], "how": ["given"]}}, "treatments"),
        ({"clinician": {"specialty": ["specialty.x"]}}, "clinicians"),
        ({"note": {"says": ["statement.x"]}}, "notes"),
        ({"answer": {"question": "q.x", "is": "yes"}}, "answers"),
        ({"refills": {"count": "0"}}, "order"),
    ],
)
def test_what_is_absent_is_not_recorded_or_not_retrieved(written: Any, source: str) -> None:
    """By whether its source was read."""
    assert heard(written, facts()) is Reason.NOT_RECORDED
    assert heard(written, facts(unread=frozenset({source}))) is Reason.NOT_RETRIEVED


@pytest.mark.parametrize(
    ("asked", "value", "expected"),
    [
        ({"is": "yes"}, True, MET),
        ({"is": "yes"}, False, NOT_MET),
        ({"is": "no"}, False, MET),
        ({"is": "acquired"}, "acquired", MET),
        ({"is": ["acquired", "other"]}, "other", MET),
        ({"is": ["acquired", "other"]}, "congenital-a", NOT_MET),
        ({"at_least": "150"}, 150, MET),
        ({"at_least": "150"}, 149, NOT_MET),
        ({"below": "150"}, 149, MET),
        ({"below": "150"}, 150, NOT_MET),
        ({"at_least": "150"}, Interval(Decimal(150), None), MET),
        ({"at_least": "150"}, Interval(Decimal(100), Decimal(200)), Reason.INCONCLUSIVE),
        ({"at_least": "150"}, True, Reason.INCONCLUSIVE),
        ({"at_least": "150"}, "many", Reason.INCONCLUSIVE),
        ({"given": "yes"}, "repeated bleeds", MET),
    ],
)
def test_an_answer_is_compared_as_the_file_asks(asked: Any, value: Any, expected: Truth | Reason) -> None:
    """Yes and no, codes, numbers, or anything at all."""
    given = {"q.x": Answer("q.x", value, "QuestionnaireResponse/r#q.x", str(value), None)}
    assert heard({"answer": {"question": "q.x", **asked}}, facts(answers=given)) is expected


def test_a_treatment_counts_by_how_it_is_recorded() -> None:
    """An order is no administration, and a doubtful record counts only where it is asked for."""
    asked = {"of": ["med.x"], "how": ["given", "stated"]}
    assert heard({"treatment": asked}, facts(treatments=(treatment(),))) is MET
    assert heard({"treatment": asked}, facts(treatments=(treatment(How.ORDERED),))) is Reason.NOT_RECORDED
    trial = treatment(How.STATED, doubtful=True)
    assert heard({"treatment": asked}, facts(treatments=(trial,))) is Reason.NOT_RECORDED
    assert heard({"treatment": {**asked, "doubtful": "yes"}}, facts(treatments=(trial,))) is MET


def test_a_treatment_can_be_asked_for_as_regular_and_under_way() -> None:
    """Prophylaxis is scheduled and active; not stated is not regular."""
    asked = {"treatment": {"of": ["med.x"], "how": ["stated"], "regular": "yes", "active": "yes"}}
    for found, expected in (
        (treatment(How.STATED, regular=True), MET),
        (treatment(How.STATED, regular=False), Reason.NOT_RECORDED),
        (treatment(How.STATED), Reason.NOT_RECORDED),
        (treatment(How.STATED, regular=True, active=False), Reason.NOT_RECORDED),
    ):
        assert heard(asked, facts(treatments=(found,))) is expected


@pytest.mark.parametrize(("days", "expected"), [(150, MET), (149, Reason.NOT_RECORDED)])
def test_days_are_counted_once_and_fewer_prove_nothing(days: int, expected: Truth | Reason) -> None:
    """Two administrations of one day are one day, and home is not in the record."""
    found = [treatment(day=date.fromordinal(738000 + n).isoformat()) for n in range(days)]
    asked = {"treatment": {"of": ["med.x"], "how": ["given"], "days_at_least": "150"}}
    said = says(asked, facts(treatments=(*found, found[0])))
    assert (said.reason or said.truth) is expected
    assert said.remarks[0].startswith(f"{days} days")


def test_a_clinician_needs_specialty_and_site_in_one_person() -> None:
    """Two people do not make one hematologist at a center."""
    asked = {"clinician": {"specialty": ["specialty.x"], "site": ["site.x"]}}
    specialty, site = frozenset({"specialty.x"}), frozenset({"site.x"})
    both = Clinician("prescriber", specialty, site, "Practitioner/1", "a")
    one = Clinician("prescriber", specialty, frozenset(), "Practitioner/2", "b")
    other = Clinician("consultant", frozenset(), site, "Practitioner/3", "c")
    assert heard(asked, facts(clinicians=(both,))) is MET
    assert heard(asked, facts(clinicians=(one, other))) is Reason.NOT_RECORDED


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ((note("statement.x"),), MET),
        ((note("statement.not_x"),), NOT_MET),
        ((note("statement.x"), note("statement.not_x")), Reason.REVIEW),
        ((note("statement.y"),), Reason.NOT_RECORDED),
    ],
)
def test_a_note_says_denies_or_does_both(notes: Any, expected: Truth | Reason) -> None:
    """Notes that contradict each other are for review."""
    asked = {"note": {"says": ["statement.x"], "denies": ["statement.not_x"]}}
    assert heard(asked, facts(notes=notes)) is expected


@pytest.mark.parametrize(
    ("unread", "expected"),
    [("notes", Reason.NOT_RETRIEVED), ("diagnoses", MET), ("treatments", MET)],
)
def test_a_stated_fact_falls_open_only_where_what_was_not_read_can_deny_it(unread: str, expected: Any) -> None:
    """A chart without a diagnosis or a drug is silent; a note can say no."""
    asked = {
        "told_by": [
            {"answer": {"question": "q.lth", "is": "yes"}},
            {"diagnosis": {"of": ["cond.x"]}},
            {"treatment": {"of": ["med.x"], "how": ["stated"]}},
            {"note": {"says": ["statement.x"], "denies": ["statement.not_x"]}},
        ]
    }
    assert heard(asked, facts(answers=answers(lth=True), unread=frozenset({unread}))) is expected


IF = {
    "if": {"diagnosis": {"of": ["cond.x"]}},
    "then": {"result": {"test": "t", "is": "negative"}},
    "else": {"result": {"test": "u", "is": "negative"}},
}


@pytest.mark.parametrize(
    ("found", "t", "u", "expected"),
    [
        ("confirmed", Word.NEGATIVE, Word.POSITIVE, MET),
        ("confirmed", Word.POSITIVE, Word.NEGATIVE, NOT_MET),
        ("none", Word.POSITIVE, Word.NEGATIVE, MET),
        ("none", Word.NEGATIVE, Word.POSITIVE, NOT_MET),
        ("unread", Word.NEGATIVE, Word.NEGATIVE, MET),
        ("unread", Word.POSITIVE, Word.POSITIVE, NOT_MET),
        ("unread", Word.POSITIVE, Word.NEGATIVE, Reason.NOT_RETRIEVED),
        ("unread", None, Word.NEGATIVE, Reason.NOT_RETRIEVED),
        ("unconfirmed", Word.NEGATIVE, None, Reason.INCONCLUSIVE),
    ],
)
def test_if_then_else_follows_what_is_shown(found: str, t: Any, u: Any, expected: Any) -> None:
    """Silence takes the other way; what is open leaves it open, unless both ways agree."""
    certainty = {"confirmed": Certainty.CONFIRMED, "unconfirmed": Certainty.UNCONFIRMED}.get(found)
    about = facts(
        diagnoses=(diagnosis("cond.x", certainty),) if certainty else (),
        results={name: (word(given),) for name, given in (("t", t), ("u", u)) if given},
        unread=frozenset({"diagnoses"} if found == "unread" else ()),
    )
    assert heard(IF, about) is expected


def test_without_an_else_nothing_is_asked() -> None:
    """Where the condition is not shown, it holds."""
    assert heard({"if": IF["if"], "then": IF["then"]}, facts()) is MET


@pytest.mark.parametrize(("refills", "expected"), [(0, MET), (1, NOT_MET)])
def test_refills_are_counted(refills: int, expected: Truth) -> None:
    """No more than the file allows."""
    order = type(NO_ORDER)("MedicationRequest/o", frozenset(), "a drug", refills, ())
    assert heard({"refills": {"count": "0"}}, facts(order=order)) is expected


DOSE = {
    "dose": {
        "amounts": {"vg": "2e13", "mL": "2"},
        "vial_ml": "10",
        "weight_test": "t",
        "weight_within_months": "3",
        "tolerance_percent": "5",
    }
}


@pytest.mark.parametrize(
    ("amount", "unit", "per_kg", "weight", "expected"),
    [
        ("2", "mL", True, None, MET),
        ("3", "mL", True, None, NOT_MET),
        ("2.0e13", "vg", True, None, MET),
        ("143", "mL", False, "71.5", MET),
        ("150", "mL", False, "71.5", MET),
        ("151", "mL", False, "71.5", NOT_MET),
        ("15", "vial", False, "71.5", MET),
        ("14", "vial", False, "71.5", NOT_MET),
        ("14", "vial", False, "70", MET),
        ("143", "mL", False, None, Reason.NOT_RECORDED),
        ("1", "treatment", False, "71.5", Reason.NOT_RECORDED),
    ],
)
def test_a_dose_is_checked_per_kilogram_in_all_or_by_vials(
    amount: str, unit: str, per_kg: bool, weight: str | None, expected: Truth | Reason
) -> None:
    """A part of a vial is a whole one; a total may differ by the tolerance."""
    order = type(NO_ORDER)("o", frozenset(), "a drug", 0, (Dose(exactly(Decimal(amount)), unit, per_kg, amount),))
    weighed = (number(weight),) if weight else ()
    assert heard(DOSE, of_test(*weighed, order=order)) is expected


def test_an_unconfirmed_diagnosis_says_what_would_settle_it() -> None:
    """Not the criterion's own name."""
    said = says({"diagnosis": {"of": ["cond.x"]}}, facts(diagnoses=(diagnosis("cond.x", Certainty.UNCONFIRMED),)))
    assert said.needed == ("Whether the unconfirmed diagnosis is confirmed or ruled out",)


@pytest.mark.parametrize(
    ("limits", "birth", "expected"),
    [
        ({"below": "2"}, on("2024-11-25"), MET),
        ({"below": "2"}, on("2024-11-24"), NOT_MET),
        ({"below": "2"}, Span(date(2024, 11, 1), date(2024, 11, 30)), Reason.INCONCLUSIVE),
        ({"below": "2"}, None, Reason.NOT_RECORDED),
        ({"below": "9", "unit": "months"}, on("2026-02-25"), MET),
        ({"below": "9", "unit": "months"}, on("2026-02-24"), NOT_MET),
        ({"at_least": "4", "below": "6"}, on("2022-11-24"), MET),
        ({"at_least": "4", "below": "6"}, on("2022-11-25"), NOT_MET),
        ({"at_least": "4", "below": "6"}, on("2020-11-24"), NOT_MET),
    ],
)
def test_an_age_below_ends_on_the_birthday(limits: Any, birth: Span | None, expected: Truth | Reason) -> None:
    """Under two is over on the second birthday."""
    assert heard({"age": limits}, facts(person=person(birth))) is expected


RECENT = {"treatment": {"of": ["med.x"], "how": ["given", "stated", "ordered"], "within_months": "12"}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (treatment(day="2025-11-24", active=False), MET),
        (treatment(day="2025-11-23", active=False), Reason.STALE),
        (treatment(day="2020-01-01", active=False, ended=on("2025-11-24")), MET),
        (treatment(day="2020-01-01", active=False, ended=on("2025-11-23")), Reason.STALE),
        (treatment(How.STATED, "2020-01-01", active=True), MET),
        (treatment(How.ORDERED, "2020-01-01", active=True), Reason.STALE),
    ],
)
def test_a_treatment_within_months_reaches_into_them(given: Treatment, expected: Truth | Reason) -> None:
    """By its beginning, its end, or because it is under way; an order is under way by its word alone."""
    assert heard(RECENT, facts(treatments=(given,))) is expected


def test_a_treatment_whose_date_does_not_tell_is_inconclusive() -> None:
    """Without a date, or in a month that the window begins in."""
    undated = Treatment(frozenset({"med.x"}), How.GIVEN, False, None, "r", "x")
    month = Treatment(frozenset({"med.x"}), How.GIVEN, False, Span(date(2025, 11, 1), date(2025, 11, 30)), "r", "x")
    for given in (undated, month):
        assert heard(RECENT, facts(treatments=(given,))) is Reason.INCONCLUSIVE


def test_a_treatment_out_of_the_window_is_unread_while_others_are() -> None:
    """A newer one may be among those that were not read."""
    old = treatment(day="2020-01-01", active=False)
    assert heard(RECENT, facts(treatments=(old,), unread=frozenset({"treatments"}))) is Reason.NOT_RETRIEVED


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"a": True, "b": True}, MET),
        ({"a": True, "b": True, "c": False}, MET),
        ({"a": True, "b": False}, Reason.NOT_RECORDED),
        ({"a": True, "b": False, "c": False}, NOT_MET),
        ({"a": False, "b": False}, NOT_MET),
        ({}, Reason.NOT_RECORDED),
    ],
)
def test_a_count_holds_when_so_many_parts_do(given: dict[str, bool], expected: Truth | Reason) -> None:
    """It fails only when the open ones would not be enough."""
    parts = [{"answer": {"question": f"q.{name}", "is": "yes"}} for name in "abc"]
    assert heard({"count": {"at_least": "2", "of": parts}}, facts(answers=answers(**given))) is expected


@pytest.mark.parametrize(
    ("written", "amount", "unit", "expected"),
    [
        ({"fixed": {"mg": "40"}}, "40", "mg", MET),
        ({"fixed": {"mg": "40"}}, "80", "mg", NOT_MET),
        ({"fixed": {"mg": "40"}}, "1", "vial", Reason.NOT_RECORDED),
        ({"fixed": {"mL": "25"}, "vial_ml": "10"}, "3", "vial", MET),
        ({"fixed": {"mL": "25"}, "vial_ml": "10"}, "2", "vial", NOT_MET),
    ],
)
def test_a_fixed_dose_asks_for_no_weight(written: Any, amount: str, unit: str, expected: Truth | Reason) -> None:
    """The same for everybody."""
    order = type(NO_ORDER)("o", frozenset(), "a drug", 0, (Dose(exactly(Decimal(amount)), unit, False, amount),))
    assert heard({"dose": written}, facts(order=order)) is expected


def test_a_fixed_dose_ordered_per_kilogram_is_open() -> None:
    """How much that is in all is not said."""
    order = type(NO_ORDER)("o", frozenset(), "a drug", 0, (Dose(exactly(Decimal(40)), "mg", True, "40"),))
    assert heard({"dose": {"fixed": {"mg": "40"}}}, facts(order=order)) is Reason.NOT_RECORDED
