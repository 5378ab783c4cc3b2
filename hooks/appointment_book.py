"""appointment-book: appointments are about to be booked (CDS Hooks library, appointment-book 1.0).

An appointment that stands on an order is answered on the order (CRD appointment-book): by `basedOn`, or by the
alternate-reference extension on it for a MedicationRequest, which R4's `basedOn` cannot name.
"""

from typing import Any

from fhir_mappings.references import child, children
from hooks import members
from hooks.bundles import DraftOrder, is_patient, read_bundle
from hooks.hook import ENCOUNTER, PATIENT, USER, Context, Hook, Member, Subjects
from hooks.refusals import Refusal

ALTERNATE = "http://hl7.org/fhir/StructureDefinition/alternate-reference"


def read(context: dict[str, Any], body: bytes) -> Context:
    """The orders that the appointments stand on are asked about; else the appointments themselves."""
    patient_id, encounter_id = members.patient(context), members.encounter(context)
    user = members.user(context)
    drafts = read_bundle(context, "appointments", body, patient_id)
    appointments = tuple(draft for draft in drafts if draft.resource["resourceType"] == "Appointment")
    for appointment in appointments:
        _check_patient(appointment, patient_id)
    alone = tuple(appointment for appointment in appointments if not based_on(appointment))
    named = tuple(dict.fromkeys(order for appointment in appointments for order in based_on(appointment)))
    return Context(patient_id, user, encounter_id, Subjects(drafts, alone, named))


def _check_patient(appointment: DraftOrder, patient_id: str) -> None:
    actors = [child(one, "actor").get("reference") for one in children(appointment.resource, "participant")]
    patients = [actor for actor in actors if isinstance(actor, str) and "/Patient/" in f"/{actor}"]
    if patients and not any(is_patient(patient, patient_id) for patient in patients):
        path = "context.appointments"
        raise Refusal(400, "value", f"{path}: an appointment is for another patient than context.patientId", path)


def based_on(appointment: DraftOrder) -> tuple[str, ...]:
    """The orders that the appointment stands on: `Type/id`, or their URL."""
    found: list[str | None] = []
    for reference in children(appointment.resource, "basedOn"):
        others = [
            child(extension, "valueReference").get("reference")
            for extension in children(reference, "extension")
            if extension.get("url") == ALTERNATE
        ]
        found += map(members.named, others or [reference.get("reference")])
    return tuple(name for name in found if name is not None)


HOOK = Hook(
    "appointment-book",
    "Judges the drug orders that appointments stand on against the chart as they are booked.",
    (USER, PATIENT, ENCOUNTER, Member("appointments", "bundle", True, "Bundle of the proposed appointments")),
    read,
    documentation=True,
    numbers=True,
    again="book again",
)
