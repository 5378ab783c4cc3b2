"""Which drug an order or a record is about: its medication[x], or the Medication that this names."""

from collections.abc import Iterator

from cds_service.policy.facts import Names
from fhir_mappings.codes import CodeIndex
from fhir_mappings.record import Record
from fhir_mappings.references import Json, child, children, first_text, label, plain, readable, word


def product_names(resource: Json, record: Record, codes: CodeIndex) -> Names:
    """The product sets of a medication[x]: its concept, or the Medication it names with its ingredients."""
    found = codes.names_of_text(word(child(resource, "medicationReference"), "display"), "product")
    for concept in product_concepts(resource, record):
        found |= codes.names(concept, "product")
    return found


def product_concepts(resource: Json, record: Record) -> Iterator[Json]:
    """The concept of a medication[x], or those of the Medication that it names and of its ingredients."""
    yield child(resource, "medicationCodeableConcept")
    reference = child(resource, "medicationReference")
    target = record.target(resource, reference) if reference else None
    if target is not None:
        yield child(target, "code")
        for ingredient in children(target, "ingredient"):
            yield child(ingredient, "itemCodeableConcept")


def product_label(resource: Json, record: Record) -> str:
    """What the medication[x] is called; empty when it has no name."""
    reference = child(resource, "medicationReference")
    target = record.target(resource, reference) if reference else None
    return first_text(
        label(child(resource, "medicationCodeableConcept")),
        label(child(target, "code")) if target is not None else "",
        plain(reference.get("display")),
    )


def product_readable(resource: Json, record: Record) -> bool:
    """True when the resource says which product it is about, whether or not the product is known here."""
    if readable(resource.get("medicationCodeableConcept")):
        return True
    reference = resource.get("medicationReference")
    if not isinstance(reference, dict):
        return False
    target = record.target(resource, reference)
    return bool(word(reference, "display").strip()) or (target is not None and _medication_readable(target))


def _medication_readable(medication: Json) -> bool:
    return readable(medication.get("code")) or any(
        readable(ingredient.get("itemCodeableConcept")) for ingredient in children(medication, "ingredient")
    )
