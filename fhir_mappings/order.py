"""A draft order to Order: which product, how much, how often."""

import re
from collections.abc import Iterator
from decimal import Decimal

from cds_service.policy.facts import NO_NAMES, Dose, Interval, Names, Order, exactly
from fhir_mappings.codes import CodeIndex
from fhir_mappings.product import product_concepts, product_label, product_names, product_readable
from fhir_mappings.record import Record
from fhir_mappings.references import Json, child, children, first_text, has_modifiers, label, own_reference, plain, word

# billopt-3: codes under which the order may be billed are to be considered when they are sent.
BILLING_OPTIONS = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-billing-options"

# How units of a dose are written. Genome copies and vector genomes count the same thing.
_UNITS = {
    "vg": "vg",
    "{vg}": "vg",
    "gc": "vg",
    "{gc}": "vg",
    "genomecopies": "vg",
    "{genomecopies}": "vg",
    "vectorgenomes": "vg",
    "{vectorgenomes}": "vg",
    "ml": "mL",
    "milliliter": "mL",
    "milliliters": "mL",
    "vial": "vial",
    "vials": "vial",
    "{vial}": "vial",
    "mg": "mg",
    "milligram": "mg",
    "milligrams": "mg",
    "treatment": "treatment",
    "{treatment}": "treatment",
}
_PER_KG = re.compile(r"(?:/|\bper\b)(?:kg|kilogram|bodyweight)?(?:bodyweight|\{bodyweight\}|bw)?$")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_DOSE_TEXT = re.compile(
    r"(?P<number>\d{1,6}(?:\.\d{1,6})?)"
    r"(?:\s*(?:[x×*·]\s*10\s*(?:\^|\*\*|e)?\s*(?P<power>[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,2}|\d{1,2})|[eE]\+?(?P<exponent>\d{1,2})))?"
    r"\s*(?P<unit>vg|gc|genome copies|vector genomes|mL|mg|vials?|treatment)\b"
    r"(?P<per>\s*(?:/|per)\s*(?:kg|kilogram)\b)?",
    re.IGNORECASE,
)


def read_order(order: Json, record: Record, codes: CodeIndex) -> Order:
    """The order's products, refills and doses, as far as it states them."""
    refills = child(order, "dispenseRequest").get("numberOfRepeatsAllowed")
    known = isinstance(refills, int) and not isinstance(refills, bool) and refills >= 0
    name = first_text(product_label(order, record), label(child(order, "code")), "Order")
    return Order(
        own_reference(order) or word(order, "resourceType") or "Order",
        ordered_products(order, record, codes),
        name,
        refills if known else None,
        tuple(_doses(order)),
    )


def unread_product(order: Json, record: Record) -> bool:
    """True for a medication order whose product cannot be told: a Medication that is not here, or nothing readable.

    And for any order with a modifier that is not known here: what it orders cannot be told.
    """
    if has_modifiers(order):
        return True
    return word(order, "resourceType") == "MedicationRequest" and not product_readable(order, record)


def ordered_products(order: Json, record: Record, codes: CodeIndex) -> Names:
    """The product sets that the order's drug and the codes that it may be billed under are in."""
    if has_modifiers(order):
        return NO_NAMES
    found = product_names(order, record, codes)
    for concept in _concepts_beside(order):
        found |= codes.names(concept, "product")
    return found


def is_unidentified(order: Json, products: Names, record: Record, codes: CodeIndex) -> bool:
    """True for a medication order of none of the `products` known here, and without a code that tells another drug."""
    if products or word(order, "resourceType") != "MedicationRequest":
        return False
    concepts = (*product_concepts(order, record), *_concepts_beside(order))
    return not any(codes.tells(concept, "product") for concept in concepts)


def _concepts_beside(order: Json) -> Iterator[Json]:
    """What is ordered where it is not medication[x], and the codes that it may be billed under."""
    yield child(order, "code")
    yield from children(order, "orderDetail")
    for element in (order, child(order, "medicationCodeableConcept"), child(order, "code")):
        for extension in children(element, "extension"):
            if extension.get("url") == BILLING_OPTIONS:
                yield child(extension, "valueCodeableConcept")


def _doses(order: Json) -> Iterator[Dose]:
    for dosage in children(order, "dosageInstruction"):
        stated = list(_stated_doses(dosage))
        yield from stated or _doses_of_text(word(dosage, "text"))


def _stated_doses(dosage: Json) -> Iterator[Dose]:
    for rate in children(dosage, "doseAndRate"):
        quantity, bounds = child(rate, "doseQuantity"), child(rate, "doseRange")
        if quantity:
            amount = _number(quantity.get("value"))
            unit = _unit(quantity)
            if amount is not None and unit is not None and not quantity.get("comparator"):
                shown = f"{quantity['value']} {plain(word(quantity, 'unit') or word(quantity, 'code'), 40)}"
                yield Dose(exactly(amount), *unit, shown)
        elif bounds:
            low, high = child(bounds, "low"), child(bounds, "high")
            least, most, unit = _number(low.get("value")), _number(high.get("value")), _unit(high)
            if least is not None and most is not None and unit is not None and unit == _unit(low) and least <= most:
                shown = f"{low['value']}–{high['value']} {plain(word(high, 'unit') or word(high, 'code'), 40)}"
                yield Dose(Interval(least, most), *unit, shown)


def _doses_of_text(text: str) -> Iterator[Dose]:
    for found in _DOSE_TEXT.finditer(text[:2000]):
        power = found["power"] or found["exponent"]
        amount = Decimal(found["number"])
        if power is not None:
            amount = amount.scaleb(int(power.translate(_SUPERSCRIPTS)))
        unit = _UNITS[found["unit"].lower().replace(" ", "")]
        yield Dose(exactly(amount), unit, found["per"] is not None, plain(found[0]))


def _unit(quantity: Json) -> tuple[str, bool] | None:
    """The unit of a dose, and whether it is per kilogram; None for a unit that is not a dose's."""
    for written in (word(quantity, "code"), word(quantity, "unit")):
        folded = written.lower().replace(" ", "")
        whole = _PER_KG.sub("", folded)
        unit = _UNITS.get(whole.replace("per", "") if whole.endswith("per") else whole)
        if unit is not None:
            return unit, whole != folded
    return None


def _number(found: object) -> Decimal | None:
    if isinstance(found, bool) or not isinstance(found, int | Decimal):
        return None
    number = Decimal(found)
    return number if number.is_finite() and number >= 0 and abs(number.adjusted()) < 30 else None
