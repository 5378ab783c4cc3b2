"""How a policy file writes a statement: a mapping with exactly one kind in it, and what would settle it beside.

    value: {test: platelets, at_least: 50, within_months: 3}
    needed: A platelet count on or after {since}

`needed` may name `{since}` (first day of the statement's window, the widest where it has several) and `{today}`.
"""

import re
from collections.abc import Callable
from datetime import date
from typing import Any, cast

from msgspec import Struct

from cds_service.policy import composed, measured
from cds_service.policy import criteria as kinds
from cds_service.policy.criteria import Earlier, Statement
from cds_service.policy.dates import months_before
from cds_service.policy.doses import DoseOf
from cds_service.policy.facts import Facts
from cds_service.policy.said import UNKNOWN, Said
from cds_service.policy.upper_limit import asking_for_it

_PLACES = re.compile(r"\{[^{}]*\}")
_COMPOSED = {"all": composed.AllOf, "any": composed.AnyOf, "told_by": composed.ToldBy}
_PLAIN = (
    "age",
    "diagnosis",
    "result",
    "value",
    "answer",
    "treatment",
    "clinician",
    "note",
    "criterion",
    "refills",
    "dose",
)


class Count(Struct, frozen=True, forbid_unknown_fields=True):
    """So many of several statements, as written."""

    at_least: int
    of: tuple["Expression", ...]

    def __post_init__(self) -> None:
        if not 1 <= self.at_least <= len(self.of):
            raise ValueError(
                f"a count is at least 1 and at most the {len(self.of)} statements under `of`, found '{self.at_least}'"
            )


class Expression(Struct, frozen=True, forbid_unknown_fields=True, rename={"if_": "if", "else_": "else", "not_": "not"}):
    """One statement as written. Exactly one kind is given; `then` and `else` go with `if`."""

    all: tuple["Expression", ...] | None = None
    any: tuple["Expression", ...] | None = None
    told_by: tuple["Expression", ...] | None = None
    count: Count | None = None
    not_: "Expression | None" = None
    if_: "Expression | None" = None
    then: "Expression | None" = None
    else_: "Expression | None" = None
    age: kinds.Age | None = None
    diagnosis: kinds.DiagnosisOf | None = None
    result: measured.ResultOf | None = None
    value: measured.ValueOf | None = None
    answer: kinds.AnswerTo | None = None
    treatment: kinds.TreatmentWith | None = None
    clinician: kinds.ClinicianOf | None = None
    note: kinds.NoteThat | None = None
    criterion: kinds.CriterionIs | None = None
    refills: kinds.RefillsAtMost | None = None
    dose: DoseOf | None = None
    needed: str | None = None

    def __post_init__(self) -> None:
        given = [name for name in (*_COMPOSED, *_PLAIN, "count", "not_", "if_") if getattr(self, name) is not None]
        if len(given) != 1:
            allowed = ", ".join((*_COMPOSED, "count", "not", "if", *_PLAIN))
            found = " and ".join(name.rstrip("_") for name in given) or "none"
            raise ValueError(f"a statement has exactly one of {allowed}; found {found}")
        if (self.if_ is None) != (self.then is None) or (self.else_ is not None and self.if_ is None):
            raise ValueError("`if` goes with `then`, and `else` with both")
        for place in _PLACES.findall(self.needed or ""):
            if place not in ("{since}", "{today}"):
                raise ValueError(f"`needed` is filled in where it says {{since}} or {{today}}, found '{place}'")
            if place == "{since}" and not any(getattr(one, "within_months", None) for one in statements_in(self)):
                raise ValueError("the statement has no `within_months` to begin with, found '{since}'")

    @property
    def statement(self) -> Statement:
        """The statement ready to be asked."""
        return self.built(lambda plain: plain)

    def built(self, shared: Callable[[Statement], Statement]) -> Statement:
        """The statement ready to be asked, with `shared` of each plain one in its place."""
        built = self._built(shared)
        if self.needed is None:
            return built
        parts = statements_in(self)
        windows = [getattr(part, "within_months", None) for part in parts]
        relative = any(isinstance(part, measured.ValueOf) and part.times is not None for part in parts)
        text = asking_for_it(self.needed) if relative else self.needed
        return Needing(built, text, max((months for months in windows if months is not None), default=None))

    def _built(self, shared: Callable[[Statement], Statement]) -> Statement:
        for name, kind in _COMPOSED.items():
            parts = getattr(self, name)
            if parts is not None:
                return cast(Statement, kind(tuple(part.built(shared) for part in parts)))
        if self.count is not None:
            parts = tuple(part.built(shared) for part in self.count.of)
            return composed.CountOf(parts, self.count.at_least)
        if self.not_ is not None:
            return composed.Not(self.not_.built(shared))
        if self.if_ is not None and self.then is not None:
            otherwise = self.else_.built(shared) if self.else_ is not None else None
            return composed.IfThen(self.if_.built(shared), self.then.built(shared), otherwise)
        return shared(cast(Statement, next(found for name in _PLAIN if (found := getattr(self, name)) is not None)))


class Needing(Struct, frozen=True):
    """A statement with the words that say what would settle it."""

    part: Statement
    text: str
    months: int | None

    def say(self, facts: Facts, earlier: Earlier) -> Said:
        said = self.part.say(facts, earlier)
        if said.truth is not UNKNOWN:
            return said
        return Said(said.truth, said.reason, said.facts, (self.words(facts.day),), said.tests, said.remarks)

    def words(self, day: date) -> str:
        """The text with its dates filled in."""
        since = months_before(day, self.months) if self.months is not None else day
        return self.text.replace("{since}", since.isoformat()).replace("{today}", day.isoformat())


def statements_in(expression: Expression) -> list[Any]:
    """Every plain statement in the expression, in order: what the policy asks of a record."""
    for name in _PLAIN:
        plain = getattr(expression, name)
        if plain is not None:
            return [plain]
    found: list[Any] = []
    for name in (*_COMPOSED, "not_", "if_", "then", "else_"):
        part = getattr(expression, name)
        for inner in part if isinstance(part, tuple) else (part,) if part is not None else ():
            found += statements_in(inner)
    for inner in expression.count.of if expression.count is not None else ():
        found += statements_in(inner)
    return found
