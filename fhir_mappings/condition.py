"""Condition and the order's own reason to Diagnosis. Family history is another resource and never read."""

from cds_service.policy.dates import Span
from cds_service.policy.facts import NO_NAMES, Certainty, Diagnosis
from fhir_mappings.codes import CodeIndex
from fhir_mappings.fhir_dates import date_text, parse_date
from fhir_mappings.record import Record
from fhir_mappings.references import Json, child, children, label_with_code, own_reference, readable, word

_UNCONFIRMED = frozenset({"unconfirmed", "provisional", "differential"})
_STATUS_ALONE = "diagnoses/status"  # a card counts it among what could not be read; no criterion rests on it
_OVER = frozenset({"inactive", "remission", "resolved"})


def read_conditions(record: Record, codes: CodeIndex) -> tuple[Diagnosis, ...]:
    """The diagnoses of this patient that belong to any value set."""
    found = (_read_condition(resource, record, codes) for resource in record.of("Condition"))
    return tuple(diagnosis for diagnosis in found if diagnosis is not None)


def read_reasons(order: Json, reference: str, record: Record, codes: CodeIndex) -> tuple[Diagnosis, ...]:
    """The order's reasonCodes, and the Conditions that it holds in itself, as diagnoses.

    The prescriber's reason on the order says that the patient has it now; a Condition elsewhere says more and is read
    as such.
    """
    found = []
    for concept in children(order, "reasonCode"):
        sets = codes.names(concept, "condition")
        if sets:
            display = f"{label_with_code(concept)}, reason on the order"
            found.append(Diagnosis(sets, Certainty.CONFIRMED, True, None, reference, display))
    for reason in children(order, "reasonReference"):
        if not word(reason, "reference").startswith("#"):
            continue
        inner = record.target(order, reason)
        if inner is not None and inner.get("resourceType") == "Condition":
            diagnosis = _read_condition({**inner, "id": None}, record, codes)
            if diagnosis is not None:
                found.append(
                    Diagnosis(
                        diagnosis.sets,
                        diagnosis.certainty,
                        diagnosis.active,
                        diagnosis.date,
                        reference,
                        diagnosis.display,
                    )
                )
    return tuple(found)


def _read_condition(resource: Json, record: Record, codes: CodeIndex) -> Diagnosis | None:
    concept = resource.get("code")
    sets = codes.names(concept, "condition") if isinstance(concept, dict) else NO_NAMES
    if sets == NO_NAMES and (concept is None or readable(concept)):
        return None
    verification = _status(resource, "verificationStatus")
    clinical = _status(resource, "clinicalStatus")
    if verification == "entered-in-error" or clinical == "entered-in-error":  # the latter in DSTU2-shaped charts
        return None
    if not isinstance(concept, dict) or sets == NO_NAMES:
        record.mark_broken("diagnoses", resource)
        return None
    certainty = Certainty.CONFIRMED
    if verification is None or clinical is None:
        # What it is about is known: it opens what asks for that, and nothing else.
        certainty = Certainty.UNREADABLE
        record.mark_broken(_STATUS_ALONE, resource)
    elif verification == "refuted":
        certainty = Certainty.REFUTED
    elif verification in _UNCONFIRMED:
        certainty = Certainty.UNCONFIRMED
    date, dated = _date(resource)
    return Diagnosis(
        sets,
        certainty,
        clinical not in _OVER,
        date,
        own_reference(resource) or "Condition",
        _display(label_with_code(concept) + dated, certainty, clinical or ""),
    )


def _status(resource: Json, member: str) -> str | None:
    """The status code; empty when there is none, None when it cannot be read."""
    concept = resource.get(member)
    if concept is None:
        return ""
    if not isinstance(concept, dict):
        return None
    codings = [word(coding, "code") for coding in children(concept, "coding") if word(coding, "code")]
    said = codings[0] if codings else word(concept, "text")
    return said.strip().lower() or None


def _date(resource: Json) -> tuple[Span | None, str]:
    """Onset, else the day of recording; with how the source writes it."""
    period = child(resource, "onsetPeriod")
    for found, verb in (
        (resource.get("onsetDateTime"), "since"),
        (period.get("start"), "since"),
        (resource.get("recordedDate"), "recorded"),
    ):
        if (span := parse_date(found)) is not None:
            return span, f", {verb} {date_text(found)}"
    return None, ""


def _display(name: str, certainty: Certainty, clinical: str) -> str:
    if certainty is Certainty.UNREADABLE:
        return f"{name}, its status could not be read"
    marks = [certainty.value] if certainty is not Certainty.CONFIRMED else []
    marks += [clinical] if clinical in _OVER else []
    return ", ".join((name, *marks))
