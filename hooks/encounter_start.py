"""encounter-start: a visit begins (CDS Hooks library, encounter-start 1.0).

Nothing is ordered here: only open drug orders that a policy governs are spoken of, and no documents are asked for.
"""

from typing import Any

from hooks import members
from hooks.hook import PATIENT, USER, Context, Hook, Member, Subjects


def read(context: dict[str, Any], body: bytes) -> Context:
    """The patient's open orders are asked about."""
    patient_id, user = members.patient(context), members.user(context)
    return Context(patient_id, user, members.encounter(context, required=True), Subjects(open_orders=True))


HOOK = Hook(
    "encounter-start",
    "Says where open drug orders stand that a coverage policy governs; silent where there are none.",
    (USER, PATIENT, Member("encounterId", "id", True, "FHIR id of the encounter")),
    read,
    documentation=False,
    numbers=False,
    again="check again",
)
