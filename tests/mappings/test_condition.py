"""Condition and the order's reason to Diagnosis."""

import pytest
from mapping_samples import CODES, concept, condition, order, record

from cds_service.policy.facts import Certainty, Diagnosis
from fhir_mappings.condition import read_conditions, read_reasons


def only(**members: object) -> Diagnosis:
    found = read_conditions(record(condition(**members)), CODES)
    assert len(found) == 1
    return found[0]


def test_a_confirmed_condition_is_a_diagnosis() -> None:
    """Code, certainty, activity, date and what a card shows."""
    found = only(onsetDateTime="1990-04")
    assert (found.sets, found.certainty, found.active) == ({"cond.b"}, Certainty.CONFIRMED, True)
    assert found.reference == "Condition/c1"
    assert found.display == "Hereditary factor IX deficiency (D67), since 1990-04"
    assert found.date is not None
    assert not found.date.exact


@pytest.mark.parametrize(
    ("status", "certainty"),
    [
        ("unconfirmed", Certainty.UNCONFIRMED),
        ("provisional", Certainty.UNCONFIRMED),
        ("differential", Certainty.UNCONFIRMED),
        ("refuted", Certainty.REFUTED),
        ("confirmed", Certainty.CONFIRMED),
    ],
)
def test_the_verification_status_decides_the_certainty(status: str, certainty: Certainty) -> None:
    """Only a confirmed condition is one; the others are kept as what they are."""
    assert only(verificationStatus=concept(status)).certainty is certainty


@pytest.mark.parametrize("member", ["verificationStatus", "clinicalStatus"])
def test_a_condition_without_status_counts_as_it_stands(member: str) -> None:
    """R4 demands neither status."""
    found = only(**{member: None})
    assert (found.certainty, found.active) == (Certainty.CONFIRMED, True)


@pytest.mark.parametrize("status", ["inactive", "remission", "resolved"])
def test_a_condition_that_is_over_is_not_active(status: str) -> None:
    """It stays a diagnosis: a history can matter."""
    found = only(clinicalStatus=concept(status))
    assert not found.active
    assert found.display.endswith(status)


def test_a_condition_entered_in_error_is_nothing() -> None:
    """It is no diagnosis at all."""
    assert read_conditions(record(condition(verificationStatus=concept("entered-in-error"))), CODES) == ()


def test_words_alone_make_a_diagnosis() -> None:
    """A text without a code is read by its words."""
    assert only(code={"text": "Severe Factor IX deficiency"}).sets == {"cond.b"}


@pytest.mark.parametrize("code", ["D67", 67, [], {}, {"coding": "D67"}, {"coding": [67]}, {"coding": [{"code": 67}]}])
def test_a_condition_whose_code_cannot_be_read_is_counted_as_broken(code: object) -> None:
    """It may hide the very diagnosis that matters, so it is not passed over in silence."""
    held = record(condition(code=code), condition("c2"))
    assert [found.reference for found in read_conditions(held, CODES)] == ["Condition/c2"]
    assert held.broken == {"diagnoses": ["Condition/c1"]}


@pytest.mark.parametrize("status", ["confirmed", 1, [], {}, {"coding": [{"code": 5}]}])
@pytest.mark.parametrize("member", ["verificationStatus", "clinicalStatus"])
def test_a_status_that_cannot_be_read_opens_what_asks_for_that_diagnosis(member: str, status: object) -> None:
    """It may say refuted, or resolved. What it is about is known: other diagnoses are not in doubt."""
    held = record(condition(**{member: status}))
    (found,) = read_conditions(held, CODES)
    assert found.certainty is Certainty.UNREADABLE
    assert found.display == "Hereditary factor IX deficiency (D67), its status could not be read"
    assert held.broken == {"diagnoses/status": ["Condition/c1"]}


def test_a_family_member_history_is_never_read() -> None:
    """Another person's disease is no diagnosis of this patient."""
    history = {**condition(), "resourceType": "FamilyMemberHistory", "patient": {"reference": "Patient/p1"}}
    assert read_conditions(record(history), CODES) == ()


def test_the_reason_of_the_order_is_a_diagnosis() -> None:
    """It is the prescriber's own statement, shown as such."""
    draft = order(reasonCode=[concept("D67", "Hemophilia B"), concept("Z00")])
    (found,) = read_reasons(draft, "MedicationRequest/order1", record(), CODES)
    assert (found.sets, found.certainty, found.active) == ({"cond.b"}, Certainty.CONFIRMED, True)
    assert (found.reference, found.display) == ("MedicationRequest/order1", "Hemophilia B (D67), reason on the order")


def test_a_condition_inside_the_order_is_a_diagnosis_with_its_own_status() -> None:
    """A contained Condition is not read anywhere else."""
    draft = order(
        contained=[condition(verificationStatus=concept("provisional"))], reasonReference=[{"reference": "#c1"}]
    )
    (found,) = read_reasons(draft, "MedicationRequest/order1", record(), CODES)
    assert (found.certainty, found.reference) == (Certainty.UNCONFIRMED, "MedicationRequest/order1")


@pytest.mark.parametrize("reason", ["D67", 5, [5], ["D67"], [{"coding": 5}], {}])
def test_a_reason_of_the_wrong_type_is_no_reason(reason: object) -> None:
    """Nothing raises."""
    draft = order(reasonCode=reason, reasonReference=reason)
    assert read_reasons(draft, "MedicationRequest/order1", record(), CODES) == ()


def test_a_display_is_cleaned_and_short() -> None:
    """Chart text is data: controls and direction marks go, length is capped."""
    found = only(code=concept("D67", "Factor\x1b[31m \u202eIX\n deficiency " + "x" * 500))
    assert "\x1b" not in found.display
    assert "\u202e" not in found.display
    assert len(found.display) < 140
