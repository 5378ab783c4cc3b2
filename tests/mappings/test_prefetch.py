"""What a prefetch says of each resource type."""

import re
from typing import Any

import pytest
from mapping_samples import bundle, condition, of_patient, record

from fhir_mappings.prefetch import ROWS, State, read_prefetch, templates

OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
WARNING = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "informational"}]}
LEGAL_TOKEN = re.compile(r"context\.[a-zA-Z]+|userPractitionerId|userPractitionerRoleId")


@pytest.mark.parametrize(
    ("value", "state"),
    [
        (None, State.NOTHING),
        (bundle(), State.NOTHING),
        ({"resourceType": "Bundle", "type": "searchset", "total": 0}, State.NOTHING),
        (OUTCOME, State.FAILED),
        (bundle(OUTCOME), State.FAILED),
        (bundle(condition(), OUTCOME), State.FAILED),
        (bundle(condition(), WARNING), State.SUPPLIED),
        (bundle(condition()), State.SUPPLIED),
        (bundle(condition(), link=[{"relation": "next", "url": "x"}]), State.FIRST_PAGE),
        (bundle(condition(), total=2), State.FIRST_PAGE),
        (bundle(condition(), total=1), State.SUPPLIED),
        (condition(), State.ABSENT),
        (bundle(of_patient("Procedure", "x")), State.ABSENT),
        ({"resourceType": "Bundle", "entry": "x"}, State.ABSENT),
        ("Condition", State.ABSENT),
        (5, State.ABSENT),
        ([condition()], State.ABSENT),
        ({}, State.ABSENT),
    ],
)
def test_a_key_of_ours_has_one_of_these_states(value: Any, state: State) -> None:
    """Null, empty, failed, a first page, data; what cannot be read is as good as absent."""
    assert read_prefetch({"conditions": value}).state("Condition") is state


@pytest.mark.parametrize("prefetch", [None, {}, [], "x", 5])
def test_without_a_key_the_type_is_absent(prefetch: Any) -> None:
    """And must be asked for."""
    assert read_prefetch(prefetch).state("Condition") is State.ABSENT


def test_a_key_of_another_name_is_evidence_and_no_proof() -> None:
    """Its resources count; whether there are more is not known."""
    found = read_prefetch({"diagnosenliste": bundle(condition())})
    assert found.resources == [condition()]
    assert found.state("Condition") is State.ABSENT


def test_a_single_patient_is_the_whole_answer() -> None:
    """A read is not a search."""
    assert read_prefetch({"patient": {"resourceType": "Patient", "id": "p1"}}).state("Patient") is State.SUPPLIED


def test_a_bundle_that_was_searched_by_code_says_so() -> None:
    """It cannot hold what has no code to search by."""
    link = [{"relation": "self", "url": "https://ehr.example/fhir/Observation?patient=p1&code=a,b"}]
    held = bundle(of_patient("Observation", "o1"))
    assert read_prefetch({"observations": {**held, "link": link}}).filtered == {"Observation"}
    assert read_prefetch({"observations": held}).filtered == frozenset()


def test_entries_without_a_resource_are_counted() -> None:
    """The others are kept."""
    broken = {"resourceType": "Bundle", "entry": [{"resource": condition()}, {"resource": "x"}, 5, {}]}
    found = read_prefetch({"conditions": broken})
    assert (len(found.resources), found.broken) == (1, {"Condition": 3})
    assert record(prefetch={"conditions": broken}).broken == {"diagnoses": ["Condition"] * 3}


def test_only_tokens_that_every_client_knows_are_advertised() -> None:
    """CDS Hooks 2.0 prefetch tokens: a primitive of the context, or one of the user ids."""
    found = templates({row.type for row in ROWS}, ["http://loinc.org|777-3", "http://loinc.org|777-3"], ["J1411"])
    for template in found.values():
        assert all(LEGAL_TOKEN.fullmatch(token) for token in re.findall(r"\{\{(.*?)\}\}", template))
    assert found["coverage"] == "Coverage?patient={{context.patientId}}&status=active"
    assert found["observations"] == "Observation?patient={{context.patientId}}&code=http://loinc.org|777-3"
    assert found["chargeItems"] == "ChargeItem?patient={{context.patientId}}&code=J1411"
    assert "organizations" not in found


def test_another_patients_resources_do_not_count() -> None:
    """Relative, absolute under the same base, or by the Bundle's own URNs; nothing else is this patient."""
    kept = ["Patient/p1", "https://ehr.example/fhir/Patient/p1", "Patient/p1/_history/3", "urn:uuid:1"]
    dropped = ["Patient/p2", "https://other.example/fhir/Patient/p1", "urn:uuid:2", "Patient/p11"]
    entries = [
        {"resource": condition(f"c{at}", subject={"reference": reference})}
        for at, reference in enumerate([*kept, *dropped])
    ]
    people = [
        {"fullUrl": f"urn:uuid:{number}", "resource": {"resourceType": "Patient", "id": f"p{number}"}}
        for number in (1, 2)
    ]
    held = record(prefetch={"all": {"resourceType": "Bundle", "entry": [*people, *entries]}})
    assert [found["id"] for found in held.of("Condition")] == ["c0", "c1", "c2", "c3"]
    assert held.broken == {}


NOBODYS = ["p1", "#p1", "urn:uuid:3", "", "Patient/", "Patient?identifier=1"]


@pytest.mark.parametrize(
    "subject",
    [
        None,
        "Patient/p1",
        5,
        {},
        {"reference": 5},
        [{"reference": "Patient/p1"}],
        *({"reference": one} for one in NOBODYS),
    ],
)
def test_a_resource_that_does_not_say_whose_it_is_is_broken(subject: Any) -> None:
    """It is not used, and not passed over in silence."""
    held = record(condition(subject=subject))
    assert (held.of("Condition"), held.broken) == ([], {"diagnoses": ["Condition/c1"]})


def test_a_resource_that_came_twice_counts_once() -> None:
    """The first one stands."""
    assert len(record(condition(), prefetch={"conditions": bundle(condition())}).of("Condition")) == 1
