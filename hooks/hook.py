"""What a hook is to this service: its context, and which orders of it are answered. One file each holds them."""

from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct

from hooks.bundles import DraftOrder

MemberKind = Literal["id", "user", "reference", "references", "bundle", "task", "tasks"]


class Member(Struct, frozen=True):
    """One member of a hook's context, for the interface description."""

    name: str
    kind: MemberKind
    required: bool
    description: str


class Subjects(Struct, frozen=True):
    """What a call asks about."""

    drafts: tuple[DraftOrder, ...] = ()  # every resource of the call's Bundle
    answered: tuple[DraftOrder, ...] = ()  # those of them that are asked about
    named: tuple[str, ...] = ()  # orders that are asked about and have to be read: `MedicationRequest/x`, or a URL
    open_orders: bool = False  # the patient's open orders are asked about
    performer: str = ""  # whom the orders go to


class Context(Struct, frozen=True):
    """The checked context of a call."""

    patient_id: str
    user: str  # Practitioner/x, or empty where the hook names none
    encounter_id: str
    subjects: Subjects


class Hook(Struct, frozen=True):
    """One hook."""

    name: str
    description: str
    members: tuple[Member, ...]
    read: Callable[[dict[str, Any], bytes], Context]  # the context and the whole body; raises Refusal
    documentation: bool  # may ask for clinical documentation: primary hooks only (CRD hook-19)
    numbers: bool  # may issue an authorization number
    again: str  # what the user does for the plan to look again, "sign again"

    @property
    def service_id(self) -> str:
        """The id of its service."""
        return f"{self.name}-crd"


PATIENT = Member("patientId", "id", True, "FHIR id of the patient")
USER = Member("userId", "user", True, "who is at work, like Practitioner/123")
ENCOUNTER = Member("encounterId", "id", False, "FHIR id of the encounter")
