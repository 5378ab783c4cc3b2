"""How a Coverage and a Patient name a member of the plan: the numbers that a roster can be asked for."""

from collections.abc import Iterator

from msgspec import Struct

from cds_service.policy.dates import Span
from fhir_mappings.references import Json, child, children, word

_MEMBER_NUMBER = ("http://terminology.hl7.org/CodeSystem/v2-0203", "MB")


class MemberNumbers(Struct, frozen=True):
    """What a member may be known by."""

    of_coverage: tuple[str, ...]  # on the Coverage: subscriber number with dependent, member number
    of_patient: tuple[str, ...]  # on the Patient: member number
    birth: Span | None


def member_numbers(coverage: Json, patient: Json | None, birth: Span | None) -> MemberNumbers:
    """The numbers on the Coverage and on the Patient, most telling first."""
    on_patient = tuple(_member_identifiers(patient)) if patient is not None else ()
    return MemberNumbers(tuple(dict.fromkeys(_on_coverage(coverage))), on_patient, birth)


def _on_coverage(coverage: Json) -> Iterator[str]:
    subscriber, dependent = word(coverage, "subscriberId").strip(), word(coverage, "dependent").strip()
    if subscriber and dependent:
        yield f"{subscriber}-{dependent}"
        yield f"{subscriber}{dependent}"
    yield from _member_identifiers(coverage)
    if subscriber:
        yield subscriber


def _member_identifiers(resource: Json) -> Iterator[str]:
    for identifier in children(resource, "identifier"):
        codings = children(child(identifier, "type"), "coding")
        if any((word(coding, "system"), word(coding, "code")) == _MEMBER_NUMBER for coding in codings):
            value = word(identifier, "value").strip()
            if value:
                yield value
