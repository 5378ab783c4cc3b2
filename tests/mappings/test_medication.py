"""Medications and procedures to Treatment."""

import pytest
from mapping_samples import CODES, HCPCS, RXNORM, concept, of_patient, order, record

from cds_service.policy.facts import How, Treatment
from fhir_mappings.medication import read_treatments, unresolved_medications

FACTOR = concept("1000", "Alprolix 1000 unit", RXNORM)


def treatments(*resources: object, drafts: tuple[object, ...] = ()) -> tuple[Treatment, ...]:
    return read_treatments(record(*resources, drafts=drafts), CODES)


def given(kind: str = "MedicationAdministration", status: str = "completed", **members: object) -> dict[str, object]:
    return of_patient(kind, "m1", status=status, medicationCodeableConcept=FACTOR, **members)


def test_a_completed_administration_was_given() -> None:
    """With its date as the source writes it."""
    (found,) = treatments(given(effectiveDateTime="2024-02-01T10:00:00Z"))
    assert (found.sets, found.how, found.active, found.doubtful) == ({"drug.factor"}, How.GIVEN, False, False)
    assert found.display == "Alprolix 1000 unit given on 2024-02-01"
    assert found.reference == "MedicationAdministration/m1"


@pytest.mark.parametrize(
    ("kind", "status", "how", "active", "doubtful"),
    [
        ("MedicationAdministration", "in-progress", How.GIVEN, True, False),
        ("MedicationAdministration", "stopped", How.GIVEN, False, True),
        ("MedicationAdministration", "on-hold", How.GIVEN, False, True),
        ("MedicationAdministration", "unknown", How.GIVEN, False, True),
        ("MedicationStatement", "active", How.STATED, True, False),
        ("MedicationStatement", "completed", How.STATED, False, False),
        ("MedicationStatement", "stopped", How.STATED, False, False),
        ("MedicationDispense", "completed", How.DISPENSED, False, False),
        ("MedicationRequest", "active", How.ORDERED, True, False),
        ("MedicationRequest", "completed", How.ORDERED, False, False),
        ("MedicationRequest", "stopped", How.ORDERED, False, False),
    ],
)
def test_a_status_says_what_the_record_proves(kind: str, status: str, how: How, active: bool, doubtful: bool) -> None:
    """What was begun and broken off needs a person's judgement; an order stays an order."""
    (found,) = treatments(given(kind, status))
    assert (found.how, found.active, found.doubtful) == (how, active, doubtful)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("MedicationAdministration", "not-done"),
        ("MedicationAdministration", "entered-in-error"),
        ("MedicationStatement", "not-taken"),
        ("MedicationStatement", "intended"),
        ("MedicationStatement", "entered-in-error"),
        ("MedicationDispense", "in-progress"),
        ("MedicationDispense", "declined"),
        ("MedicationRequest", "draft"),
        ("MedicationRequest", "cancelled"),
        ("MedicationRequest", "entered-in-error"),
        ("MedicationRequest", "unknown"),
    ],
)
def test_what_did_not_happen_is_nothing(kind: str, status: str) -> None:
    """Not done, not taken, only meant, or a mistake."""
    assert treatments(given(kind, status)) == ()


def test_a_plan_is_no_order() -> None:
    """MedicationRequest.intent proposal or plan, and a request not to give."""
    assert treatments(given("MedicationRequest", "active", intent="plan")) == ()
    assert treatments(given("MedicationRequest", "active", doNotPerform=True)) == ()


def test_the_order_being_signed_is_no_history() -> None:
    """Nor is its copy in the chart, nor any other order of the same draft bundle."""
    draft = order(status="active")
    other = order(id="order2", status="active")
    assert treatments(draft, other, drafts=(draft, other)) == ()
    assert len(treatments(draft)) == 1


def test_a_completed_procedure_was_given() -> None:
    """A gene therapy that was billed as a procedure."""
    procedure = of_patient(
        "Procedure", "x1", status="completed", code=concept("J1411", "", HCPCS, "Gene therapy infusion")
    )
    (found,) = treatments({**procedure, "performedPeriod": {"start": "2023-05-02"}})
    assert (found.sets, found.how) == ({"drug.gene"}, How.GIVEN)
    assert found.display == "Gene therapy infusion done on 2023-05-02"


def test_a_referenced_medication_is_resolved() -> None:
    """Contained, or a resource of its own, by code or by ingredient."""
    medication = {
        "resourceType": "Medication",
        "id": "med1",
        "ingredient": [{"itemCodeableConcept": {"text": "etranacogene"}}],
    }
    inside = of_patient(
        "MedicationAdministration",
        "m1",
        status="completed",
        contained=[{"resourceType": "Medication", "id": "in", "code": FACTOR}],
        medicationReference={"reference": "#in"},
    )
    outside = of_patient(
        "MedicationStatement", "m2", status="active", medicationReference={"reference": "Medication/med1"}
    )
    held = record(inside, outside, medication)
    assert [found.sets for found in read_treatments(held, CODES)] == [{"drug.factor"}, {"drug.gene"}]
    assert held.broken == {}


def test_a_medication_that_is_not_here_is_named_for_reading() -> None:
    """And its display is read in the meantime."""
    dose = of_patient(
        "MedicationAdministration",
        "m1",
        status="completed",
        medicationReference={"reference": "Medication/far", "display": "Alprolix"},
    )
    held = record(dose)
    assert [found.sets for found in read_treatments(held, CODES)] == [{"drug.factor"}]
    assert list(unresolved_medications(held)) == ["Medication/far"]
    assert list(unresolved_medications(held, named=False)) == []


@pytest.mark.parametrize(
    ("dosage", "regular"),
    [
        ({"timing": {"repeat": {"frequency": 1, "period": 7, "periodUnit": "d"}}}, True),
        ({"timing": {"code": {"text": "weekly"}}}, True),
        ({"text": "50 IU/kg every 7 days"}, True),
        ({"text": "twice a week, prophylaxis"}, True),
        ({"asNeededBoolean": True, "timing": {"repeat": {"frequency": 1}}}, False),
        ({"asNeededCodeableConcept": {"text": "bleed"}}, False),
        ({"text": "as needed for bleeding"}, False),
        ({"text": "3000 units PRN"}, False),
        ({"timing": {"repeat": {"count": 1, "frequency": 1}}}, None),
        ({"text": "50 IU/kg"}, None),
        ({}, None),
        ({"timing": "weekly", "text": 7}, None),
    ],
)
def test_an_order_is_regular_as_needed_or_says_neither(dosage: dict[str, object], regular: bool | None) -> None:
    """From timing, asNeeded and the words of the dosage."""
    (found,) = treatments(given("MedicationRequest", "active", dosageInstruction=[dosage]))
    assert found.regular is regular


def test_a_schedule_with_extra_doses_as_needed_is_a_schedule() -> None:
    """Prophylaxis and breakthrough doses in one order."""
    lines = [{"text": "as needed for bleeds"}, {"text": "every 7 days"}]
    (found,) = treatments(given("MedicationRequest", "active", dosageInstruction=lines))
    assert found.regular is True


@pytest.mark.parametrize(
    "members",
    [
        {"note": [{"text": "Double-blind: may have been placebo"}]},
        {"reasonCode": [{"text": "Clinical trial"}]},
        {"statusReason": [{"text": "Screen failure"}]},
        {"dosage": {"text": "study drug or placebo"}},
    ],
)
def test_words_of_a_trial_make_it_doubtful(members: dict[str, object]) -> None:
    """Whether the drug was given needs a person's judgement."""
    (found,) = treatments(given(**members))
    assert found.doubtful


@pytest.mark.parametrize("status", [None, 5, ["completed"], {}])
def test_a_status_that_cannot_be_read_is_broken_and_no_proof(status: object) -> None:
    """It neither counts nor vanishes."""
    held = record(of_patient("MedicationAdministration", "m1", status=status, medicationCodeableConcept=FACTOR))
    assert read_treatments(held, CODES) == ()
    assert held.broken == {"treatments": ["MedicationAdministration/m1"]}


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"medicationCodeableConcept": "Alprolix"},
        {"medicationCodeableConcept": {"coding": "1000"}},
        {"medicationReference": "Medication/1"},
        {"medicationReference": {"reference": 7}},
        {"medicationReference": {"reference": "#gone"}},
        {"medicationReference": {"reference": "https://elsewhere.example/fhir/Medication/1"}},
    ],
)
def test_a_dose_of_nothing_readable_is_counted_as_broken(members: dict[str, object]) -> None:
    """It may hide a previous therapy."""
    held = record(of_patient("MedicationAdministration", "m1", status="completed", **members))
    assert read_treatments(held, CODES) == ()
    assert held.broken == {"treatments": ["MedicationAdministration/m1"]}


def test_other_drugs_are_no_facts() -> None:
    """Readable, and of no value set."""
    held = record(
        of_patient("MedicationStatement", "m1", status="active", medicationCodeableConcept={"text": "aspirin"})
    )
    assert (read_treatments(held, CODES), held.broken) == ((), {})


@pytest.mark.parametrize(
    ("dosage", "regular"),
    [
        ({"text": "once weekly for prophylaxis"}, True),
        ({"timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "wk"}}}, True),
        ({"text": "as needed for bleeding"}, False),
        ({"text": "4000 units"}, None),
    ],
)
def test_a_statement_has_a_schedule_too(dosage: dict[str, object], regular: bool | None) -> None:
    """It tells how the drug is taken."""
    (found,) = treatments(given("MedicationStatement", "active", dosage=[dosage]))
    assert (found.how, found.regular) == (How.STATED, regular)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("Infusion of Hemgenix", True),
        ("Follow-up after Hemgenix", True),
        ("Hemgenix consultation", False),
        ("Evaluation for Hemgenix", False),
        ("Hemgenix eligibility assessment", False),
    ],
)
def test_a_procedure_that_only_talks_of_a_drug_gives_none(name: str, counts: bool) -> None:
    """A visit after it tells that it was given."""
    done = of_patient("Procedure", "x1", status="completed", code={"text": name})
    assert (len(treatments(done)) == 1) is counts


def test_a_period_that_ended_says_so() -> None:
    """A window can be reached by its end."""
    statement = given("MedicationStatement", effectivePeriod={"start": "2024-05-01", "end": "2026-04"})
    (found,) = treatments(statement)
    assert found.ended is not None
    assert (found.ended.first.isoformat(), found.ended.last.isoformat()) == ("2026-04-01", "2026-04-30")
    assert found.display.endswith("stated on 2024-05-01 until 2026-04")
