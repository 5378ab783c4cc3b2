"""order-select: the prescriber has chosen these orders and goes on writing (CDS Hooks library, order-select 1.0)."""

from typing import Any

from hooks import members
from hooks.bundles import read_bundle
from hooks.hook import ENCOUNTER, PATIENT, USER, Context, Hook, Member, Subjects
from hooks.order_sign import DRAFT_ORDERS
from hooks.refusals import Refusal

SELECTIONS = Member("selections", "references", True, "the orders of draftOrders that were just selected")


def read(context: dict[str, Any], body: bytes) -> Context:
    """Only the `selections` are asked about (CRD hook-34)."""
    patient_id, encounter_id = members.patient(context), members.encounter(context)
    user = members.user(context)
    drafts = read_bundle(context, "draftOrders", body, patient_id)
    known = {name: draft.reference for draft in drafts for name in (draft.full_url, draft.reference) if name}
    selected = members.references(context.get("selections"), "context.selections", known)
    for index, reference in enumerate(selected):
        if reference not in known:
            path = f"context.selections[{index}]"
            raise Refusal(400, "not-found", f"{path}: expected a resource of context.draftOrders", path)
    wanted = {known[reference] for reference in selected}
    chosen = tuple(draft for draft in drafts if draft.reference in wanted)
    return Context(patient_id, user, encounter_id, Subjects(drafts, chosen))


HOOK = Hook(
    "order-select",
    "Judges the selected drug orders against the chart while they are being written; asks for no documents.",
    (USER, PATIENT, ENCOUNTER, DRAFT_ORDERS, SELECTIONS),
    read,
    documentation=False,
    numbers=False,
    again="sign the order",
)
