"""Draft orders to Order."""

from decimal import Decimal
from typing import Any

import pytest
from mapping_samples import CODES, HCPCS, concept, order, record

from cds_service.policy.facts import Interval, Order, exactly
from fhir_mappings.order import BILLING_OPTIONS, read_order, unread_product


def read(*resources: Any, **members: Any) -> Order:
    return read_order(order(**members), record(*resources), CODES)


def test_an_order_is_known_by_its_medication() -> None:
    """Text, name and reference."""
    found = read()
    assert (found.reference, found.products, found.display) == ("MedicationRequest/order1", {"drug.gene"}, "Hemgenix")


def test_an_order_is_known_by_the_medication_it_refers_to() -> None:
    """Contained or sent along."""
    medication = {"resourceType": "Medication", "id": "m", "code": {"text": "etranacogene dezaparvovec"}}
    for reference, resources, inner in (("#m", [], [medication]), ("Medication/m", [medication], [])):
        found = read(
            *resources, medicationCodeableConcept=None, contained=inner, medicationReference={"reference": reference}
        )
        assert (found.products, found.display) == ({"drug.gene"}, "etranacogene dezaparvovec")


def test_a_medication_that_is_not_here_leaves_the_product_unread() -> None:
    """Unless the reference says which it is."""
    bare = order(medicationCodeableConcept=None, medicationReference={"reference": "Medication/far"})
    named = order(
        medicationCodeableConcept=None, medicationReference={"reference": "Medication/far", "display": "Hemgenix"}
    )
    assert unread_product(bare, record())
    assert not unread_product(named, record())
    assert read_order(named, record(), CODES).products == {"drug.gene"}


def test_a_service_request_is_known_by_its_code() -> None:
    """HCPCS on an infusion order."""
    draft = {"resourceType": "ServiceRequest", "id": "s1", "code": concept("J1411", "", HCPCS)}
    found = read_order(draft, record(), CODES)
    assert (found.reference, found.products) == ("ServiceRequest/s1", {"drug.gene"})


def test_billing_options_are_considered() -> None:
    """billopt-3: on the medication itself."""
    extension = {"url": BILLING_OPTIONS, "valueCodeableConcept": concept("J1411", "", HCPCS)}
    assert read(medicationCodeableConcept={"text": "local 17", "extension": [extension]}).products == {"drug.gene"}


@pytest.mark.parametrize(
    ("repeats", "refills"),
    [(0, 0), (2, 2), (None, None), ("2", None), (True, None), (-1, None), (Decimal("1.5"), None)],
)
def test_refills_are_a_whole_number_or_not_stated(repeats: object, refills: int | None) -> None:
    """dispenseRequest.numberOfRepeatsAllowed."""
    assert read(dispenseRequest={"numberOfRepeatsAllowed": repeats}).refills == refills


@pytest.mark.parametrize(
    ("value", "unit", "amount", "of", "per_kg"),
    [
        (Decimal("2E13"), "gc/kg", "2E13", "vg", True),
        (Decimal("2E13"), "{vg}/kg", "2E13", "vg", True),
        (20000000000000, "genome copies/kg", "2E13", "vg", True),
        (Decimal("2"), "mL/kg", "2", "mL", True),
        (140, "mL", "140", "mL", False),
        (14, "vials", "14", "vial", False),
        (1, "{treatment}", "1", "treatment", False),
    ],
)
def test_a_stated_dose_is_read(value: object, unit: str, amount: str, of: str, per_kg: bool) -> None:
    """doseAndRate.doseQuantity with its unit."""
    (found,) = read(dosageInstruction=[{"doseAndRate": [{"doseQuantity": {"value": value, "unit": unit}}]}]).doses
    assert (found.amount, found.unit, found.per_kg) == (exactly(Decimal(amount)), of, per_kg)


@pytest.mark.parametrize(
    ("text", "amount", "of", "per_kg"),
    [
        ("2 x 10^13 gc/kg single IV infusion", "2E13", "vg", True),
        ("2 × 10¹³ vg/kg", "2E13", "vg", True),
        ("6e13 vg per kg", "6E13", "vg", True),
        ("infuse 2 mL/kg once", "2", "mL", True),
        ("140 mL total", "140", "mL", False),
        ("14 vials", "14", "vial", False),
    ],
)
def test_a_dose_in_words_is_read(text: str, amount: str, of: str, per_kg: bool) -> None:
    """As prescribers write it."""
    (found,) = read(dosageInstruction=[{"text": text}]).doses
    assert (found.amount, found.unit, found.per_kg) == (exactly(Decimal(amount)), of, per_kg)


def test_a_range_is_an_interval() -> None:
    """doseRange."""
    ends = {"low": {"value": 1, "unit": "mL/kg"}, "high": {"value": 2, "unit": "mL/kg"}}
    (found,) = read(dosageInstruction=[{"doseAndRate": [{"doseRange": ends}]}]).doses
    assert found.amount == Interval(Decimal(1), Decimal(2))


def test_a_structured_dose_stands_above_its_text() -> None:
    """The text mostly repeats it."""
    line = {"text": "2 mL/kg", "doseAndRate": [{"doseQuantity": {"value": 2, "unit": "mL/kg"}}]}
    assert len(read(dosageInstruction=[line]).doses) == 1


@pytest.mark.parametrize(
    "junk",
    [
        5,
        "x",
        [5],
        ["x"],
        {"a": 1},
        None,
        [{"doseAndRate": 5, "text": 5}],
        [{"doseAndRate": [{"doseQuantity": {"value": "2", "unit": 7}}]}],
    ],
)
def test_members_of_the_wrong_type_never_raise(junk: Any) -> None:
    """They read as absent."""
    members = dict.fromkeys(("dosageInstruction", "dispenseRequest", "code", "extension", "orderDetail"), junk)
    assert read(**members).doses == ()
    assert read(medicationCodeableConcept=junk, medicationReference=junk).products == frozenset()
