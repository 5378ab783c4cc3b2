"""Charges and claims to Treatment."""

from typing import Any

import pytest
from mapping_samples import CODES, DAY, HCPCS, SUBJECT, concept, of_patient, record

from cds_service.policy.facts import How, Treatment
from fhir_mappings.bills import read_bills

J_CODE = concept("J1411", "Injection, etranacogene dezaparvovec-drlb", HCPCS)
OTHER = concept("J9999", "Another drug", HCPCS)


def bills(*resources: object) -> tuple[Treatment, ...]:
    return read_bills(record(*resources), CODES, DAY)


def charge(**members: Any) -> dict[str, Any]:
    known = {"status": "billed", "code": J_CODE, "occurrenceDateTime": "2024-02-01T10:00:00Z", **members}
    return of_patient("ChargeItem", "b1", **{name: value for name, value in known.items() if value is not None})


def claim(*items: Any, **members: Any) -> dict[str, Any]:
    lines = list(items) or [{"productOrService": J_CODE, "servicedDate": "2024-02-01"}]
    known = {"status": "active", "use": "claim", "patient": SUBJECT, "created": "2024-02-20", "item": lines, **members}
    return {"resourceType": "Claim", "id": "k1", **{n: v for n, v in known.items() if v is not None}}


@pytest.mark.parametrize(("bill", "reference"), [(charge(), "ChargeItem/b1"), (claim(), "Claim/k1")])
def test_a_bill_from_before_the_order_counts(bill: Any, reference: str) -> None:
    """With the drug and the day of service as the source writes them."""
    (found,) = bills(bill)
    assert (found.sets, found.how, found.active, found.doubtful) == ({"drug.gene"}, How.BILLED, False, False)
    assert found.display == "Injection, etranacogene dezaparvovec-drlb (J1411) billed for 2024-02-01"
    assert found.reference == reference


@pytest.mark.parametrize(
    "bill",
    [
        charge(status="billable"),
        charge(status="not-billable"),
        charge(status="unknown"),
        charge(status=None),
        charge(status=5),
        charge(occurrenceDateTime=None),
        charge(occurrenceDateTime="2026-11-24"),
        charge(occurrenceDateTime="2026-12-01"),
        charge(occurrenceDateTime="2026-11"),
        charge(occurrenceDateTime=None, occurrencePeriod={"start": "2024-02-01"}),
        claim(use=None),
        claim(status=None),
        claim({"productOrService": J_CODE}),
        claim({"productOrService": J_CODE, "servicedDate": "2026-11-24"}),
    ],
)
def test_a_bill_that_may_be_this_orders_needs_a_person(bill: Any) -> None:
    """Without a day of service before the order, or before it was billed."""
    (found,) = bills(bill)
    assert found.doubtful


@pytest.mark.parametrize(
    "bill",
    [
        *(charge(status=status) for status in ("planned", "aborted", "entered-in-error")),
        *(claim(status=status) for status in ("cancelled", "draft", "entered-in-error")),
        *(claim(use=use) for use in ("preauthorization", "predetermination")),
        charge(code=OTHER),
        claim({"productOrService": OTHER}),
        charge(subject={"reference": "Patient/p2"}),
        claim(patient={"reference": "Patient/p2"}),
    ],
)
def test_what_was_not_billed_for_this_patient_and_drug_is_no_bill(bill: Any) -> None:
    """A request for authorization is no history; what was taken back never was."""
    assert bills(bill) == ()


@pytest.mark.parametrize(
    "uri", ["http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "urn:oid:2.16.840.1.113883.6.285"]
)
def test_the_code_counts_under_every_name_of_its_system(uri: str) -> None:
    """As seen in the wild."""
    assert len(bills(charge(code=concept("J1411", system=uri)))) == 1


def test_a_drug_that_only_the_product_names_counts() -> None:
    """The charge's own code is often the hospital's."""
    product = concept(text="Hemgenix kit")
    (found,) = bills(charge(code=concept("4711", "Pharmacy", "urn:local"), productCodeableConcept=product))
    assert found.display == "Hemgenix kit billed for 2024-02-01"


def test_a_detail_of_a_claim_counts_with_the_day_of_its_item_or_claim() -> None:
    """A package price may hold the drug."""
    sub = {"productOrService": J_CODE}
    package = {"productOrService": OTHER, "detail": [{"productOrService": OTHER, "subDetail": [sub]}]}
    assert [one.doubtful for one in bills(claim({**package, "servicedDate": "2024-02-01"}))] == [False]
    assert [one.doubtful for one in bills(claim(package, billablePeriod={"end": "2024-02-28"}))] == [False]
    assert [one.doubtful for one in bills(claim(package))] == [True]


@pytest.mark.parametrize("bill", [charge(code={}), charge(code=7), claim({"productOrService": "x"}), claim({})])
def test_a_bill_for_something_unreadable_is_broken(bill: Any) -> None:
    """It may hide a gene therapy."""
    held = record(bill)
    assert read_bills(held, CODES, DAY) == ()
    assert list(held.broken) == ["bills"]
