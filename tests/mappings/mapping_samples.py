"""A small vocabulary and a few resources that the tests of the mappings share. All people are invented."""

from datetime import date
from pathlib import Path
from typing import Any

from cds_service.policy.dates import day_span
from cds_service.policy.value_sets import Code, Kind, ValueSet, Words, read_systems
from fhir_mappings.codes import CodeIndex
from fhir_mappings.prefetch import read_prefetch
from fhir_mappings.record import Record

DAY = date(2026, 11, 24)
ON = day_span(DAY)
BASE = "https://ehr.example/fhir"
VALUE_SETS = Path(__file__).parents[2] / "policies" / "value_sets"
SYSTEMS = read_systems(VALUE_SETS)
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
NUCC = "http://nucc.org/provider-taxonomy"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
HCPCS = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
SUBJECT = {"reference": "Patient/p1"}


def _set(name: str, kind: Kind, code: Code | None, *words: str) -> ValueSet:
    return ValueSet(name, name, kind, (code,) if code else (), (), Words(words))


SETS = {
    found.name: found
    for found in (
        _set("cond.b", "condition", Code("icd-10-cm", "D67"), "factor ix deficiency"),
        _set("drug.factor", "product", Code("rxnorm", "1000"), "alprolix"),
        _set("drug.gene", "product", Code("hcpcs", "J1411"), "hemgenix", "etranacogene"),
        _set("specialty.heme", "specialty", Code("nucc", "207RH0000X"), "hematolog"),
        _set("site.center", "site", None, "treatment center"),
        _set("statement.none", "statement", None, "no prior gene therapy"),
        _set("statement.bleed", "statement", None, "life-threatening bleed"),
        _set("coverage.commercial", "coverage", Code("act-code", "EHCPOL"), "commercial"),
        _set("coverage.essential", "coverage", None, "essential plan"),
    )
}
CODES = CodeIndex(SETS, SYSTEMS)


def record(*resources: Any, drafts: tuple[Any, ...] = (), prefetch: Any = None, base: str | None = BASE) -> Record:
    """The record of Patient/p1 with those resources."""
    found = Record("p1", base, drafts, read_prefetch(prefetch))
    found.add_all(resources)
    return found


def bundle(*resources: Any, **members: Any) -> dict[str, Any]:
    """A searchset of those resources."""
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in resources], **members}


def concept(code: str = "", display: str = "", system: str = ICD, text: str = "") -> dict[str, Any]:
    """A CodeableConcept."""
    coding = {"system": system, "code": code, **({"display": display} if display else {})}
    return {**({"coding": [coding]} if code else {}), **({"text": text} if text else {})}


def condition(own_id: str = "c1", **members: Any) -> dict[str, Any]:
    """A confirmed, active Condition of Patient/p1."""
    return {
        "resourceType": "Condition",
        "id": own_id,
        "subject": SUBJECT,
        "code": concept("D67", "Hereditary factor IX deficiency"),
        "clinicalStatus": concept("active", system="http://terminology.hl7.org/CodeSystem/condition-clinical"),
        "verificationStatus": concept("confirmed", system="http://terminology.hl7.org/CodeSystem/condition-ver-status"),
        **members,
    }


def order(**members: Any) -> dict[str, Any]:
    """A draft order of the gene therapy for Patient/p1."""
    return {
        "resourceType": "MedicationRequest",
        "id": "order1",
        "status": "draft",
        "intent": "order",
        "subject": SUBJECT,
        "medicationCodeableConcept": {"text": "Hemgenix"},
        "requester": {"reference": "Practitioner/dr1"},
        **members,
    }


def of_patient(kind: str, own_id: str, **members: Any) -> dict[str, Any]:
    """A resource of Patient/p1."""
    return {"resourceType": kind, "id": own_id, "subject": SUBJECT, **members}
