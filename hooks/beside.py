"""What the call and the chart bring beside an order: its name, other orders, entries that could not be read."""

from typing import Any

from fhir_mappings.chart import Chart, Vocabulary
from fhir_mappings.fhir_dates import date_text
from fhir_mappings.labs import LabTable
from fhir_mappings.references import child, children, word
from hooks.bundles import DraftOrder
from hooks.call import Call
from hooks.orders import is_order
from hooks.suggestions import SHARED
from hooks.wording import escaped

INFUSION = "procedure.infusion"  # its codes: policies/value_sets
_STANDS_ON = ("basedOn", "reasonReference", "supportingInfo")


def which_order(call: Call, order: DraftOrder, name: str) -> str:
    """Which order it is, where the call is about several or about none that is before the user (CRD dev-24)."""
    asked = call.subjects
    if not asked.open_orders and len(asked.drafts) + len(asked.named) < 2:
        return ""
    doses = [text for dosage in children(order.resource, "dosageInstruction") if (text := word(dosage, "text"))]
    told = ", ".join(escaped(text) for text in (name, *doses[:1]))
    day = date_text(order.resource.get("authoredOn"))
    return f"Order: {told}, {f'written on {day}' if day else 'no date'}."


def has_died(chart: Chart) -> bool:
    """True where the chart says so."""
    return chart.facts.person is not None and chart.facts.person.deceased


def caveats(chart: Chart) -> tuple[str, ...]:
    """That entries of the chart could not be read, and of which kinds."""
    count = sum(len(names) for names in chart.broken.values())
    if not count:
        return ()
    kinds = sorted({name.partition("/")[0] for names in chart.broken.values() for name in names})
    what = "1 entry of the chart" if count == 1 else f"{count} entries of the chart"
    return (f"{what} could not be read ({', '.join(_ENTRIES.get(kind, 'entry') for kind in kinds)}).",)


_ENTRIES = {
    "ChargeItem": "bills",
    "Claim": "bills",
    "Condition": "problem list",
    "Coverage": "coverage",
    "DiagnosticReport": "reports",
    "DocumentReference": "documents",
    "MedicationAdministration": "medications",
    "MedicationDispense": "medications",
    "MedicationRequest": "medications",
    "MedicationStatement": "medications",
    "Observation": "results",
    "Patient": "patient",
    "Practitioner": "clinicians",
    "PractitionerRole": "clinicians",
    "Procedure": "procedures",
    "QuestionnaireResponse": "forms",
}


def ordered_tests(call: Call, chart: Chart, labs: LabTable) -> frozenset[str]:
    """The tests that are under way already: active orders, and those in the call's own Bundle."""
    drafted = [d.resource for d in call.subjects.drafts if d.resource["resourceType"] == "ServiceRequest"]
    return frozenset(
        match.test.name
        for request in (*chart.ordered, *drafted)
        if is_order(request)
        for match in labs.matches(request.get("code"))
    )


def dependencies(call: Call, vocabulary: Vocabulary, draft: DraftOrder, tests: frozenset[str]) -> tuple[str, ...]:
    """The ServiceRequests of the call's Bundle that belong to this order.

    They order one of the policy's tests, or an infusion, or say that they stand on this order.
    """
    found = []
    for other in call.subjects.drafts:
        request = other.resource
        if other.reference == draft.reference or request["resourceType"] != "ServiceRequest" or not is_order(request):
            continue
        code = child(request, "code")
        if (
            not tests.isdisjoint(match.test.name for match in vocabulary.labs.matches(code))
            or INFUSION in vocabulary.codes.names(code, "product")
            or any(
                found_there.get("reference") == draft.reference
                for member in _STANDS_ON
                for found_there in children(request, member)
            )
        ):
            found.append(other.reference)
    return tuple(found)


def shared_with(call: Call, draft: DraftOrder) -> dict[str, Any]:
    """What a further order shares with the draft; whom and from whom, where the draft does not say, as in the call."""
    subject, requester = {"reference": f"Patient/{call.patient_id}"}, {"reference": call.user}
    given = {
        name: value for name, value in draft.resource.items() if name in SHARED and isinstance(value, SHARED[name])
    }
    return {"subject": subject, **({"requester": requester} if call.user else {}), **given}
