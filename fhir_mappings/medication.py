"""Medications and procedures of the record to Treatment.

Which record proves what (FHIR R4, status code systems of each resource; the policy's reading of a previous therapy):
an administration that was completed or is under way proves that the drug was given; one that was stopped or put on
hold gave part of it, so it counts and needs a person's judgement; a statement proves that somebody said so; a dispense
that it was handed over; an order proves neither. What is not done, entered in error, declined or only intended is
nothing.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from cds_service.policy.dates import Span
from cds_service.policy.facts import NO_NAMES, How, Treatment
from fhir_mappings.codes import CodeIndex
from fhir_mappings.fhir_dates import date_text, parse_date, period_end
from fhir_mappings.product import product_label, product_names, product_readable
from fhir_mappings.record import Record
from fhir_mappings.references import Json, child, children, label, own_reference, readable, word

SOURCE = "treatments"


class _Status(NamedTuple):
    active: bool = False
    doubtful: bool = False


class _Kind(NamedTuple):
    how: How
    verb: str
    statuses: dict[str, _Status]
    dates: tuple[str, ...]


_NOW, _PAST, _IN_DOUBT = _Status(active=True), _Status(), _Status(doubtful=True)
_KINDS = {
    # medication-admin-status: stopped and on-hold are administrations that had begun.
    "MedicationAdministration": _Kind(
        How.GIVEN,
        "given",
        {"completed": _PAST, "in-progress": _NOW, "stopped": _IN_DOUBT, "on-hold": _IN_DOUBT, "unknown": _IN_DOUBT},
        ("effectiveDateTime", "effectivePeriod"),
    ),
    # event-status; a stopped procedure was begun.
    "Procedure": _Kind(
        How.GIVEN,
        "done",
        {"completed": _PAST, "in-progress": _NOW, "stopped": _IN_DOUBT, "unknown": _IN_DOUBT},
        ("performedDateTime", "performedPeriod"),
    ),
    # medication-statement-status: stopped and on-hold were taken before; intended and not-taken were not.
    "MedicationStatement": _Kind(
        How.STATED,
        "stated",
        {"active": _NOW, "completed": _PAST, "stopped": _PAST, "on-hold": _PAST, "unknown": _IN_DOUBT},
        ("effectiveDateTime", "effectivePeriod", "dateAsserted"),
    ),
    "MedicationDispense": _Kind(How.DISPENSED, "dispensed", {"completed": _PAST}, ("whenHandedOver", "whenPrepared")),
    # Not draft, cancelled or unknown: nobody stands behind those.
    "MedicationRequest": _Kind(
        How.ORDERED,
        "ordered",
        {"active": _NOW, "completed": _PAST, "stopped": _PAST, "on-hold": _PAST},
        ("authoredOn",),
    ),
}
_NOT_ORDERS = frozenset({"proposal", "plan", "option"})  # medicationrequest-intent
_WRITTEN_OFF = frozenset(
    {"entered-in-error", "not-done", "not-taken", "intended", "draft", "cancelled", "declined", "preparation"}
)


class _Phrases(NamedTuple):
    """What a text is searched for. Each match has one of `words` in it; most texts have none, which is told quickly."""

    words: tuple[str, ...]
    pattern: re.Pattern[str]

    def found_in(self, text: str) -> bool:
        if text.isascii():  # beyond it letters have look-alikes that the pattern knows
            lowered = text.lower()
            if not any([word in lowered for word in self.words]):
                return False
        return self.pattern.search(text) is not None


_DOUBT_WORDS = ("placebo", "sham", "screen", "blind", "randomi", "trial", "study", "investigational")
_DOUBT_PATTERN = re.compile(
    r"\bplacebo|\bsham\b|screen(?:ing)?[ -]?fail|\b(?:double|single)?[ -]?blind(?:ed)?\b|\brandomi[sz]ed\b"
    r"|\bclinical (?:trial|study)\b|\b(?:trial|study) (?:drug|arm|participa\w+|enrol\w+)\b|\binvestigational\b",
    re.IGNORECASE,
)
_DOUBT = _Phrases(_DOUBT_WORDS, _DOUBT_PATTERN)
_AS_NEEDED = _Phrases(
    ("needed", "prn", "p.r.n", "demand"),
    re.compile(r"\bas[ -]needed\b|\bprn\b|\bp\.r\.n\b|\bif needed\b|\bwhen needed\b|\bon[ -]demand\b", re.I),
)
# A procedure that names a drug and gives none.
_TALK = _Phrases(
    ("consult", "counsel", "educat", "evaluat", "eligib", "screening", "assess", "referral", "discuss", "planning"),
    re.compile(
        r"\bconsult|\bcounsel|\beducati|\bevaluati|\beligib|\bscreening\b|\bassess|\breferral\b|\bdiscuss|\bplanning\b",
        re.I,
    ),
)
_SCHEDULED = re.compile(
    r"\bprophyla|\bevery \w+|\b(?:once|twice|\w+ times) (?:a|per|each) (?:day|week|month)\b|\b(?:bi-?)?weekly\b"
    r"|\bdaily\b|\bmonthly\b|\bq\s?\d+\s?(?:h|d|w)",
    re.IGNORECASE,
)


def read_treatments(record: Record, codes: CodeIndex) -> tuple[Treatment, ...]:
    """The drugs and procedures of this patient that belong to any value set."""
    found = []
    for name, kind in _KINDS.items():
        for resource in record.of(name):
            treatment = _read_treatment(resource, kind, record, codes)
            if treatment is not None:
                found.append(treatment)
    return tuple(found)


def unresolved_medications(record: Record, named: bool = True) -> Iterator[str]:
    """`Medication/x` for each reference of the record whose resource is not here.

    Without `named` only those that do not say in their display which drug it is.
    """
    for name in _KINDS:
        for resource in record.of(name):
            reference = child(resource, "medicationReference")
            if not named and word(reference, "display").strip():
                continue
            if reference and record.target(resource, reference) is None:
                target = record.name(reference.get("reference"))
                if target is not None and target.startswith("Medication/"):
                    yield target


def is_regular(resource: Json) -> bool | None:
    """True for a schedule, False for as needed, None when an order or a statement says neither."""
    dosages = (*children(resource, "dosageInstruction"), *children(resource, "dosage"))
    said = [_dosage_regular(dosage) for dosage in dosages]
    if any(said):  # a schedule with an extra dose as needed is a schedule
        return True
    return False if False in said else None


def _dosage_regular(dosage: Json) -> bool | None:
    text = word(dosage, "text")
    if dosage.get("asNeededBoolean") is True or readable(dosage.get("asNeededCodeableConcept")):
        return False
    if _AS_NEEDED.found_in(text):
        return False
    timing = child(dosage, "timing")
    repeat = child(timing, "repeat")
    if repeat.get("count") == 1:
        return None
    if any(repeat.get(member) for member in ("frequency", "period", "dayOfWeek", "when")) or readable(
        timing.get("code")
    ):
        return True
    return True if _SCHEDULED.search(text) else None


def _read_treatment(resource: Json, kind: _Kind, record: Record, codes: CodeIndex) -> Treatment | None:
    status = resource.get("status")
    if isinstance(status, str) and status in _WRITTEN_OFF:
        return None
    is_order = kind.how is How.ORDERED
    if is_order and (resource.get("doNotPerform") is True or word(resource, "intent") in _NOT_ORDERS):
        return None
    is_procedure = kind.verb == "done"
    if is_procedure:
        concept = child(resource, "code")
        if _TALK.found_in(label(concept)):
            return None
        sets = codes.names(concept, "product")
        known = sets != NO_NAMES or "code" not in resource or readable(concept)
    else:
        sets = product_names(resource, record, codes)
        known = sets != NO_NAMES or product_readable(resource, record)
    if not known and not _awaits_medication(resource, record):
        record.mark_broken(SOURCE, resource)
    if sets == NO_NAMES:
        return None
    if not isinstance(status, str):
        record.mark_broken(SOURCE, resource)
        return None
    said = kind.statuses.get(status)
    if said is None:
        return None
    name = label(child(resource, "code")) if is_procedure else product_label(resource, record)
    span, written = _date(resource, kind.dates)
    ended, until = _ended(resource, kind.dates)
    return Treatment(
        sets,
        kind.how,
        said.active,
        span,
        own_reference(resource) or word(resource, "resourceType"),
        f"{name} {kind.verb} on {written}{until}" if written else f"{name} {kind.verb}, no date",
        is_regular(resource) if kind.how in (How.ORDERED, How.STATED) else None,
        said.doubtful or _is_doubtful(resource, name),
        ended,
    )


def _awaits_medication(resource: Json, record: Record) -> bool:
    """True when all that is missing is the Medication that it refers to: an unread source, not a broken record."""
    reference = child(resource, "medicationReference")
    return bool(reference) and record.name(reference.get("reference")) is not None


def _date(resource: Json, members: tuple[str, ...]) -> tuple[Span | None, str]:
    for member in members:
        found = resource.get(member)
        if isinstance(found, dict):  # a Period: when it began, else when it ended
            found = found.get("start") or found.get("end")
        span = parse_date(found)
        if span is not None:
            return span, date_text(found)
    return None, ""


def _ended(resource: Json, members: tuple[str, ...]) -> tuple[Span | None, str]:
    """The last day of the record's period, and the words for it; none where it has no period that began and ended."""
    period = next((found for member in members if isinstance(found := resource.get(member), dict)), {})
    ended = period_end(period) if period.get("start") else None
    return ended, f" until {date_text(period.get('end'))}" if ended is not None else ""


# Where a record says in words that it belongs to a trial.
_WORDS = ("note", "dosage", "dosageInstruction")  # texts
_CONCEPTS = ("reasonCode", "statusReason", "category", "outcome")  # CodeableConcepts, one or a list


def _is_doubtful(resource: Json, name: str) -> bool:
    """True when the record's own words speak of a trial, a placebo or a screening failure."""
    texts = [name]
    for member in _WORDS:
        if member in resource:
            texts += [word(held, "text") for held in _one_or_more(resource, member)]
    for member in _CONCEPTS:
        if member in resource:
            texts += [label(held) for held in _one_or_more(resource, member)]
    return _DOUBT.found_in("\n".join(texts))


def _one_or_more(resource: Json, member: str) -> list[Json]:
    found = resource[member]
    return [found] if isinstance(found, dict) else children(resource, member)
