"""Which Coverage an order is to be answered for, and what it says of plan and payer."""

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from cds_service.policy.dates import Span
from cds_service.policy.facts import Plan
from fhir_mappings.codes import CodeIndex
from fhir_mappings.fhir_dates import parse_date
from fhir_mappings.record import Record
from fhir_mappings.references import Json, child, children, first_text, label, own_reference, plain, word

SOURCE = "coverage"
_PEOPLE = frozenset({"Patient", "RelatedPerson"})


class CoverageState(StrEnum):
    """What is known of the patient's coverage on the day."""

    ACTIVE = "active"
    INACTIVE = "inactive"  # cancelled, or its period does not cover the day
    NONE = "none"  # looked, none there
    SEVERAL = "several"  # several active ones, and no `order` tells the primary
    UNREADABLE = "unreadable"  # could not look


class Payer(Struct, frozen=True):
    """One payor of a Coverage."""

    name: str
    identifiers: tuple[tuple[str, str], ...]  # system, value
    read: bool  # False when the payor is a reference that could not be read


class CoverageChoice(Struct, frozen=True):
    """The Coverage that was chosen, and why none was."""

    state: CoverageState
    resource: Json | None = None  # as it came
    plan: Plan | None = None
    payers: tuple[Payer, ...] = ()
    candidates: tuple[str, ...] = ()  # references of every Coverage that was looked at


def choose_coverage(record: Record, order: Json, codes: CodeIndex, day: Span) -> CoverageChoice:
    """The Coverage for this order: one that it names under `insurance`, else the patient's only or primary active one.

    Not knowing whether there is another is no obstacle to an active one, but a cancelled one is only the answer when
    all could be seen. Drafts, errors and what people pay themselves are no coverage of a plan.
    """
    named = [name for name in named_coverages(record, order) if record.at(name) is not None]
    found = [record.at(name) or {} for name in named] or record.of("Coverage")
    found = [resource for resource in found if word(resource, "status") not in ("draft", "entered-in-error")]
    found = [resource for resource in found if not _is_self_paid(record, resource)]
    for resource in found:
        if not isinstance(resource.get("status"), str):
            record.mark_broken(SOURCE, resource)
    candidates = tuple(own_reference(resource) or "Coverage" for resource in found)
    active = _active(found, day)
    if active:
        chosen = _primary(active)
        if chosen is None:
            return CoverageChoice(CoverageState.SEVERAL, candidates=candidates)
        return _chosen(CoverageState.ACTIVE, chosen, candidates, record, codes)
    missing = len(named) < len(list(named_coverages(record, order)))
    if missing or SOURCE in record.unread or SOURCE in record.broken:
        return CoverageChoice(CoverageState.UNREADABLE, candidates=candidates)
    if found:
        latest = max(found, key=lambda resource: word(child(resource, "period"), "end"))
        return _chosen(CoverageState.INACTIVE, latest, candidates, record, codes)
    return CoverageChoice(CoverageState.NONE)


def named_coverages(record: Record, order: Json) -> Iterator[str]:
    """`Coverage/x` for each that the order names under `insurance`."""
    for reference in children(order, "insurance"):
        name = record.name(reference.get("reference"))
        if name is not None and name.startswith("Coverage/"):
            yield name


def unresolved_payors(record: Record) -> Iterator[str]:
    """`Organization/x` for each payor that is not here."""
    for coverage in record.of("Coverage"):
        for reference in children(coverage, "payor"):
            name = record.name(reference.get("reference"))
            if name is not None and name.startswith("Organization/") and record.target(coverage, reference) is None:
                yield name


def _active(found: list[Json], day: Span) -> list[Json]:
    """The active ones whose period may cover the day: a missing or partial end does not close it."""
    active = []
    for resource in found:
        period = child(resource, "period")
        start, end = parse_date(period.get("start")), parse_date(period.get("end"))
        if word(resource, "status") != "active":
            continue
        if (start is None or start.first <= day.last) and (end is None or end.last >= day.first):
            active.append(resource)
    return active


def _primary(active: list[Json]) -> Json | None:
    """The only one, or the one with the lowest `order`; None when that does not tell."""
    if len(active) == 1:
        return active[0]
    ranked = []
    for resource in active:
        rank = resource.get("order")
        if isinstance(rank, int) and not isinstance(rank, bool):
            ranked.append((rank, resource))
    lowest = min((rank for rank, _ in ranked), default=0)
    first = [resource for rank, resource in ranked if rank == lowest]
    # One without a rank could be primary as well, unless the ranked one says that it is the first.
    return first[0] if len(first) == 1 and (len(ranked) == len(active) or lowest == 1) else None


def _chosen(
    state: CoverageState, resource: Json, candidates: tuple[str, ...], record: Record, codes: CodeIndex
) -> CoverageChoice:
    payers = tuple(
        _payer(resource, reference, record)
        for reference in children(resource, "payor")
        if not _is_person(record, resource, reference)
    )
    kind = child(resource, "type")
    sets = codes.names(kind, "coverage")
    classes = children(resource, "class")
    for text in (
        *(word(held, member) for held in classes for member in ("name", "value")),
        *(payer.name for payer in payers),
    ):
        sets |= codes.names_of_text(text, "coverage")
    plan_name = first_text(*(plain(held.get("name")) for held in classes), label(kind), "Coverage")
    payer_name = first_text(*(payer.name for payer in payers))
    display = f"{plan_name}, {payer_name}" if payer_name and payer_name != plan_name else plan_name
    plan = Plan(own_reference(resource) or "Coverage", sets, display)
    return CoverageChoice(state, resource, plan, payers, candidates)


def _is_self_paid(record: Record, coverage: Json) -> bool:
    """True when nobody but people pays: Coverage.payor may be the patient or a relative."""
    payors = children(coverage, "payor")
    return bool(payors) and all(_is_person(record, coverage, payor) for payor in payors)


def _is_person(record: Record, coverage: Json, payor: Json) -> bool:
    target = record.target(coverage, payor)
    kinds = (word(payor, "type"), word(target, "resourceType") if target is not None else "")
    return any(kind in _PEOPLE for kind in (*kinds, *word(payor, "reference").split("/")[:-1]))


def _payer(coverage: Json, reference: Json, record: Record) -> Payer:
    organization = record.target(coverage, reference)
    held = [child(reference, "identifier")] if isinstance(reference.get("identifier"), dict) else []
    literal = reference.get("reference")
    if organization is not None:
        held += children(organization, "identifier")
    identifiers = tuple(
        (word(identifier, "system"), word(identifier, "value")) for identifier in held if word(identifier, "value")
    )
    name = first_text(
        plain(organization.get("name")) if organization is not None else "", plain(reference.get("display"))
    )
    readable = isinstance(organization.get("identifier", []), list) if organization is not None else literal is None
    return Payer(name, identifiers, bool(identifiers) or readable)
