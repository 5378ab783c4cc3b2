"""Small facts and statements for the tests of the policy engine."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.dates import Span, day_span
from cds_service.policy.documents import decode
from cds_service.policy.facts import Answer, Certainty, Diagnosis, Facts, Interval, Note, Order, Result, Stage, Word
from cds_service.policy.language import Expression
from cds_service.policy.policy import Policy
from cds_service.policy.reasons import Reason
from cds_service.policy.said import Said, unknown
from cds_service.policy.truth import Truth

TODAY = date(2026, 11, 24)
NO_ORDER = Order("MedicationRequest/o", frozenset(), "a drug", None, ())


def facts(**given: Any) -> Facts:
    """Facts of nothing but what is given."""
    empty: dict[str, Any] = {
        "day": TODAY,
        "order": NO_ORDER,
        "person": None,
        "plan": None,
        "results": {},
        "diagnoses": (),
        "treatments": (),
        "clinicians": (),
        "notes": (),
        "answers": {},
        "unread": frozenset(),
    }
    return Facts(**{**empty, **given})


def on(text: str) -> Span:
    """The day that the text names."""
    return day_span(date.fromisoformat(text))


def number(value: str, day: str = "2026-11-01", **more: Any) -> Result:
    """A measured value."""
    given = Decimal(value)
    return Result("t", "Observation/t", f"t {value} on {day}", on(day), value=Interval(given, given), **more)


def word(value: Word, day: str = "2026-11-01", **more: Any) -> Result:
    """A qualitative result."""
    return Result("t", "Observation/t", f"t {value} on {day}", on(day), word=value, **more)


def of_test(*results: Result, **more: Any) -> Facts:
    """Facts of one test's results, newest first."""
    newest = sorted(results, key=lambda result: result.date.last if result.date else date.min, reverse=True)
    return facts(results={"t": tuple(newest)}, **more)


def diagnosis(name: str, certainty: Certainty = Certainty.CONFIRMED, active: bool = True) -> Diagnosis:
    """A diagnosis of one value set."""
    return Diagnosis(frozenset({name}), certainty, active, None, "Condition/c", name)


def note(*names: str) -> Note:
    """A sentence of a note."""
    return Note(frozenset(names), None, "DocumentReference/d", " ".join(names))


def answers(**given: bool | int | str) -> Mapping[str, Answer]:
    """Answers of the form; `lth=True` is that to q.lth."""
    return {f"q.{k}": Answer(f"q.{k}", v, f"QuestionnaireResponse/r#q.{k}", str(v), None) for k, v in given.items()}


def statement(written: Any) -> Any:
    """The statement that a policy file writes so."""
    return decode(Path("p.yaml"), written, Expression).statement


def says(written: Any, about: Facts) -> Said:
    """What the written statement says of the facts."""
    said = statement(written).say(about, {})
    assert isinstance(said, Said)
    return said


def met() -> Said:
    """A plain yes."""
    return Said(Truth.MET)


def failed() -> Said:
    """A plain no."""
    return Said(Truth.NOT_MET)


def silence() -> Said:
    """Nothing found."""
    return unknown(Reason.NOT_RECORDED)


def policy(*criteria: Mapping[str, Any], **more: Any) -> CompiledPolicy:
    """A policy of these criteria, each with what a test leaves out filled in."""
    filled = [{"label": "l", "paragraph": "p", "kind": "inclusion", "sense": "s", **given} for given in criteria]
    written = {
        "policy": "P-1",
        "title": "t",
        "drug": "d",
        "name": "D",
        "generic": "g",
        "summary": "s",
        "applies_to": ["order.d"],
        "billing": {"system": "hcpcs", "code": "J0000", "display": "d"},
        "authorization": {"months": "6", "quantity": "1", "unit": "treatment"},
        "scope": {"unconfirmed": "not confirmed", "lines": []},
        "criteria": filled,
        "questions": [],
        **more,
    }
    return CompiledPolicy(decode(Path("p.yaml"), written, Policy))


PRELIMINARY = Stage.PRELIMINARY
