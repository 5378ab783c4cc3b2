"""Patient to Person."""

from datetime import date

import pytest
from mapping_samples import record

from cds_service.policy.dates import Span
from cds_service.policy.facts import Person
from fhir_mappings.patient import read_patient


def person(**members: object) -> Person:
    found = read_patient(record({"resourceType": "Patient", "id": "p1", **members}))
    assert found is not None
    return found


def test_a_birth_date_is_a_day() -> None:
    """The day is kept and shown as written."""
    found = person(birthDate="1990-05-01")
    assert found.birth == Span(date(1990, 5, 1), date(1990, 5, 1))
    assert (found.reference, found.display, found.deceased) == ("Patient/p1", "Born 1990-05-01", False)


def test_a_partial_birth_date_is_a_span() -> None:
    """A year stands for all its days."""
    assert person(birthDate="2008").birth == Span(date(2008, 1, 1), date(2008, 12, 31))


@pytest.mark.parametrize("birth", [None, 1990, "yesterday", "2008-02-31", {}, []])
def test_a_birth_date_that_is_none_gives_none(birth: object) -> None:
    """Nothing is guessed."""
    assert person(birthDate=birth).birth is None


def test_an_unreadable_birth_date_is_counted_as_broken() -> None:
    """It was given, and could not be read."""
    held = record({"resourceType": "Patient", "id": "p1", "birthDate": 1990})
    read_patient(held)
    assert held.broken == {"patient": ["Patient/p1"]}


@pytest.mark.parametrize(
    ("members", "deceased"),
    [
        ({"deceasedBoolean": True}, True),
        ({"deceasedBoolean": False}, False),
        ({"deceasedDateTime": "2026-01"}, True),
        ({"deceasedBoolean": "true"}, False),
        ({}, False),
    ],
)
def test_death_is_read_in_both_forms(members: dict[str, object], deceased: bool) -> None:
    """deceasedBoolean and deceasedDateTime."""
    assert person(**members).deceased is deceased


def test_another_patient_is_nobody() -> None:
    """Only the patient of the call is read."""
    assert read_patient(record({"resourceType": "Patient", "id": "p2", "birthDate": "1990"})) is None
