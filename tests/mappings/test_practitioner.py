"""Prescribers and consultants."""

from typing import Any

import pytest
from mapping_samples import CODES, NUCC, ON, concept, of_patient, order, record

from cds_service.policy.facts import Clinician
from fhir_mappings.practitioner import read_clinicians, unresolved_people, without_role

DOCTOR = {"resourceType": "Practitioner", "id": "dr1", "name": [{"given": ["Ann"], "family": "Example"}]}
ROLE = {
    "resourceType": "PractitionerRole",
    "id": "r1",
    "practitioner": {"reference": "Practitioner/dr1"},
    "organization": {"reference": "Organization/o1"},
    "specialty": [concept("207RH0000X", "Hematology", NUCC)],
}
CENTER = {"resourceType": "Organization", "id": "o1", "name": "Example Treatment Center"}


def clinicians(*resources: Any, draft: Any = None, users: tuple[str, ...] = ()) -> list[Clinician]:
    return read_clinicians(record(*resources), draft or order(), users, CODES, ON)


def test_the_requester_is_a_prescriber_with_specialty_and_site() -> None:
    """Found by way of the role that names him or her."""
    (found,) = clinicians(DOCTOR, ROLE, CENTER)
    assert found == Clinician(
        "prescriber",
        frozenset({"specialty.heme"}),
        frozenset({"site.center"}),
        "Practitioner/dr1",
        "Ann Example (Hematology)",
    )


def test_a_requesting_role_is_the_person_behind_it() -> None:
    """The same prescriber, whether the order names the person or the role."""
    (found,) = clinicians(DOCTOR, ROLE, CENTER, draft=order(requester={"reference": "PractitionerRole/r1"}))
    assert found.reference == "Practitioner/dr1"
    assert (found.sets, found.sites) == ({"specialty.heme"}, {"site.center"})


def test_the_user_is_a_prescriber_too() -> None:
    """context.userId; somebody named twice is one person."""
    found = clinicians(DOCTOR, ROLE, CENTER, users=("PractitionerRole/r1", "Practitioner/dr2"))
    assert [(one.role, one.reference) for one in found] == [
        ("prescriber", "Practitioner/dr1"),
        ("prescriber", "Practitioner/dr2"),
    ]


def test_a_qualification_is_a_specialty() -> None:
    """Practitioner.qualification, where no role says it."""
    doctor = {**DOCTOR, "qualification": [{"code": concept("207RH0000X", "", NUCC)}]}
    assert clinicians(doctor)[0].sets == {"specialty.heme"}


@pytest.mark.parametrize(
    "role",
    [{**ROLE, "active": False}, {**ROLE, "period": {"end": "2026-11-23"}}, {**ROLE, "period": {"start": "2026-11-25"}}],
)
def test_a_role_that_is_over_says_nothing(role: dict[str, Any]) -> None:
    """Neither specialty nor site."""
    assert clinicians(DOCTOR, role, CENTER)[0].sets == frozenset()


def test_a_contained_requester_is_read() -> None:
    """Role, person and organisation inside the order."""
    inner = [{**ROLE, "practitioner": {"display": "Dr. B"}, "organization": {"display": "The Treatment Center"}}]
    (found,) = clinicians(draft=order(contained=inner, requester={"reference": "#r1"}))
    assert (found.sets, found.sites, found.display) == ({"specialty.heme"}, {"site.center"}, "Dr. B (Hematology)")


@pytest.mark.parametrize(
    "tie",
    [
        of_patient("CareTeam", "t1", status="active", participant=[{"member": {"reference": "Practitioner/dr1"}}]),
        of_patient(
            "Encounter", "e1", status="finished", participant=[{"individual": {"reference": "Practitioner/dr1"}}]
        ),
        of_patient("ServiceRequest", "s1", status="completed", performer=[{"reference": "Practitioner/dr1"}]),
        of_patient("DocumentReference", "d1", status="current", author=[{"reference": "Practitioner/dr1"}]),
    ],
)
def test_whoever_the_record_ties_to_the_care_is_a_consultant(tie: dict[str, Any]) -> None:
    """Care team, encounter, service, author of a document."""
    found = clinicians(DOCTOR, ROLE, CENTER, tie, draft=order(requester={"reference": "Practitioner/gp"}))
    assert [(one.role, one.reference) for one in found] == [
        ("prescriber", "Practitioner/gp"),
        ("consultant", "Practitioner/dr1"),
    ]
    assert (found[1].sets, found[1].sites) == ({"specialty.heme"}, {"site.center"})


@pytest.mark.parametrize(
    "tie",
    [
        of_patient("CareTeam", "t1", status="inactive", participant=[{"member": {"reference": "Practitioner/dr1"}}]),
        of_patient(
            "Encounter", "e1", status="planned", participant=[{"individual": {"reference": "Practitioner/dr1"}}]
        ),
        of_patient("ServiceRequest", "s1", status="revoked", performer=[{"reference": "Practitioner/dr1"}]),
        of_patient("DocumentReference", "d1", status="superseded", author=[{"reference": "Practitioner/dr1"}]),
        of_patient(
            "DocumentReference",
            "d1",
            status="current",
            docStatus="preliminary",
            author=[{"reference": "Practitioner/dr1"}],
        ),
    ],
)
def test_what_does_not_stand_ties_nobody(tie: dict[str, Any]) -> None:
    """Inactive teams, planned encounters, revoked requests, superseded or unsigned documents."""
    found = clinicians(DOCTOR, ROLE, CENTER, tie, draft=order(requester={"reference": "Practitioner/gp"}))
    assert [one.role for one in found] == ["prescriber"]


def test_a_consult_note_says_the_specialty_of_its_author() -> None:
    """DocumentReference.type and practice setting, with the custodian as the site."""
    note = of_patient(
        "DocumentReference",
        "d1",
        status="current",
        type={"text": "Hematology consult note"},
        author=[{"reference": "Practitioner/dr9", "display": "Dr. Nine"}],
        custodian={"display": "Example Treatment Center"},
    )
    found = clinicians(note)[1]
    assert (found.sets, found.sites, found.display) == ({"specialty.heme"}, {"site.center"}, "Dr. Nine")


def test_a_patient_in_a_care_team_is_no_clinician() -> None:
    """Nor a relative."""
    team = of_patient(
        "CareTeam", "t1", participant=[{"member": {"reference": "Patient/p1"}, "role": [{"text": "hematology"}]}]
    )
    assert [one.role for one in clinicians(team)] == ["prescriber"]


def test_organisations_are_known_by_alias_too() -> None:
    """Organization.alias."""
    organization = {**CENTER, "name": "EHTC", "alias": ["Example Treatment Center", 7]}
    assert clinicians(DOCTOR, ROLE, organization)[0].sites == {"site.center"}


def test_who_is_named_and_not_here_is_asked_for() -> None:
    """People first, then what their roles refer to, then their roles."""
    assert list(unresolved_people(record(), order(), (), CODES)) == ["Practitioner/dr1"]
    assert list(unresolved_people(record(DOCTOR, ROLE), order(), (), CODES)) == ["Organization/o1"]
    assert list(without_role(record(DOCTOR), order(), (), CODES)) == ["Practitioner/dr1"]
    assert list(without_role(record(DOCTOR, ROLE), order(), (), CODES)) == []


def test_a_specialty_that_cannot_be_read_is_counted_as_broken() -> None:
    """It may be the one that matters."""
    held = record(DOCTOR, {**ROLE, "specialty": ["hematology"]})
    read_clinicians(held, order(), (), CODES, ON)
    assert held.broken == {"clinicians": ["PractitionerRole/r1"]}


@pytest.mark.parametrize("junk", [5, "x", [5], ["x"], {"a": 1}, None, [{"reference": 5}], [{"member": 5, "role": 5}]])
def test_members_of_the_wrong_type_never_raise(junk: Any) -> None:
    """Whatever they are, the others are read."""
    broken = [
        of_patient("CareTeam", "t1", participant=junk),
        of_patient("Encounter", "e1", participant=junk, serviceProvider=junk),
        of_patient("DocumentReference", "d1", status="current", author=junk, type=junk, context=junk, custodian=junk),
        {**ROLE, "id": "r2", "specialty": junk, "period": junk, "organization": junk},
        {**DOCTOR, "id": "dr3", "name": junk, "qualification": junk},
    ]
    draft = order(performer=junk, recorder=junk)
    assert clinicians(*broken, DOCTOR, ROLE, CENTER, draft=draft, users=("Practitioner/dr3",))[0].sets == {
        "specialty.heme"
    }
