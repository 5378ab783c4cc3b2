"""Charges and claims of the record to Treatment: what was billed for this patient before the order.

A charge that was billed, and a claim for payment, say that a drug was furnished on their day of service. Without that
day, on the order's own day or later, or before the charge has come so far, a bill needs a person: it may be this
order's. A claim that asks for authorization or for a prediction is a request, and no history.
"""

from collections.abc import Iterator
from datetime import date

from cds_service.policy.dates import Span
from cds_service.policy.facts import NO_NAMES, How, Names, Treatment
from fhir_mappings.codes import CodeIndex
from fhir_mappings.fhir_dates import date_text, parse_date
from fhir_mappings.record import Record
from fhir_mappings.references import Json, child, children, label_with_code, own_reference, readable, word

SOURCE = "bills"
_NO_BILLS = frozenset({"planned", "aborted", "entered-in-error", "cancelled", "draft"})
_REQUESTS = frozenset({"preauthorization", "predetermination"})  # claim-use
_DETAILS = {"item": "detail", "detail": "subDetail"}


def read_bills(record: Record, codes: CodeIndex, day: date) -> tuple[Treatment, ...]:
    """What was billed and belongs to any product set; doubtful where it may not be from before `day`."""
    found = [bill for charge in record.of("ChargeItem") for bill in _of_charge(charge, record, codes, day)]
    found += [bill for claim in record.of("Claim") for bill in _of_claim(claim, record, codes, day)]
    return tuple(found)


def _of_charge(charge: Json, record: Record, codes: CodeIndex, day: date) -> Iterator[Treatment]:
    if word(charge, "status") in _NO_BILLS:
        return
    concepts = (child(charge, "code"), child(charge, "productCodeableConcept"))
    sets = NO_NAMES.union(*(codes.names(concept, "product") for concept in concepts))
    if sets == NO_NAMES:
        if not any(readable(concept) for concept in concepts):
            record.mark_broken(SOURCE, charge)
        return
    served, written = _day_of(charge, "occurrence")
    billed = word(charge, "status") == "billed"
    named = next(concept for concept in concepts if codes.names(concept, "product"))
    yield _bill(charge, sets, label_with_code(named), served, written, not billed or not _before(served, day))


def _of_claim(claim: Json, record: Record, codes: CodeIndex, day: date) -> Iterator[Treatment]:
    if word(claim, "status") in _NO_BILLS or word(claim, "use") in _REQUESTS:
        return
    claimed = word(claim, "status") == "active" and word(claim, "use") == "claim"
    period = _period(claim.get("billablePeriod"))
    for item, served, written in _items(claim, "item", period):
        concept = child(item, "productOrService")
        sets = codes.names(concept, "product")
        if sets != NO_NAMES:
            doubtful = not claimed or not _before(served, day)
            yield _bill(claim, sets, label_with_code(concept), served, written, doubtful)
        elif not readable(concept):
            record.mark_broken(SOURCE, claim)


def _items(owner: Json, member: str, served: tuple[Span | None, str]) -> Iterator[tuple[Json, Span | None, str]]:
    """The lines of a claim with what they are made of, and the day of service of each: its own, else its owner's."""
    for item in children(owner, member):
        own = _day_of(item, "serviced")
        day = own if own[0] is not None else served
        yield item, *day
        if member in _DETAILS:
            yield from _items(item, _DETAILS[member], day)


def _bill(owner: Json, sets: Names, name: str, served: Span | None, written: str, doubtful: bool) -> Treatment:
    shown = f"{name} billed for {written}" if written else f"{name} billed, no date of service"
    reference = own_reference(owner) or word(owner, "resourceType")
    return Treatment(sets, How.BILLED, False, served, reference, shown, None, doubtful)


def _before(served: Span | None, day: date) -> bool:
    return served is not None and served.last < day


def _day_of(element: Json, member: str) -> tuple[Span | None, str]:
    for name in (f"{member}DateTime", f"{member}Date"):
        span = parse_date(element.get(name))
        if span is not None:
            return span, date_text(element.get(name))
    return _period(element.get(f"{member}Period"))


def _period(found: object) -> tuple[Span | None, str]:
    """The last day of a Period; none while it has no end."""
    end = found.get("end") if isinstance(found, dict) else None
    return parse_date(end), date_text(end)
