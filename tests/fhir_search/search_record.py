"""A record to search, and the server that it is put into."""

from collections.abc import Mapping
from typing import Any

import requests

LOINC = "http://loinc.org"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
FORM = "http://example.org/fhir/Questionnaire/search-form"

Json = dict[str, Any]


class Server:
    """The server under test: reads, searches and writes, each answered with a status and JSON."""

    def __init__(self, base: str, session: requests.Session) -> None:
        self.base = base.rstrip("/")
        self._session = session

    def get(self, path: str, params: Mapping[str, str] | None = None) -> tuple[int, Json]:
        """Status and body of GET; `path` is below the base, or a whole URL."""
        url = path if path.startswith("http") else f"{self.base}/{path}"
        return self._json("GET", url, params=params)

    def put(self, resource: Json) -> None:
        """Stores the resource under its id."""
        url = f"{self.base}/{resource['resourceType']}/{resource['id']}"
        status, body = self._json("PUT", url, json=resource)
        assert status in (200, 201), body

    def post(self, path: str, resource: Json) -> tuple[int, Json]:
        """Status and body of POST."""
        return self._json("POST", f"{self.base}/{path}" if path else self.base, json=resource)

    def post_search(self, resource_type: str, params: Mapping[str, str]) -> tuple[int, Json]:
        """Status and body of a search sent as a form."""
        return self._json("POST", f"{self.base}/{resource_type}/_search", data=params)

    def delete(self, path: str) -> int:
        """Status of DELETE."""
        return self._json("DELETE", f"{self.base}/{path}")[0]

    def found(self, search: str) -> list[str]:
        """The ids of the matches on the first page, in order; included resources and outcomes are not among them."""
        status, bundle = self.get(search)
        assert status == 200, bundle
        return matches(bundle)

    def _json(self, method: str, url: str, **sent: Any) -> tuple[int, Json]:
        headers = {"Accept": "application/fhir+json"}
        if "json" in sent:
            headers["Content-Type"] = "application/fhir+json"
        answer = self._session.request(method, url, headers=headers, timeout=30, **sent)
        return answer.status_code, answer.json() if answer.content else {}


def matches(bundle: Json) -> list[str]:
    """The ids of a searchset's matches."""
    entries = bundle.get("entry", [])
    return [entry["resource"]["id"] for entry in entries if entry.get("search", {}).get("mode", "match") == "match"]


def included(bundle: Json) -> list[str]:
    """The references of a searchset's included resources."""
    return [
        f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        for entry in bundle.get("entry", [])
        if entry.get("search", {}).get("mode") == "include"
    ]


def concept(system: str, code: str, text: str = "") -> Json:
    """A CodeableConcept."""
    return {"coding": [{"system": system, "code": code}], **({"text": text} if text else {})}


def observation(patient_id: str, name: str, code: Json, effective: Json, **more: Any) -> Json:
    """A laboratory result of the patient."""
    return {
        "resourceType": "Observation",
        "id": f"{patient_id}-{name}",
        "status": "final",
        "category": [concept("http://terminology.hl7.org/CodeSystem/observation-category", "laboratory")],
        "code": code,
        "subject": {"reference": f"Patient/{patient_id}"},
        **effective,
        **more,
    }


def _results(patient_id: str) -> list[Json]:
    platelets, factor = concept(LOINC, "777-3"), concept(LOINC, "3187-2")
    aav5 = concept("http://example.org/fhir/CodeSystem/local-tests", "LOCAL-1", "AAV5 total antibody")
    quantity = {"value": 212, "unit": "10*9/L", "system": "http://unitsofmeasure.org", "code": "10*9/L"}
    return [
        observation(patient_id, "p1", platelets, {"effectiveDateTime": "2026-03-01"}, valueQuantity=quantity),
        observation(patient_id, "p2", platelets, {"effectiveDateTime": "2026-05-10T08:00:00Z"}, valueQuantity=quantity),
        observation(patient_id, "p3", platelets, {"effectiveDateTime": "2026-04-20"}, status="preliminary"),
        observation(patient_id, "p4", platelets, {}, valueQuantity=quantity),
        observation(patient_id, "f1", factor, {"effectivePeriod": {"start": "2026-02-01", "end": "2026-02-03"}}),
        observation(patient_id, "f2", factor, {"effectiveDateTime": "2019"}),
        observation(patient_id, "a1", aav5, {"effectiveDateTime": "2026-01-15"}, valueString="Not detected"),
    ]


def chart(patient_id: str) -> list[Json]:
    """One of everything that the service searches for."""
    me = {"reference": f"Patient/{patient_id}"}
    drug = {"medicationCodeableConcept": {"text": "Factor IX"}}

    def of(resource_type: str, suffix: str, /, **elements: Any) -> Json:
        return {"resourceType": resource_type, "id": f"{patient_id}-{suffix}", **elements}

    ambulatory = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
    note = {"attachment": {"contentType": "text/plain", "data": "SGVsbG8="}}
    return [
        {
            "resourceType": "Patient",
            "id": patient_id,
            "identifier": [{"system": "http://example.org/numbers", "value": patient_id}],
            "name": [{"family": f"Searcher{patient_id}", "given": ["Sorrel"]}],
            "birthDate": "1990-02-03",
        },
        of("Organization", "org", name="Example Hemophilia Treatment Center"),
        of("Practitioner", "doc", name=[{"family": "Example"}]),
        of(
            "PractitionerRole",
            "role",
            practitioner={"reference": f"Practitioner/{patient_id}-doc"},
            organization={"reference": f"Organization/{patient_id}-org"},
        ),
        of("Encounter", "visit", status="in-progress", **{"class": ambulatory}, subject=me),
        of("Coverage", "c1", status="active", beneficiary=me, payor=[{"reference": f"Organization/{patient_id}-org"}]),
        of(
            "Coverage",
            "c2",
            status="cancelled",
            beneficiary=me,
            payor=[{"reference": f"Organization/{patient_id}-org"}],
        ),
        of("Condition", "d67", subject=me, code=concept(ICD10, "D67")),
        of("Condition", "i62", subject=me, code=concept(ICD10, "I62.9")),
        of("Medication", "drug", code={"text": "Factor IX"}),
        of(
            "MedicationRequest",
            "r1",
            status="active",
            intent="order",
            subject=me,
            medicationReference={"reference": f"Medication/{patient_id}-drug"},
        ),
        of("MedicationRequest", "r2", status="stopped", intent="order", subject=me, **drug),
        of(
            "MedicationAdministration",
            "g1",
            status="completed",
            subject=me,
            **drug,
            effectiveDateTime="2026-04-02T10:00:00Z",
        ),
        of("MedicationStatement", "s1", status="active", subject=me, **drug),
        of("MedicationDispense", "x1", status="completed", subject=me, **drug),
        of(
            "ChargeItem",
            "ci1",
            status="billed",
            subject=me,
            code=concept("https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "J1411"),
        ),
        of("ChargeItem", "ci2", status="billed", subject=me, code=concept("http://www.ama-assn.org/go/cpt", "96365")),
        of("Claim", "cl1", status="active", use="claim", patient=me, created="2026-03-01"),
        of("Claim", "cl2", status="active", use="claim", patient=me, created="2026-04-01"),
        of("Procedure", "t1", status="completed", subject=me, code=concept("http://www.ama-assn.org/go/cpt", "91200")),
        of("DiagnosticReport", "e1", status="final", subject=me, code={"text": "Screening"}),
        of("DocumentReference", "n1", status="current", subject=me, content=[note]),
        of(
            "QuestionnaireResponse",
            "q1",
            status="completed",
            subject=me,
            questionnaire=f"{FORM}|1.0",
            authored="2026-01-01",
        ),
        of("QuestionnaireResponse", "q2", status="completed", subject=me, questionnaire=FORM, authored="2026-02-01"),
        of("QuestionnaireResponse", "q3", status="completed", subject=me, questionnaire=f"{FORM}-other|1.0"),
        *_results(patient_id),
    ]
