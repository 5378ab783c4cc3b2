"""A draft QuestionnaireResponse, filled in from what the plan's service knows of the order.

Only what the chart says is put in, as a proposal: results inside the policy's window, diagnoses, clinicians, and what
an earlier form of this patient stated. Each answer carries that it was filled in, and not by a person.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from msgspec import Struct

from cds_service.dtr.names import UCUM, coding
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.dates import Span, months_before
from cds_service.policy.facts import NO_NAMES, Certainty, Diagnosis, Facts, Interval, Names, Result, Stage
from cds_service.policy.policy import Question
from cds_service.policy.truth import Truth
from fhir_mappings.labs import LabTable

Json = dict[str, Any]
Answers = dict[str, Json]  # linkId → value[x]

DOUBTFUL = frozenset(
    {
        "conflict",
        "unreliable",
        "clumped",
        "newborn",
        "vitamin-k",
        "other-method",
        "detection-limit",
        "text-match",
        "date-issued",
    }
)
_DOUBTFUL_BUT_NAME = DOUBTFUL - {"text-match"}


class _Test(Struct, frozen=True):
    """One test that a policy asks for."""

    name: str
    months: int | None  # of the policy's window; None: any date
    doubts: Names  # flags under which a result is not put in

    def counting(self, facts: Facts) -> list[Result]:
        """Final results of the record inside the policy's window, newest first."""
        results = facts.results.get(self.name)
        if not results:
            return []
        since = months_before(facts.day, self.months) if self.months is not None else date.min
        return [
            result
            for result in results
            if not result.answer
            and result.stage is Stage.FINAL
            and result.date is not None
            and result.date.within(since, facts.day) is Truth.MET
        ]

    def is_sound(self, result: Result) -> bool:
        """True where nothing is in doubt."""
        return result.problem is None and result.flags.isdisjoint(self.doubts)


class _Item(Struct, frozen=True):
    """One item of the form, with what can fill it in."""

    question: Question
    shown: tuple[tuple[Json, Names], ...]  # each answer that the record can show: its value[x], by these value sets
    is_stated: bool  # an earlier form may have stated it
    choices: Mapping[str, Json]  # code → value[x]
    tests: Mapping[_Test, tuple[tuple[str, str], ...]]  # for a choice: test → (code, word of the result)
    number: tuple[_Test, Decimal] | None  # for a quantity: its test, and canonical units in one of the item's
    group: str  # the linkId whose `.date` is the day
    below: str  # the linkId that says "less than"; empty where there is none


class Filling:
    """What a form is filled in by, made ready once."""

    def __init__(self, policy: CompiledPolicy, labs: LabTable, public_url: str) -> None:
        made = (_item(question, policy, labs, public_url) for question in policy.source.questions)
        self._items = tuple(item for item in made if item.shown or item.is_stated or item.tests or item.number)
        self._telling = NO_NAMES.union(*(sets for item in self._items for _, sets in item.shown))

    def answers(self, facts: Facts | None, reasons: Iterable[Diagnosis] = ()) -> Answers:
        """What can be filled in: from the facts of a determination, else from the reasons on the order alone."""
        filled: Answers = {}
        seen = [sets for sets in _seen(facts, reasons) if not sets.isdisjoint(self._telling)]
        for item in self._items:
            link_id = item.question.id
            if item.shown:
                proposals = [value for value, sets in item.shown if _is_among(sets, seen)]
                if len(proposals) == 1:  # where the record shows several, none
                    filled[link_id] = proposals[0]
            if facts is None:
                continue
            if item.is_stated and (stated := facts.answers.get(link_id)) is not None:
                value = _stated(item, stated.value)
                if value is not None:
                    filled[link_id] = value
            if item.tests or item.number:
                result = dict(_from_results(item, facts))
                if all(filled.get(name, value) == value for name, value in result.items()):  # one day for both
                    filled.update(result)
        return filled


def _item(question: Question, policy: CompiledPolicy, labs: LabTable, public_url: str) -> _Item:
    choices = {code: {"valueCoding": coding(policy.source, question, code, public_url)} for code in question.options}

    def test(name: str) -> _Test:
        # Its name alone is enough for a test that has no code (AAV5 antibodies).
        has_code = any(code.system == "loinc" for code in labs.test(name).codes)
        return _Test(name, policy.tests.get(name), DOUBTFUL if has_code else _DOUBTFUL_BUT_NAME)

    factor = labs.test(question.test).factor(question.unit) if question.test else None
    said: dict[str, list[tuple[str, str]]] = {}
    for code, words in question.words.items() if not question.test else ():
        for name, word in words.items():
            said.setdefault(name, []).append((code, word))
    below = f"{question.id}.below"
    return _Item(
        question=question,
        shown=tuple(
            ({"valueBoolean": answer == "yes"} if question.type == "boolean" else choices[answer], frozenset(sets))
            for answer, sets in question.shown_by.items()
        ),
        is_stated=question.id not in policy.of_results,
        choices=choices,
        tests={test(name): tuple(codes) for name, codes in said.items()},
        number=(test(question.test), factor) if factor is not None else None,
        group=question.result_of or question.id,
        below=below if below in policy.questions else "",
    )


def _seen(facts: Facts | None, reasons: Iterable[Diagnosis]) -> Iterator[Names]:
    """The value sets of each diagnosis, clinician and note."""
    diagnoses = (*reasons, *(facts.diagnoses if facts is not None else ()))
    yield from (found.sets for found in diagnoses if found.certainty is Certainty.CONFIRMED)
    if facts is not None:
        yield from (found.sets | found.sites for found in facts.clinicians)
        yield from (found.sets for found in facts.notes)


def _is_among(sets: Names, seen: list[Names]) -> bool:
    for found in seen:  # noqa: SIM110 - a generator for each answer takes longer than all the rest
        if sets <= found:
            return True
    return False


def _stated(item: _Item, value: object) -> Json | None:
    question = item.question
    match question.type:
        case "boolean" if isinstance(value, bool):
            return {"valueBoolean": value}
        case "integer" if (
            isinstance(value, int) and not isinstance(value, bool) and _in_range(question, Decimal(value))
        ):
            return {"valueInteger": value}
        case "string" | "text" if isinstance(value, str):
            return {"valueString": value}
        case "choice" if isinstance(value, str):
            return item.choices.get(value)
        case "date" if isinstance(value, Span) and value.exact:
            return {"valueDate": value.first.isoformat()}
    return None


def _in_range(question: Question, value: Decimal) -> bool:
    return (question.min is None or value >= question.min) and (question.max is None or value <= question.max)


def _from_results(item: _Item, facts: Facts) -> Iterator[tuple[str, Json]]:
    found = _number(item, facts) if item.number is not None else _choice(item, facts)
    if found is None:
        return
    answer, result = found
    quantity = answer.get("valueQuantity")
    if quantity is not None and item.below and quantity.get("comparator") == "<":
        yield item.below, {"valueBoolean": True}
        answer = {"valueQuantity": {name: value for name, value in quantity.items() if name != "comparator"}}
    yield item.question.id, answer
    if result.date is not None and result.date.exact:
        yield f"{item.group}.date", {"valueDate": result.date.first.isoformat()}


def _number(item: _Item, facts: Facts) -> tuple[Json, Result] | None:
    assert item.number is not None  # noqa: S101 - asked before
    test, factor = item.number
    results = test.counting(facts)
    if item.question.untreated == "yes":  # asked as the lowest ever, and replacement only raises it
        results = [result for result in results if result.value is not None and test.is_sound(result)]
        results.sort(key=lambda result: _highest(result.value))
    # A newest result that cannot be used is not passed over for an older one.
    if not results or not test.is_sound(results[0]):
        return None
    quantity = _quantity(results[0].value, factor, item.question)
    return ({"valueQuantity": quantity}, results[0]) if quantity is not None else None


def _highest(value: Interval | None) -> Decimal:
    return value.high if value is not None and value.high is not None else Decimal("Infinity")


def _quantity(value: Interval | None, factor: Decimal, question: Question) -> Json | None:
    if value is None:
        return None
    if value.low == value.high:
        number, comparator = value.low, ""
    elif value.high is not None and value.low == 0:
        number, comparator = value.high, "<" if value.high_open else "<="
    elif value.high is None:
        number, comparator = value.low, ">" if value.low_open else ">="
    else:
        return None
    number = number if factor == 1 else number / factor
    if not _in_range(question, number):
        return None
    quantity = {"value": number, "unit": question.unit, "system": UCUM, "code": question.unit}
    return {**quantity, "comparator": comparator} if comparator else quantity


def _choice(item: _Item, facts: Facts) -> tuple[Json, Result] | None:
    """The one choice that the newest result of each test bears out, where none says another."""
    fits: dict[str, Result] = {}
    for test, words in item.tests.items():
        found = test.counting(facts)
        if not found:
            continue
        said = [code for code, word in words if _is(found[0], word)]
        if not said or not test.is_sound(found[0]):
            return None
        for code in said:
            fits.setdefault(code, found[0])
    if len(fits) != 1:
        return None
    ((code, result),) = fits.items()
    return item.choices[code], result


def _is(result: Result, word: str) -> bool:
    if word.isdecimal():
        return result.value is not None and result.value.low == result.value.high == Decimal(word)
    return result.word is not None and result.word.value == word
