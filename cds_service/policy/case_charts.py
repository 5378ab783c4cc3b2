"""How a case writes a chart, and the facts that it stands for.

Values are written as a laboratory would in the test's canonical unit: `50`, `<50`, `8-10`.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.dates import Span
from cds_service.policy.facts import (
    NO_NAMES,
    Answer,
    Certainty,
    Clinician,
    Diagnosis,
    Dose,
    Facts,
    How,
    Interval,
    Names,
    Note,
    Order,
    Person,
    Plan,
    Result,
    Stage,
    Treatment,
    Word,
    exactly,
)
from cds_service.policy.reasons import Reason

YesNo = Literal["yes", "no"]


def _dated(written: str) -> None:
    """Refuses what is no date: it may be a month or a year."""
    try:
        _span(written)
    except ValueError:
        raise ValueError(f"expected a date like 2026-11-24, 2026-11 or 2026, found '{written}'") from None


def on_a_day(written: str) -> None:
    """Refuses what is no day."""
    try:
        date.fromisoformat(written)
    except ValueError:
        raise ValueError(f"expected a day like 2026-11-24, found '{written}'") from None


class CaseResult(Struct, frozen=True, forbid_unknown_fields=True):
    """A result: a value or a word, with its date (`2026-11`, a month, is a date too)."""

    value: str = ""
    word: Word | None = None
    date: str = ""
    stage: Stage = Stage.FINAL
    problem: Reason | None = None
    flags: Names = NO_NAMES
    answer: YesNo = "no"
    report: YesNo = "yes"
    upper_limit_of_normal: Decimal | None = None

    def __post_init__(self) -> None:
        _dated(self.date)
        if self.value in frozenset(Word):
            raise ValueError(f"a word stands under `word`, a number under `value`, found '{self.value}'")
        if self.value and self.problem is None:
            _interval(self.value)
        limit = self.upper_limit_of_normal
        if limit is not None and not (limit.is_finite() and limit > 0):
            raise ValueError(f"an upper limit of normal is a number above 0, found '{limit}'")


class CaseDiagnosis(Struct, frozen=True, forbid_unknown_fields=True):
    """A diagnosis by value sets."""

    of: Names
    certainty: Certainty = Certainty.CONFIRMED
    active: YesNo = "yes"


class CaseTreatment(Struct, frozen=True, forbid_unknown_fields=True):
    """A treatment by value sets; `days` makes so many records on consecutive days."""

    of: Names
    how: How
    active: YesNo = "yes"
    date: str = "2024-01-01"
    regular: YesNo | None = None
    doubtful: YesNo = "no"
    days: Annotated[int, Meta(ge=1, le=5000)] = 1

    def __post_init__(self) -> None:
        on_a_day(self.date)


class CaseClinician(Struct, frozen=True, forbid_unknown_fields=True):
    """A prescriber or consultant by value sets."""

    specialty: Names = NO_NAMES
    site: Names = NO_NAMES


class CaseNote(Struct, frozen=True, forbid_unknown_fields=True):
    """A note by statement sets, with its date."""

    of: Names
    date: str

    def __post_init__(self) -> None:
        _dated(self.date)


class CaseDose(Struct, frozen=True, forbid_unknown_fields=True):
    """A dose on the order."""

    amount: str
    unit: str
    per_kg: YesNo = "no"

    def __post_init__(self) -> None:
        _number(self.amount)


class CaseChart(Struct, frozen=True, forbid_unknown_fields=True):
    """A chart; what is left out of a change stays as it was."""

    birth: str | UnsetType = UNSET
    deceased: YesNo | UnsetType = UNSET
    coverage: Names | UnsetType = UNSET
    roster: tuple[str, ...] | UnsetType = UNSET
    diagnoses: tuple[CaseDiagnosis, ...] | UnsetType = UNSET
    results: Mapping[str, tuple[CaseResult, ...]] | UnsetType = UNSET
    treatments: tuple[CaseTreatment, ...] | UnsetType = UNSET
    clinicians: tuple[CaseClinician, ...] | UnsetType = UNSET
    notes: tuple[Names | CaseNote, ...] | UnsetType = UNSET
    answers: Mapping[str, str] | UnsetType = UNSET
    unread: Names | UnsetType = UNSET
    refills: int | UnsetType = UNSET
    doses: tuple[CaseDose, ...] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if isinstance(self.birth, str):
            _dated(self.birth)


def chart_facts(chart: CaseChart, day: date, policy: CompiledPolicy) -> Facts:
    """The facts of the chart on that day."""

    def given(name: str, default: Any) -> Any:
        value = getattr(chart, name)
        return default if value is UNSET else value

    birth, deceased = given("birth", ""), given("deceased", "no") == "yes"
    plan_sets, roster = given("coverage", NO_NAMES), given("roster", ())
    results = {
        test: tuple(sorted((_result(test, i, r) for i, r in enumerate(rows)), key=_newest, reverse=True))
        for test, rows in given("results", {}).items()
    }
    treatments = [t for i, treatment in enumerate(given("treatments", ())) for t in _treatments(i, treatment)]
    doses = tuple(Dose(exactly(_number(d.amount)), d.unit, d.per_kg == "yes", d.amount) for d in given("doses", ()))
    refills = given("refills", None)
    return Facts(
        day=day,
        order=Order("MedicationRequest/order", frozenset(policy.source.applies_to), policy.source.name, refills, doses),
        person=Person("Patient/p", _span(birth), deceased, f"born {birth}") if birth or deceased else None,
        plan=Plan("Coverage/c", plan_sets, "Coverage", roster) if plan_sets or roster else None,
        results=results,
        diagnoses=tuple(
            Diagnosis(d.of, d.certainty, d.active == "yes", None, f"Condition/{i}", ", ".join(sorted(d.of)))
            for i, d in enumerate(given("diagnoses", ()))
        ),
        treatments=tuple(treatments),
        clinicians=tuple(
            Clinician("prescriber", c.specialty, c.site, f"Practitioner/{i}", "clinician")
            for i, c in enumerate(given("clinicians", ()))
        ),
        notes=tuple(
            Note(sets, _span(written), f"DocumentReference/{i}", ", ".join(sorted(sets)))
            for i, (sets, written) in enumerate(_note(note) for note in given("notes", ()))
        ),
        answers={link: _answer(link, text) for link, text in given("answers", {}).items()},
        unread=given("unread", NO_NAMES),
    )


def _result(test: str, index: int, row: CaseResult) -> Result:
    return Result(
        test,
        f"Observation/{test}-{index}",
        f"{test} {row.value or row.word or ''} on {row.date}",
        _span(row.date),
        row.stage,
        _interval(row.value) if row.value and row.problem is None else None,
        row.word,
        row.problem,
        row.flags,
        row.answer == "yes",
        row.report == "yes",
        row.upper_limit_of_normal,
        f"up to {row.upper_limit_of_normal}" if row.upper_limit_of_normal is not None else "",
    )


def _newest(result: Result) -> date:
    return result.date.last if result.date is not None else date.min


def _note(note: Names | CaseNote) -> tuple[Names, str]:
    return (note.of, note.date) if isinstance(note, CaseNote) else (note, "")


def _treatments(index: int, row: CaseTreatment) -> list[Treatment]:
    first = date.fromisoformat(row.date)
    active, doubtful = row.active == "yes", row.doubtful == "yes"
    regular = None if row.regular is None else row.regular == "yes"
    shown = f"{', '.join(sorted(row.of))} {row.how} on {row.date}"
    return [
        Treatment(row.of, row.how, active, _day(first, step), f"Treatment/{index}-{step}", shown, regular, doubtful)
        for step in range(row.days)
    ]


def _day(first: date, step: int) -> Span:
    day = date.fromordinal(first.toordinal() + step)
    return Span(day, day)


def _answer(link: str, text: str) -> Answer:
    value: bool | int | str = {"yes": True, "no": False}.get(text, text)
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    return Answer(link, value, f"QuestionnaireResponse/r#{link}", f"{link}: {text}", None)


def _span(text: str) -> Span | None:
    if not text:
        return None
    parts = [int(part) for part in text.split("-")]
    if len(parts) == 3:
        day = date(*parts)
        return Span(day, day)
    if len(parts) == 2:
        following = date(parts[0] + parts[1] // 12, parts[1] % 12 + 1, 1)
        return Span(date(parts[0], parts[1], 1), date.fromordinal(following.toordinal() - 1))
    return Span(date(parts[0], 1, 1), date(parts[0], 12, 31))


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"expected a number like 50, <50 or 8-10, found '{text}'") from None


_SIGNS = {"<=": (False, False), ">=": (False, False), "<": (False, True), ">": (True, False)}


def _interval(text: str) -> Interval:
    for sign, (low_open, high_open) in _SIGNS.items():
        if text.startswith(sign):
            limit = _number(text.removeprefix(sign))
            return Interval(Decimal(0), limit, False, high_open) if "<" in sign else Interval(limit, None, low_open)
    if "-" in text[1:]:
        first, last = text.split("-")
        return Interval(_number(first), _number(last))
    return exactly(_number(text))
