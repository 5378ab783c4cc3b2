"""The searchable elements of each resource type, as one table. A type that is not in it is not served."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from msgspec import Struct

from cds_service.demo.outcomes import Resource


class Kind(StrEnum):
    """How a parameter's values compare."""

    TOKEN = "token"  # noqa: S105 - a code, not a secret
    REFERENCE = "reference"
    DATE = "date"
    STRING = "string"
    URI = "uri"


class Parameter(Struct, frozen=True):
    """One search parameter: its kind, the elements that it looks at, and what a bare id in it refers to."""

    kind: Kind
    paths: tuple[str, ...]
    target: str | None = None


def _token(*paths: str) -> Parameter:
    return Parameter(Kind.TOKEN, paths)


def _date(*paths: str) -> Parameter:
    return Parameter(Kind.DATE, paths)


def _reference(path: str, target: str | None = None) -> Parameter:
    return Parameter(Kind.REFERENCE, (path,), target)


def _string(*paths: str) -> Parameter:
    return Parameter(Kind.STRING, paths)


_ANY = {"_id": _token("id"), "_lastUpdated": _date("meta.lastUpdated")}
_IDENTIFIED = {**_ANY, "identifier": _token("identifier")}
_STATUS = {**_IDENTIFIED, "status": _token("status")}
_OF_PATIENT = {**_STATUS, "patient": _reference("subject", "Patient"), "subject": _reference("subject")}
_AT_VISIT = {**_OF_PATIENT, "encounter": _reference("encounter", "Encounter")}
_MEDICATION = {
    **_OF_PATIENT,
    "code": _token("medicationCodeableConcept"),
    "medication": _reference("medicationReference", "Medication"),
}
_PERSON = {
    **_IDENTIFIED,
    "name": _string("name.text", "name.family", "name.given"),
    "family": _string("name.family"),
    "given": _string("name.given"),
    "active": _token("active"),
}
_EFFECTIVE = _date("effectiveDateTime", "effectivePeriod", "effectiveInstant")

PARAMETERS: dict[str, dict[str, Parameter]] = {
    "Patient": {**_PERSON, "birthdate": _date("birthDate"), "gender": _token("gender")},
    "Practitioner": _PERSON,
    "PractitionerRole": {
        **_IDENTIFIED,
        "practitioner": _reference("practitioner", "Practitioner"),
        "organization": _reference("organization", "Organization"),
        "specialty": _token("specialty"),
        "role": _token("code"),
        "active": _token("active"),
    },
    "Organization": {
        **_IDENTIFIED,
        "name": _string("name", "alias"),
        "type": _token("type"),
        "active": _token("active"),
    },
    "Location": {**_IDENTIFIED, "name": _string("name", "alias")},
    "Encounter": {**_OF_PATIENT, "date": _date("period"), "class": _token("class"), "type": _token("type")},
    "Coverage": {
        **_STATUS,
        "patient": _reference("beneficiary", "Patient"),
        "beneficiary": _reference("beneficiary", "Patient"),
        "payor": _reference("payor"),
        "type": _token("type"),
    },
    "Condition": {
        **_IDENTIFIED,
        "patient": _reference("subject", "Patient"),
        "subject": _reference("subject"),
        "encounter": _reference("encounter", "Encounter"),
        "code": _token("code"),
        "category": _token("category"),
        "clinical-status": _token("clinicalStatus"),
        "verification-status": _token("verificationStatus"),
        "onset-date": _date("onsetDateTime", "onsetPeriod"),
        "recorded-date": _date("recordedDate"),
    },
    "Observation": {**_AT_VISIT, "code": _token("code"), "category": _token("category"), "date": _EFFECTIVE},
    "DiagnosticReport": {
        **_AT_VISIT,
        "code": _token("code"),
        "category": _token("category"),
        "date": _EFFECTIVE,
        "issued": _date("issued"),
    },
    "Procedure": {
        **_AT_VISIT,
        "code": _token("code"),
        "category": _token("category"),
        "date": _date("performedDateTime", "performedPeriod"),
    },
    "ChargeItem": {
        **_OF_PATIENT,
        "code": _token("code"),
        "occurrence": _date("occurrenceDateTime", "occurrencePeriod"),
    },
    "Claim": {
        **_STATUS,
        "patient": _reference("patient", "Patient"),
        "use": _token("use"),
        "created": _date("created"),
    },
    "Medication": {**_STATUS, "code": _token("code")},
    "MedicationRequest": {
        **_MEDICATION,
        "category": _token("category"),
        "intent": _token("intent"),
        "authoredon": _date("authoredOn"),
        "requester": _reference("requester"),
        "encounter": _reference("encounter", "Encounter"),
    },
    "MedicationAdministration": {**_MEDICATION, "effective-time": _date("effectiveDateTime", "effectivePeriod")},
    "MedicationStatement": {
        **_MEDICATION,
        "category": _token("category"),
        "effective": _date("effectiveDateTime", "effectivePeriod"),
    },
    "MedicationDispense": {**_MEDICATION, "whenhandedover": _date("whenHandedOver")},
    "ServiceRequest": {
        **_AT_VISIT,
        "code": _token("code"),
        "category": _token("category"),
        "intent": _token("intent"),
        "authored": _date("authoredOn"),
        "requester": _reference("requester"),
    },
    "CareTeam": {**_AT_VISIT, "category": _token("category"), "participant": _reference("participant.member")},
    "DocumentReference": {
        **_OF_PATIENT,
        "type": _token("type"),
        "category": _token("category"),
        "date": _date("date"),
        "encounter": _reference("context.encounter", "Encounter"),
    },
    "QuestionnaireResponse": {
        **_AT_VISIT,
        "questionnaire": Parameter(Kind.URI, ("questionnaire",)),
        "authored": _date("authored"),
        "author": _reference("author"),
    },
    "Questionnaire": {**_STATUS, "url": Parameter(Kind.URI, ("url",))},
    "Task": {**_STATUS, "patient": _reference("for", "Patient"), "code": _token("code")},
}


def values(resource: Resource, path: str) -> Iterator[Any]:
    """Every value at a dotted path, lists flattened."""
    found: list[Any] = [resource]
    for step in path.split("."):
        deeper: list[Any] = []
        for value in found:
            inner = value.get(step) if isinstance(value, dict) else None
            if isinstance(inner, list):
                deeper.extend(inner)
            elif inner is not None:
                deeper.append(inner)
        found = deeper
    yield from found


def all_values(resource: Resource, parameter: Parameter) -> Iterator[Any]:
    """Every value that the parameter looks at."""
    for path in parameter.paths:
        yield from values(resource, path)
