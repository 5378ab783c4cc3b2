"""What a sample patient takes, has been given and is about to get: factor, gene therapy, and the draft order."""

from decimal import Decimal

from cds_service.demo.catalog import DRUGS, PROBLEMS, UCUM
from cds_service.demo.charts import Chart, concept, moment
from cds_service.demo.directory import CENTER, PRESCRIBER
from cds_service.demo.outcomes import Resource

ORDER_PROFILE = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/profile-medicationrequest"
UNITS_PER_DOSE = 4000

# drug → what it is given for, mL per kg, mL per vial, and the dose in words
GENE_THERAPIES = {
    "hemgenix": ("hemophilia-b", 2, 10, "2 × 10¹³ genome copies per kg (2 mL/kg), one intravenous infusion"),
    "roctavian": ("hemophilia-a", 3, 8, "6 × 10¹³ vector genomes per kg (3 mL/kg), one intravenous infusion"),
}
_REPEATS = {"alprolix": (1, "once a week"), "advate": (3, "three times a week")}
_FACTOR_BRAND = {"hemophilia-b": "alprolix", "hemophilia-a": "advate"}


def drug(name: str) -> Resource:
    """The drug as an order names it."""
    codings, text = DRUGS[name]
    return concept(codings, text)


def problem_of(drug_name: str) -> str:
    """The problem that the drug is for."""
    return GENE_THERAPIES[drug_name][0] if drug_name in GENE_THERAPIES else "hemophilia-b"


def _units(chart_dose: int = UNITS_PER_DOSE) -> Resource:
    return {"value": chart_dose, "unit": "IU", "system": UCUM, "code": "[iU]"}


def prophylaxis(chart: Chart, problem: str, months: int) -> None:
    """Regular factor replacement: the running order, what the patient says, and three infusions given at the center."""
    brand = _FACTOR_BRAND[problem]
    frequency, often = _REPEATS[brand]
    dosage = {
        "text": f"4,000 IU intravenously {often}, as routine prophylaxis",
        "timing": {"repeat": {"frequency": frequency, "period": 1, "periodUnit": "wk"}, "code": {"text": often}},
        "asNeededBoolean": False,
        "route": {"text": "Intravenous"},
        "doseAndRate": [{"doseQuantity": _units()}],
    }
    _running_order(chart, brand, problem, dosage, months)
    chart.add(
        {
            "resourceType": "MedicationStatement",
            "id": f"{chart.id}-factor-at-home",
            "status": "active",
            "medicationCodeableConcept": drug(brand),
            "subject": chart.me,
            "effectivePeriod": {"start": chart.ago(months=months).isoformat()},
            "dateAsserted": chart.ago(months=1).isoformat(),
            "informationSource": chart.me,
            "dosage": [dosage],
        }
    )
    for place, days in enumerate((7, 14, 21), 1):
        _given(chart, f"infusion-{place}", brand, moment(chart.ago(days)), _units(), "Routine prophylaxis")


def on_demand(chart: Chart, problem: str, months: int) -> None:
    """Factor replacement only when a bleed happens."""
    dosage = {
        "text": "4,000 IU intravenously when a bleed happens",
        "asNeededBoolean": True,
        "route": {"text": "Intravenous"},
        "doseAndRate": [{"doseQuantity": _units()}],
    }
    _running_order(chart, "benefix", problem, dosage, months)


def _running_order(chart: Chart, brand: str, problem: str, dosage: Resource, months: int) -> None:
    chart.add(
        {
            **chart.new("MedicationRequest", "factor", "us-core-medicationrequest"),
            "status": "active",
            "intent": "order",
            "category": [{"coding": [_community()]}],
            "reportedBoolean": False,
            "medicationCodeableConcept": drug(brand),
            "subject": chart.me,
            "authoredOn": chart.ago(months=months).isoformat(),
            "requester": PRESCRIBER,
            "reasonCode": [concept(*PROBLEMS[problem])],
            "dosageInstruction": [dosage],
            "dispenseRequest": {"numberOfRepeatsAllowed": 11},
        }
    )


def _community() -> Resource:
    return {
        "system": "http://terminology.hl7.org/CodeSystem/medicationrequest-category",
        "code": "community",
        "display": "Community",
    }


def _given(chart: Chart, name: str, brand: str, when: str, dose: Resource, reason: str) -> None:
    chart.add(
        {
            "resourceType": "MedicationAdministration",
            "id": f"{chart.id}-{name}",
            "status": "completed",
            "medicationCodeableConcept": drug(brand),
            "subject": chart.me,
            "effectiveDateTime": when,
            "performer": [{"actor": PRESCRIBER}],
            "reasonCode": [{"text": reason}],
            "dosage": {"text": "Intravenous infusion", "route": {"text": "Intravenous"}, "dose": dose},
        }
    )


def earlier_gene_therapy(chart: Chart, brand: str, dose_ml: int) -> None:
    """A completed infusion of the gene therapy, two years ago."""
    dose = {"value": dose_ml, "unit": "mL", "system": UCUM, "code": "mL"}
    _given(chart, "gene-therapy", brand, moment(chart.ago(months=25)), dose, "Congenital hemophilia B")


def _whole(value: Decimal) -> int | Decimal:
    return int(value) if value == int(value) else value


def gene_therapy_order(chart: Chart, drug_name: str, weight: str, by_reference: bool) -> Resource:
    """The draft order of one infusion, dosed by weight; with `by_reference` the chart gets a Medication to point to."""
    problem, ml_per_kg, ml_per_vial, words = GENE_THERAPIES[drug_name]
    volume = Decimal(weight) * ml_per_kg
    vials = int(-(-volume // ml_per_vial))
    dose = {"value": _whole(volume), "unit": "mL", "system": UCUM, "code": "mL"}
    dosage = {
        "text": f"{words}; {_whole(volume)} mL for {weight} kg",
        "timing": {"repeat": {"count": 1}},
        "route": {"text": "Intravenous"},
        "doseAndRate": [{"doseQuantity": dose}],
    }
    order = _draft(chart, drug_name, problem, dosage)
    order["dispenseRequest"] = {
        "numberOfRepeatsAllowed": 0,
        "quantity": {"value": vials, "unit": "vials"},
        "performer": CENTER,
    }
    if by_reference:
        medication = chart.new("Medication", "drug", "us-core-medication")
        order["medicationReference"] = chart.add({**medication, "status": "active", "code": drug(drug_name)})
        del order["medicationCodeableConcept"]
    return order


def factor_order(chart: Chart, brand: str) -> Resource:
    """A draft order of factor IX for use on demand."""
    dosage = {
        "text": "4,000 IU intravenously when a bleed happens",
        "asNeededBoolean": True,
        "route": {"text": "Intravenous"},
        "doseAndRate": [{"doseQuantity": _units()}],
    }
    order = _draft(chart, brand, "hemophilia-b", dosage)
    order["dispenseRequest"] = {"numberOfRepeatsAllowed": 5, "quantity": {"value": 4, "unit": "kits"}}
    return order


def _draft(chart: Chart, drug_name: str, problem: str, dosage: Resource) -> Resource:
    return {
        "resourceType": "MedicationRequest",
        "id": f"{chart.id}-order",
        "meta": {"profile": [ORDER_PROFILE]},
        "status": "draft",
        "intent": "order",
        "category": [{"coding": [{**_community(), "code": "outpatient", "display": "Outpatient"}]}],
        "reportedBoolean": False,
        "medicationCodeableConcept": drug(drug_name),
        "subject": chart.me,
        "encounter": {"reference": f"Encounter/{chart.id}-visit"},
        "authoredOn": chart.day.isoformat(),
        "requester": PRESCRIBER,
        "reasonCode": [concept(*PROBLEMS[problem])],
        "reasonReference": [{"reference": f"Condition/{chart.id}-{problem}"}],
        "insurance": [{"reference": f"Coverage/{chart.id}-coverage"}],
        "dosageInstruction": [dosage],
    }
