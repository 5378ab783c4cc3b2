"""order-sign: the prescriber is about to sign these orders (CDS Hooks library, order-sign 1.1)."""

from typing import Any

from hooks import members
from hooks.bundles import read_bundle
from hooks.hook import ENCOUNTER, PATIENT, USER, Context, Hook, Member, Subjects

DRAFT_ORDERS = Member("draftOrders", "bundle", True, "Bundle of the orders, each with an id")


def read(context: dict[str, Any], body: bytes) -> Context:
    """Every order of `draftOrders` is asked about."""
    patient_id, encounter_id = members.patient(context), members.encounter(context)
    user = members.user(context)
    drafts = read_bundle(context, "draftOrders", body, patient_id)
    return Context(patient_id, user, encounter_id, Subjects(drafts, drafts))


HOOK = Hook(
    "order-sign",
    "Judges drug orders that a coverage policy governs against the chart, criterion by criterion, as they are signed.",
    (USER, PATIENT, ENCOUNTER, DRAFT_ORDERS),
    read,
    documentation=True,
    numbers=True,
    again="sign again",
)
