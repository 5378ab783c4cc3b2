"""The Bundle of a call: draft orders or proposed appointments, each decoded and with its bytes as they came in."""

import re
from typing import Any

import msgspec
from msgspec import Raw, Struct

from fhir_mappings.record import REQUESTS
from hooks.members import ID, object_, text
from hooks.refusals import Refusal, wrong_type


class DraftOrder(Struct, frozen=True):
    """One resource of the call's Bundle: decoded, and its bytes as they came in."""

    reference: str  # MedicationRequest/x, or the entry's fullUrl where it has no id
    resource: dict[str, Any]
    raw: bytes
    full_url: str = ""  # of its entry, by which others of the Bundle may refer to it


ORDER_TYPES = REQUESTS - {"Task"}  # CRD 2.2.1, contexts of ext-coverage-information that are orders

_VERSION = re.compile(r"/_history/[A-Za-z0-9\-.]{1,64}\Z")


def read_bundle(context: dict[str, Any], member: str, body: bytes, patient_id: str) -> tuple[DraftOrder, ...]:
    """The resources of the Bundle in that member of the context, all of this patient. Raises Refusal."""
    path = f"context.{member}"
    bundle = object_(context, member, path)
    if bundle.get("resourceType") != "Bundle":
        raise Refusal(400, "value", f"{path}.resourceType: expected 'Bundle'", f"{path}.resourceType")
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        raise wrong_type(f"{path}.entry", "an array", entries)
    checked = [_entry(entry, f"{path}.entry[{index}]", patient_id) for index, entry in enumerate(entries)]
    raws = _raw_entries(body, member) if checked else []
    seen: set[str] = set()
    drafts = []
    for index, ((reference, resource), raw) in enumerate(zip(checked, raws, strict=True)):
        if reference in seen:
            place = f"{path}.entry[{index}]"
            raise Refusal(400, "duplicate", f"{place}: another entry has the same resource type and id", place)
        seen.add(reference)
        full_url = entries[index].get("fullUrl")
        drafts.append(DraftOrder(reference, resource, raw, full_url if isinstance(full_url, str) else ""))
    return tuple(drafts)


def _entry(entry: Any, path: str, patient_id: str) -> tuple[str, dict[str, Any]]:
    if not isinstance(entry, dict):
        raise wrong_type(path, "an object", entry)
    resource = object_(entry, "resource", f"{path}.resource")
    kind = text(resource, "resourceType", f"{path}.resource.resourceType", "a resource type")
    if not re.fullmatch(r"[A-Za-z]{1,64}", kind):
        place = f"{path}.resource.resourceType"
        raise Refusal(400, "value", f"{place}: expected a resource type", place)
    if kind in ORDER_TYPES:
        _check_order(resource, f"{path}.resource", patient_id)
    own_id, full_url = resource.get("id"), entry.get("fullUrl")
    if isinstance(own_id, str) and ID.fullmatch(own_id):
        return f"{kind}/{own_id}", resource
    if own_id is None and isinstance(full_url, str) and 0 < len(full_url) <= 256:
        return full_url, resource
    raise Refusal(400, "required", f"{path}.resource.id: expected an id, so that the answer can name it", path)


def _check_order(resource: dict[str, Any], path: str, patient_id: str) -> None:
    extension = resource.get("extension", [])
    if not isinstance(extension, list):  # the answer is added to it
        raise wrong_type(f"{path}.extension", "an array", extension)
    member = patient_member(resource)
    patient = resource.get(member)
    reference = patient.get("reference") if isinstance(patient, dict) else None
    if reference is not None and not is_patient(reference, patient_id):
        place = f"{path}.{member}"
        raise Refusal(400, "value", f"{place}: the order is for another patient than context.patientId", place)


def patient_member(order: dict[str, Any]) -> str:
    """The member of an order that names its patient (FHIR R4)."""
    return "patient" if order.get("resourceType") in ("NutritionOrder", "VisionPrescription") else "subject"


def is_patient(reference: Any, patient_id: str) -> bool:
    """True for a literal reference, relative or absolute, to that patient or to a version of it."""
    if not isinstance(reference, str):
        return False
    return f"/{_VERSION.sub('', reference)}".endswith(f"/Patient/{patient_id}")


def _raw_entries(body: bytes, member: str) -> list[bytes]:
    context = msgspec.json.decode(msgspec.json.decode(body, type=dict[str, Raw])["context"], type=dict[str, Raw])
    bundle = msgspec.json.decode(context[member], type=_RawBundle)
    return [bytes(entry.resource) for entry in bundle.entry]


class _RawEntry(Struct):
    resource: Raw


class _RawBundle(Struct):
    entry: list[_RawEntry]
