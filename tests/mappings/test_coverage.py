"""Choosing the Coverage of an order."""

import pytest
from mapping_samples import BASE, CODES, ON, concept, order, record

from fhir_mappings.coverage import CoverageChoice, CoverageState, choose_coverage, unresolved_payors

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def coverage(own_id: str = "cov1", **members: object) -> dict[str, object]:
    return {
        "resourceType": "Coverage",
        "id": own_id,
        "status": "active",
        "beneficiary": {"reference": "Patient/p1"},
        "type": concept("EHCPOL", "", ACT),
        "payor": [{"display": "Example Health"}],
        **members,
    }


def choice(*coverages: object, **members: object) -> CoverageChoice:
    return choose_coverage(record(*coverages), order(**members), CODES, ON)


def test_the_only_active_coverage_is_chosen() -> None:
    """With its plan, and the resource as it came."""
    raw = coverage(**{"class": [{"value": "EP1", "name": "Essential Plan 1"}]})
    found = choice(raw)
    assert found.state is CoverageState.ACTIVE
    assert found.resource is raw
    assert found.plan is not None
    assert found.plan.sets == {"coverage.commercial", "coverage.essential"}
    assert found.plan.display == "Essential Plan 1, Example Health"


@pytest.mark.parametrize(
    ("members", "state"),
    [
        ({"status": "cancelled"}, CoverageState.INACTIVE),
        ({"period": {"end": "2026-11-23"}}, CoverageState.INACTIVE),
        ({"period": {"end": "2026-11-24"}}, CoverageState.ACTIVE),
        ({"period": {"start": "2026-11-25"}}, CoverageState.INACTIVE),
        ({"period": {"start": "2026-11-24"}}, CoverageState.ACTIVE),
        ({"period": {"end": "2026-11"}}, CoverageState.ACTIVE),
        ({"status": "entered-in-error"}, CoverageState.NONE),
        ({"status": "draft"}, CoverageState.NONE),
        ({"status": 5}, CoverageState.UNREADABLE),
        ({"beneficiary": {"reference": "Patient/p2"}}, CoverageState.NONE),
        ({"beneficiary": "Patient/p1"}, CoverageState.UNREADABLE),
    ],
)
def test_a_coverage_counts_on_the_day_of_the_order(members: dict[str, object], state: CoverageState) -> None:
    """Status and period, both ends inclusive; drafts, errors and another patient's count for nothing."""
    assert choice(coverage(**members)).state is state


def test_the_coverage_that_the_order_names_is_preferred() -> None:
    """`insurance` on the order beats the rest of the record."""
    found = choice(coverage(), coverage("cov2"), insurance=[{"reference": f"{BASE}/Coverage/cov2"}])
    assert found.plan is not None
    assert found.plan.reference == "Coverage/cov2"


def test_a_named_coverage_that_is_not_here_is_unreadable() -> None:
    """What the order names and nobody could read is not the same as none."""
    assert choice(insurance=[{"reference": "Coverage/gone"}]).state is CoverageState.UNREADABLE


@pytest.mark.parametrize(
    ("first", "second", "chosen"),
    [
        ({"order": 1}, {"order": 2}, "Coverage/cov1"),
        ({"order": 2}, {"order": 1}, "Coverage/cov2"),
        ({"order": 1}, {}, "Coverage/cov1"),
        ({"order": 2}, {}, None),
        ({"order": 1}, {"order": 1}, None),
        ({"order": True}, {}, None),
        ({}, {}, None),
        ({}, {"status": "cancelled"}, "Coverage/cov1"),
    ],
)
def test_of_several_active_ones_the_order_tells_the_primary(
    first: dict[str, object], second: dict[str, object], chosen: str | None
) -> None:
    """Coverage.order; without it there are several."""
    found = choice(coverage(**first), coverage("cov2", **second))
    assert (found.plan.reference if found.plan else None) == chosen
    assert found.state is (CoverageState.ACTIVE if chosen else CoverageState.SEVERAL)
    assert found.candidates == ("Coverage/cov1", "Coverage/cov2")


def test_nothing_found_and_not_looked_are_two_things() -> None:
    """No Coverage in a record that was read, and a Coverage that could not be read."""
    held = record()
    assert choose_coverage(held, order(), CODES, ON).state is CoverageState.NONE
    held.unread.add("coverage")
    assert choose_coverage(held, order(), CODES, ON).state is CoverageState.UNREADABLE


def test_a_cancelled_coverage_proves_nothing_when_not_all_was_read() -> None:
    """There may be an active one."""
    held = record(coverage(status="cancelled"))
    held.unread.add("coverage")
    assert choose_coverage(held, order(), CODES, ON).state is CoverageState.UNREADABLE


def test_payers_come_from_the_organization_or_the_reference_itself() -> None:
    """Contained, sent, or an identifier on the reference."""
    inner = {"resourceType": "Organization", "id": "o", "name": "Inner", "identifier": [{"system": "s", "value": "1"}]}
    outer = {**inner, "id": "org1", "name": "Outer", "identifier": [{"system": "s", "value": "2"}]}
    payors = [
        {"reference": "#o"},
        {"reference": "Organization/org1"},
        {"identifier": {"system": "s", "value": "3"}, "display": "Third"},
        {"reference": "Organization/gone"},
    ]
    held = record(coverage(contained=[inner], payor=payors), outer)
    found = choose_coverage(held, order(), CODES, ON)
    assert [(payer.name, payer.identifiers, payer.read) for payer in found.payers] == [
        ("Inner", (("s", "1"),), True),
        ("Outer", (("s", "2"),), True),
        ("Third", (("s", "3"),), True),
        ("", (), False),
    ]
    assert list(unresolved_payors(held)) == ["Organization/gone"]


@pytest.mark.parametrize(
    "payor",
    [
        {"reference": "Patient/p1"},
        {"reference": f"{BASE}/Patient/p1/_history/2"},
        {"reference": "RelatedPerson/r1"},
        {"type": "Patient", "identifier": {"system": "s", "value": "1"}},
        {"reference": "#me"},
    ],
)
def test_what_a_person_pays_is_no_coverage_of_a_plan(payor: dict[str, object]) -> None:
    """Coverage.payor may be the patient or a relative: such a one is neither chosen nor in the way of another."""
    inner = {"resourceType": "Patient", "id": "me", "identifier": [{"system": "s", "value": "1"}]}
    own = coverage("own", payor=[payor], contained=[inner])
    assert choice(own).state is CoverageState.NONE
    assert choice(own, coverage("plan")).resource == coverage("plan")
    (payer,) = choice(coverage(payor=[payor, {"display": "Plan"}], contained=[inner])).payers
    assert payer.name == "Plan"


@pytest.mark.parametrize("junk", [5, "x", [5], {"a": 1}, None])
def test_members_of_the_wrong_type_never_raise(junk: object) -> None:
    """They read as absent."""
    members = dict.fromkeys(("type", "class", "payor", "period", "order"), junk)
    assert choice(coverage(**members), insurance=junk).state is CoverageState.ACTIVE
