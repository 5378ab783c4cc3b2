"""How FHIR resources name each other, and how to walk what they say without trusting its shape.

Knows references, contained resources and labels. Knows no resource type's meaning. Whatever has the wrong type reads
as absent, so that one bad member costs itself only; who must know the difference asks `readable`.
"""

import re
from collections.abc import Mapping
from typing import Any

from fhir_mappings.fhir_dates import date_text

Json = dict[str, Any]  # as parsed, never changed here
NOTHING: Json = {}

# FHIR R4 datatypes, id; the optional tail is a versioned reference (references.html#literal). "." and ".." fit the
# pattern too, but in a URL they are no names (RFC 3986, 5.2.4).
_ID = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9\-.]{1,64}")
_RELATIVE = re.compile(
    r"([A-Z][A-Za-z]{1,63}/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)
# Controls, zero-width and direction marks: chart text must not be able to rearrange a card.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
LABEL_LENGTH = 120
# By type, the parts in which a modifier may stand (R4's BackboneElements, of the types that are read).
_PARTS: Mapping[str, tuple[str, ...]] = {
    "CareTeam": ("participant",),
    "ChargeItem": ("occurrenceTiming", "performer"),
    "Claim": (
        "accident",
        "careTeam",
        "diagnosis",
        "insurance",
        "item",
        "payee",
        "procedure",
        "related",
        "supportingInfo",
    ),
    "Condition": ("evidence", "stage"),
    "Coverage": ("class", "costToBeneficiary"),
    "DiagnosticReport": ("media",),
    "DocumentReference": ("content", "context", "relatesTo"),
    "Encounter": ("classHistory", "diagnosis", "hospitalization", "location", "participant", "statusHistory"),
    "Medication": ("batch", "ingredient"),
    "MedicationAdministration": ("dosage", "performer"),
    "MedicationDispense": ("dosageInstruction", "performer", "substitution"),
    "MedicationRequest": ("dispenseRequest", "dosageInstruction", "substitution"),
    "MedicationStatement": ("dosage",),
    "Observation": ("component", "effectiveTiming", "referenceRange"),
    "Organization": ("contact",),
    "Patient": ("communication", "contact", "link"),
    "Practitioner": ("qualification",),
    "PractitionerRole": ("availableTime", "notAvailable"),
    "Procedure": ("focalDevice", "performer"),
    "QuestionnaireResponse": ("item",),
    "ServiceRequest": ("occurrenceTiming",),
}


def is_id(text: object) -> bool:
    """True when `text` is a FHIR id."""
    if not isinstance(text, str):
        return False
    # Most ids are letters, digits and dashes: told without the pattern.
    return (len(text) <= 64 and text.isascii() and text.replace("-", "0").isalnum()) or _ID.fullmatch(text) is not None


def relative(reference: object, base: str | None = None) -> str | None:
    """`Type/id` of a literal reference that is relative or absolute under `base`; None for every other."""
    if not isinstance(reference, str):
        return None
    if base is not None and reference.startswith(base) and reference[len(base) : len(base) + 1] == "/":
        reference = reference[len(base) + 1 :]
    found = _RELATIVE.fullmatch(reference)
    return found[1] if found else None


def own_reference(resource: Json) -> str | None:
    """`Type/id` of the resource itself; None when it has no usable id."""
    kind, own_id = resource.get("resourceType"), resource.get("id")
    return f"{kind}/{own_id}" if isinstance(kind, str) and is_id(own_id) else None


def has_modifiers(resource: Json) -> bool:
    """True when something that is not known here may change or negate what it says, in itself or in a part of it.

    FHIR R4, extensibility.html#modifierExtension and resource.html#implicitRules: such a resource is not to be used.
    """
    if resource.get("modifierExtension") or resource.get("implicitRules"):
        return True
    for name in _PARTS.get(word(resource, "resourceType"), ()):
        if name in resource and _is_modified(resource[name]):
            return True
    return False


def _is_modified(found: object) -> bool:
    for part in found if isinstance(found, list) else (found,):
        if isinstance(part, dict) and (
            "modifierExtension" in part
            or ("item" in part and _is_modified(part["item"]))
            or ("answer" in part and _is_modified(part["answer"]))
        ):
            return True
    return False


def contained(resource: Json, reference: object) -> Json | None:
    """The contained resource that `#id` names; None when there is none."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    return next((inner for inner in children(resource, "contained") if inner.get("id") == reference[1:]), None)


def child(element: Json, name: str) -> Json:
    """The member as an object; an empty one when it is absent or something else."""
    found = element.get(name)
    return found if isinstance(found, dict) else NOTHING


def children(element: Json, name: str) -> list[Json]:
    """The objects of the member's list; none when it is absent or something else."""
    found = element.get(name)
    return [member for member in found if isinstance(member, dict)] if isinstance(found, list) else []


def word(element: Json, name: str) -> str:
    """The member as text; empty when it is absent or something else."""
    found = element.get(name)
    return found if isinstance(found, str) else ""


def readable(concept: object) -> bool:
    """True when a CodeableConcept says something: a text, or a coding with a code or a display."""
    if not isinstance(concept, dict):
        return False
    return bool(word(concept, "text").strip()) or any(
        word(coding, "code") or word(coding, "display") for coding in children(concept, "coding")
    )


def plain(text: object, length: int = LABEL_LENGTH) -> str:
    """Chart text fit for a card: no control characters, single spaces, at most `length` characters."""
    if not isinstance(text, str):
        return ""
    if text.isascii() and text.isprintable():
        if len(text) <= length and "  " not in text and text[:1] != " " and text[-1:] != " ":
            return text
    else:
        text = _UNSEEN.sub(" ", text[: 8 * length])
    cleaned = " ".join(text[: 8 * length].split())
    return cleaned if len(cleaned) <= length else cleaned[: length - 1].rstrip() + "…"


def label(concept: Json) -> str:
    """What a CodeableConcept is called: its text, else the first display, else the first code; may be empty."""
    said = word(concept, "text")
    if not said:
        codings = children(concept, "coding")
        said = _first(codings, "display") or _first(codings, "code")
    return plain(said)


def label_with_code(concept: Json) -> str:
    """The label with the first code behind it, `Hereditary factor IX deficiency (D67)`."""
    name = label(concept)
    code = plain(_first(children(concept, "coding"), "code"), 40)
    return f"{name} ({code})" if code and code not in name else name


def _first(elements: list[Json], name: str) -> str:
    for element in elements:
        if said := word(element, name):
            return said
    return ""


def with_date(name: str, verb: str, value: object) -> str:
    """`name verb 2024-02-01`; without the date where the source has none."""
    day = date_text(value)
    return f"{name} {verb} {day}" if day else f"{name}, no date"


def first_text(*candidates: str) -> str:
    """The first candidate that is not empty; empty when all are."""
    return next((candidate for candidate in candidates if candidate), "")
