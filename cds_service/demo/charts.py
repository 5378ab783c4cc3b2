"""FHIR R4 resources of one sample chart, in the shape that US Core asks of an EHR."""

import base64
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal

from cds_service.demo.catalog import (
    CPT,
    DOCUMENT_CATEGORY,
    EXAMPLE,
    HL7,
    LOINC,
    PLANS,
    PROBLEMS,
    SNOMED,
    TESTS,
    UCUM,
    US_CORE,
    WORDS,
    Coding,
)
from cds_service.demo.directory import CENTER, LABORATORY, PAYER, PRESCRIBER
from cds_service.demo.outcomes import Resource
from cds_service.demo.usual import Result
from cds_service.policy.dates import months_before


def concept(codings: Iterable[Coding], text: str = "") -> Resource:
    """A CodeableConcept."""
    found: Resource = {}
    coded = [{"system": system, "code": code, "display": display} for system, code, display in codings]
    if coded:
        found["coding"] = coded
    if text:
        found["text"] = text
    return found


def status(code_system: str, code: str) -> Resource:
    """A CodeableConcept of one HL7 code."""
    return {"coding": [{"system": f"{HL7}/{code_system}", "code": code}]}


def profiled(resource_type: str, resource_id: str, profile: str) -> Resource:
    """The beginning of a resource that claims a US Core profile."""
    return {"resourceType": resource_type, "id": resource_id, "meta": {"profile": [f"{US_CORE}/{profile}"]}}


def number(text: str) -> int | Decimal:
    """The number, whole where it is written so; a Decimal keeps its digits."""
    return Decimal(text) if "." in text else int(text)


def moment(day: date) -> str:
    """A quarter past nine that morning, at the center."""
    return f"{day.isoformat()}T09:15:00-05:00"


class Chart:
    """One patient's chart in the making. `day` is today; everything else counts back from it."""

    def __init__(self, patient_id: str, day: date) -> None:
        self.id = patient_id
        self.day = day
        self.me = {"reference": f"Patient/{patient_id}"}
        self.resources: list[Resource] = []

    def ago(self, days: int = 0, months: int = 0) -> date:
        """The day so many months and days back."""
        return months_before(self.day, months) - timedelta(days=days)

    def add(self, resource: Resource) -> Resource:
        """The reference to the resource, now part of the chart."""
        self.resources.append(resource)
        return {"reference": f"{resource['resourceType']}/{resource['id']}"}

    def new(self, resource_type: str, name: str, profile: str) -> Resource:
        """The beginning of a resource of this chart."""
        return profiled(resource_type, f"{self.id}-{name}", profile)

    def patient(self, given: str, years: int) -> None:
        """The patient, whose last birthday was a hundred days ago."""
        born = self.ago(days=100, months=12 * years)
        unknown = {"system": f"{HL7}/v3-NullFlavor", "code": "UNK", "display": "unknown"}
        self.add(
            {
                **profiled("Patient", self.id, "us-core-patient"),
                "extension": [
                    {
                        "url": f"{US_CORE}/us-core-{name}",
                        "extension": [
                            {"url": "ombCategory", "valueCoding": unknown},
                            {"url": "text", "valueString": "Unknown"},
                        ],
                    }
                    for name in ("race", "ethnicity")
                ],
                "identifier": [
                    {
                        "type": {"coding": [{"system": f"{HL7}/v2-0203", "code": "MR"}], "text": "Record number"},
                        "system": f"{EXAMPLE}/record-numbers",
                        "value": f"R-{self.id.removeprefix('demo-')}",
                    }
                ],
                "active": True,
                "name": [{"use": "official", "family": "Example", "given": [given], "text": f"{given} Example"}],
                "telecom": [{"system": "phone", "value": "555-0100", "use": "home"}],
                "gender": "male",
                "birthDate": born.isoformat(),
                "address": [
                    {
                        "use": "home",
                        "line": ["1 Example Street"],
                        "city": "Exampletown",
                        "state": "NY",
                        "postalCode": "12345",
                        "country": "US",
                    }
                ],
                "communication": [
                    {"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "en", "display": "English"}]}}
                ],
            }
        )

    def coverage(self, plan: str) -> None:
        """The one active coverage, by the kind of plan."""
        codings, text, code, name = PLANS[plan]
        member = f"EX{sum(ord(letter) * place for place, letter in enumerate(self.id, 1)):07d}"
        self.add(
            {
                **self.new("Coverage", "coverage", "us-core-coverage"),
                "identifier": [
                    {
                        "type": {"coding": [{"system": f"{HL7}/v2-0203", "code": "MB"}], "text": "Member number"},
                        "system": f"{EXAMPLE}/members",
                        "value": member,
                    }
                ],
                "status": "active",
                "type": concept(codings, text),
                "subscriber": self.me,
                "subscriberId": member,
                "beneficiary": self.me,
                "relationship": status("subscriber-relationship", "self"),
                "period": {"start": self.day.replace(month=1, day=1).isoformat()},
                "payor": [PAYER],
                "class": [
                    {"type": status("coverage-class", "group"), "value": "EX-1001", "name": "Example Employer"},
                    {"type": status("coverage-class", "plan"), "value": code, "name": name},
                ],
            }
        )

    def encounter(self) -> None:
        """Today's visit, under way."""
        self.add(
            {
                **self.new("Encounter", "visit", "us-core-encounter"),
                "status": "in-progress",
                "class": {"system": f"{HL7}/v3-ActCode", "code": "AMB", "display": "ambulatory"},
                "type": [{"text": "Hematology visit"}],
                "subject": self.me,
                "participant": [{"individual": PRESCRIBER}],
                "period": {"start": moment(self.day)},
                "serviceProvider": CENTER,
            }
        )

    def problem(self, problem: str, months: int, resolved: bool = False) -> Resource:
        """A confirmed entry of the problem list; returns the reference to it."""
        codings, text = PROBLEMS[problem]
        since = self.ago(months=months).isoformat()
        return self.add(
            {
                **self.new("Condition", problem, "us-core-condition-problems-health-concerns"),
                "clinicalStatus": status("condition-clinical", "resolved" if resolved else "active"),
                "verificationStatus": status("condition-ver-status", "confirmed"),
                "category": [status("condition-category", "problem-list-item")],
                "code": concept(codings, text),
                "subject": self.me,
                "onsetDateTime": since,
                "recordedDate": since,
                "recorder": PRESCRIBER,
            }
        )

    def result(self, name: str, result: Result) -> Resource:
        """One final result; returns the reference to it."""
        test = TESTS[result.test]
        vital = test.category == "vital-signs"
        day = self.ago(result.days, result.months)
        found = {
            **self.new("Observation", name, "us-core-body-weight" if vital else "us-core-observation-lab"),
            "status": "final",
            "category": [status("observation-category", test.category)],
            "code": concept([test.coding], result.text or test.text),
            "subject": self.me,
            "effectiveDateTime": moment(day),
            "issued": f"{day.isoformat()}T16:40:00-05:00",
            "performer": [CENTER if vital else LABORATORY],
        }
        if test.category == "imaging":
            del found["meta"]
        if test.unit:
            printed, code = test.unit
            quantity: Resource = {"value": number(result.value), "unit": printed, "system": UCUM, "code": code}
            found["valueQuantity"] = quantity | ({"comparator": result.comparator} if result.comparator else {})
            if test.normal:
                ends = zip(("low", "high"), test.normal, strict=True)
                unit = {"unit": printed, "system": UCUM, "code": code}
                found["referenceRange"] = [{end: {"value": number(value), **unit} for end, value in ends if value}]
        else:
            code, interpretation = WORDS[result.value]
            found["valueCodeableConcept"] = concept([(SNOMED, code, f"{result.value} (qualifier value)")], result.value)
            found["interpretation"] = [status("v3-ObservationInterpretation", interpretation)]
        if result.note:
            found["note"] = [{"text": result.note}]
        return self.add(found)

    def screening_report(self, results: list[Resource], days: int) -> None:
        """The laboratory's report that the results belong to."""
        self.add(
            {
                **self.new("DiagnosticReport", "screening", "us-core-diagnosticreport-lab"),
                "status": "final",
                "category": [status("v2-0074", "LAB")],
                "code": {"text": "Hepatitis B, hepatitis C and HIV screening"},
                "subject": self.me,
                "effectiveDateTime": moment(self.ago(days)),
                "issued": f"{self.ago(days).isoformat()}T16:40:00-05:00",
                "performer": [LABORATORY],
                "result": results,
            }
        )

    def elastography(self, result: Result, reference: Resource) -> None:
        """The liver scan that was done, and its report."""
        day = self.ago(result.days, result.months)
        self.add(
            {
                **self.new("Procedure", "liver-scan", "us-core-procedure"),
                "status": "completed",
                "code": concept([(CPT, "91200", "Liver elastography")], "Transient elastography of the liver"),
                "subject": self.me,
                "performedDateTime": moment(day),
            }
        )
        self.add(
            {
                **self.new("DiagnosticReport", "liver-scan-report", "us-core-diagnosticreport-note"),
                "status": "final",
                "category": [{"text": "Imaging"}],
                "code": {"text": "Transient elastography of the liver"},
                "subject": self.me,
                "effectiveDateTime": moment(day),
                "issued": f"{day.isoformat()}T16:40:00-05:00",
                "performer": [CENTER],
                "result": [reference],
                "conclusion": f"Liver stiffness {result.value} kPa, IQR/median 12 %.",
            }
        )

    def note(self, name: str, title: str, text: str, months: int) -> None:
        """A document of the chart, with its text."""
        day = self.ago(months=months)
        content = base64.b64encode(text.encode()).decode()
        self.add(
            {
                **self.new("DocumentReference", name, "us-core-documentreference"),
                "status": "current",
                "type": concept([(LOINC, "11488-4", "Consult note")], title),
                "category": [concept([(DOCUMENT_CATEGORY, "clinical-note", "Clinical Note")])],
                "subject": self.me,
                "date": moment(day),
                "author": [PRESCRIBER],
                "description": title,
                "custodian": CENTER,
                "content": [{"attachment": {"contentType": "text/plain", "data": content, "title": title}}],
            }
        )
