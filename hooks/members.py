"""Reading the members of a call: each is checked, and refused with its path, what was expected and what was found."""

import re
from collections.abc import Collection
from typing import Any

from hooks.refusals import Refusal, missing, wrong_type

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")  # FHIR R4 id
REFERENCE = re.compile(  # relative, or at some server; a version of a resource is that resource
    r"((?:https?://[^\s/?#]+(?:/[^\s/?#]+)*/)?[A-Za-z]{1,64}/[A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)
USER_TYPES = ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson")


def text(holder: dict[str, Any], name: str, path: str, expected: str) -> str:
    """The member as a string that is not empty."""
    value = holder.get(name)
    if value is None:
        raise missing(path, expected)
    if not isinstance(value, str):
        raise wrong_type(path, expected, value)
    if not value:
        raise Refusal(400, "value", f"{path}: expected {expected}, found an empty string", path)
    return value


def object_(holder: dict[str, Any], name: str, path: str) -> dict[str, Any]:
    """The member as an object."""
    value = holder.get(name)
    if value is None:
        raise missing(path, "an object")
    if not isinstance(value, dict):
        raise wrong_type(path, "an object", value)
    return value


def optional_object(holder: dict[str, Any], name: str, path: str) -> dict[str, Any]:
    """The member as an object, an empty one where it is missing or null."""
    return object_(holder, name, path) if holder.get(name) is not None else {}


def checked_id(value: str, path: str) -> str:
    """The value, when it is a FHIR id without a type."""
    if not ID.fullmatch(value):
        raise Refusal(
            400, "value", f"{path}: expected an id (letters, digits, - and ., at most 64), without a type", path
        )
    return value


def user(context: dict[str, Any]) -> str:
    """`context.userId`."""
    path = "context.userId"
    found = text(context, "userId", path, "a reference like Practitioner/123")
    kind, _, user_id = found.partition("/")
    if kind not in USER_TYPES or not ID.fullmatch(user_id):
        raise Refusal(400, "value", f"{path}: expected Practitioner/<id> or PractitionerRole/<id>", path)
    return found


def patient(context: dict[str, Any]) -> str:
    """`context.patientId`."""
    return checked_id(text(context, "patientId", "context.patientId", "an id"), "context.patientId")


def encounter(context: dict[str, Any], required: bool = False) -> str:
    """`context.encounterId`, empty where it may be missing and is."""
    path = "context.encounterId"
    found = context.get("encounterId")
    if found is None and not required:
        return ""
    if found is not None and not isinstance(found, str):
        raise wrong_type(path, "an id", found)
    return checked_id(text(context, "encounterId", path, "an id") if required else found or "", path)


def named(literal: Any) -> str | None:
    """`Type/id` of a literal reference, or its URL; None for anything else."""
    found = REFERENCE.fullmatch(literal) if isinstance(literal, str) else None
    return found[1] if found is not None else None


def reference(value: Any, path: str) -> str:
    """`Type/id` of the value, when it is a reference like MedicationRequest/123, or its URL."""
    if value is None:
        raise missing(path, "a reference like MedicationRequest/123")
    if not isinstance(value, str):
        raise wrong_type(path, "a reference like MedicationRequest/123", value)
    found = named(value)
    if found is None:
        raise Refusal(400, "value", f"{path}: expected a reference like MedicationRequest/123", path)
    return found


def references(value: Any, path: str, known: Collection[str] = ()) -> tuple[str, ...]:
    """As `reference` for each of an array with at least one; those that are `known` may be written otherwise."""
    if value is None:
        raise missing(path, "an array of references")
    if not isinstance(value, list):
        raise wrong_type(path, "an array of references", value)
    if not value:
        raise Refusal(400, "value", f"{path}: expected at least one reference, found none", path)
    return tuple(
        found if isinstance(found, str) and found in known else reference(found, f"{path}[{index}]")
        for index, found in enumerate(value)
    )
