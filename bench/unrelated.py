"""Resources of the same patient that no policy asks about: what most of a real chart is made of."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

Json = dict[str, Any]

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
_HL7 = "http://terminology.hl7.org/CodeSystem"

# LOINC code, name, category, unit as printed, UCUM code, low and high end of the reference range
RESULTS = (
    ("718-7", "Hemoglobin [Mass/volume] in Blood", "laboratory", "g/dL", "g/dL", "13.5", "17.5"),
    ("4544-3", "Hematocrit [Volume Fraction] of Blood by Automated count", "laboratory", "%", "%", "41", "53"),
    ("6690-2", "Leukocytes [#/volume] in Blood by Automated count", "laboratory", "10³/µL", "10*3/uL", "4.5", "11"),
    ("789-8", "Erythrocytes [#/volume] in Blood by Automated count", "laboratory", "10⁶/µL", "10*6/uL", "4.3", "5.9"),
    ("787-2", "MCV [Entitic volume] by Automated count", "laboratory", "fL", "fL", "80", "100"),
    ("2345-7", "Glucose [Mass/volume] in Serum or Plasma", "laboratory", "mg/dL", "mg/dL", "70", "99"),
    ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "laboratory", "mg/dL", "mg/dL", "0.7", "1.3"),
    ("3094-0", "Urea nitrogen [Mass/volume] in Serum or Plasma", "laboratory", "mg/dL", "mg/dL", "7", "20"),
    ("2951-2", "Sodium [Moles/volume] in Serum or Plasma", "laboratory", "mmol/L", "mmol/L", "136", "145"),
    ("2823-3", "Potassium [Moles/volume] in Serum or Plasma", "laboratory", "mmol/L", "mmol/L", "3.5", "5.1"),
    ("2075-0", "Chloride [Moles/volume] in Serum or Plasma", "laboratory", "mmol/L", "mmol/L", "98", "107"),
    ("17861-6", "Calcium [Mass/volume] in Serum or Plasma", "laboratory", "mg/dL", "mg/dL", "8.6", "10.3"),
    ("2085-9", "Cholesterol in HDL [Mass/volume] in Serum or Plasma", "laboratory", "mg/dL", "mg/dL", "40", "60"),
    ("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma", "laboratory", "mg/dL", "mg/dL", "100", "200"),
    ("2571-8", "Triglyceride [Mass/volume] in Serum or Plasma", "laboratory", "mg/dL", "mg/dL", "40", "150"),
    ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "laboratory", "%", "%", "4", "5.6"),
    ("3016-3", "Thyrotropin [Units/volume] in Serum or Plasma", "laboratory", "mIU/L", "m[IU]/L", "0.4", "4"),
    ("2276-4", "Ferritin [Mass/volume] in Serum or Plasma", "laboratory", "ng/mL", "ng/mL", "24", "336"),
    ("8867-4", "Heart rate", "vital-signs", "/min", "/min", "60", "100"),
    ("8310-5", "Body temperature", "vital-signs", "°C", "Cel", "36.1", "37.2"),
    ("9279-1", "Respiratory rate", "vital-signs", "/min", "/min", "12", "20"),
    ("8480-6", "Systolic blood pressure", "vital-signs", "mmHg", "mm[Hg]", "90", "130"),
)
_PROBLEMS = (
    ("I10", "Essential (primary) hypertension", "59621000", "Essential hypertension (disorder)"),
    ("E78.5", "Hyperlipidemia, unspecified", "55822004", "Hyperlipidemia (disorder)"),
    ("M17.11", "Unilateral primary osteoarthritis, right knee", "239873007", "Osteoarthritis of knee (disorder)"),
    ("J30.2", "Other seasonal allergic rhinitis", "367498001", "Seasonal allergic rhinitis (disorder)"),
    ("K21.9", "Gastro-esophageal reflux disease without esophagitis", "235595009", "Gastroesophageal reflux disease"),
    ("G43.909", "Migraine, unspecified, not intractable", "37796009", "Migraine (disorder)"),
    ("H52.13", "Myopia, bilateral", "57190000", "Myopia (disorder)"),
    ("L20.9", "Atopic dermatitis, unspecified", "24079001", "Atopic dermatitis (disorder)"),
)
_DRUGS = (
    ("314076", "lisinopril 10 MG Oral Tablet", "Take 1 tablet by mouth every day"),
    ("617310", "atorvastatin 20 MG Oral Tablet", "Take 1 tablet by mouth at bedtime"),
    ("198440", "acetaminophen 500 MG Oral Tablet", "Take 1 or 2 tablets as needed for pain"),
    ("402014", "omeprazole 20 MG Delayed Release Oral Capsule", "Take 1 capsule by mouth before breakfast"),
    ("1014676", "cetirizine hydrochloride 10 MG Oral Tablet", "Take 1 tablet by mouth every day as needed"),
    ("313850", "amoxicillin 500 MG Oral Capsule", "Take 1 capsule three times a day for 7 days"),
)


def unrelated(patient_id: str, today: date) -> Iterator[Json]:
    """One resource after the other without end: of ten, eight results, a problem and an order."""
    kinds: tuple[Callable[[str, int, date], Json], ...] = (*(observation,) * 8, condition, medication_request)
    for number in count():
        yield kinds[number % 10](patient_id, number, today - timedelta(days=1 + number % 3000))


def observation(patient_id: str, number: int, day: date) -> Json:
    """A result of a test that no policy asks about."""
    code, name, category, unit, ucum, low, high = RESULTS[number * 7 % len(RESULTS)]
    value = Decimal(low) + (Decimal(high) - Decimal(low)) * (number % 23) / 20
    quantity = {"unit": unit, "system": UCUM, "code": ucum}
    return {
        "resourceType": "Observation",
        "id": f"{patient_id}-result-{number}",
        "meta": {"versionId": "1", "lastUpdated": f"{day}T16:41:12.000Z"},
        "status": "final",
        "category": [{"coding": [{"system": f"{_HL7}/observation-category", "code": category}]}],
        "code": {"coding": [{"system": LOINC, "code": code, "display": name}], "text": name.partition(" [")[0]},
        "subject": {"reference": f"Patient/{patient_id}"},
        "effectiveDateTime": f"{day}T09:15:00-05:00",
        "issued": f"{day}T16:40:00-05:00",
        "performer": [{"reference": "Organization/demo-laboratory", "display": "Example Laboratory"}],
        "valueQuantity": {"value": value.quantize(Decimal("0.1")), **quantity},
        "referenceRange": [{"low": {"value": Decimal(low), **quantity}, "high": {"value": Decimal(high), **quantity}}],
    }


def condition(patient_id: str, number: int, day: date) -> Json:
    """A problem that no policy asks about."""
    icd, name, snomed, display = _PROBLEMS[number // 10 % len(_PROBLEMS)]
    return {
        "resourceType": "Condition",
        "id": f"{patient_id}-problem-{number}",
        "clinicalStatus": {"coding": [{"system": f"{_HL7}/condition-clinical", "code": "active"}]},
        "verificationStatus": {"coding": [{"system": f"{_HL7}/condition-ver-status", "code": "confirmed"}]},
        "category": [{"coding": [{"system": f"{_HL7}/condition-category", "code": "problem-list-item"}]}],
        "code": {
            "coding": [
                {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": icd, "display": name},
                {"system": "http://snomed.info/sct", "code": snomed, "display": display},
            ],
            "text": name,
        },
        "subject": {"reference": f"Patient/{patient_id}"},
        "onsetDateTime": f"{day}",
        "recordedDate": f"{day}",
        "recorder": {"reference": "Practitioner/demo-hazel", "display": "Hazel Example, MD"},
    }


def medication_request(patient_id: str, number: int, day: date) -> Json:
    """An order of a drug that no policy asks about."""
    rxnorm, name, words = _DRUGS[number // 10 % len(_DRUGS)]
    return {
        "resourceType": "MedicationRequest",
        "id": f"{patient_id}-drug-{number}",
        "status": "completed",
        "intent": "order",
        "medicationCodeableConcept": {
            "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": rxnorm, "display": name}],
            "text": name,
        },
        "subject": {"reference": f"Patient/{patient_id}"},
        "authoredOn": f"{day}",
        "requester": {"reference": "Practitioner/demo-hazel", "display": "Hazel Example, MD"},
        "dosageInstruction": [{"text": words, "route": {"text": "Oral"}}],
        "dispenseRequest": {"numberOfRepeatsAllowed": 1},
    }
