"""A draft QuestionnaireResponse, filled in from what the plan's service knows of the order.

Only what the chart says is put in, as a proposal: results inside the policy's window, diagnoses, clinicians, and what
an earlier form of this patient stated. Each answer carries that it was filled in, and not by a person.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from cds_service.dtr.names import UCUM, coding
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.dates import Span, months_before
from cds_service.policy.facts import Certainty, Diagnosis, Facts, Interval, Names, Result, Stage
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


def known_answers(
    policy: CompiledPolicy, labs: LabTable, public_url: str, facts: Facts | None, reasons: Iterable[Diagnosis] = ()
) -> Answers:
    """What can be filled in: from the facts of a determination, else from the reasons on the order alone."""
    filled: Answers = {}
    seen = list(_seen(facts, reasons))
    for question in policy.source.questions:
        proposal = _proposed(question, seen) if question.shown_by else None
        if proposal is not None:
            filled[question.id] = _said(policy, question, proposal, public_url)
        if facts is None:
            continue
        stated = facts.answers.get(question.id)
        if stated is not None and question.id not in policy.of_results:
            value = _stated(policy, question, stated.value, public_url)
            if value is not None:
                filled[question.id] = value
        if question.test or question.words:
            result = dict(_from_results(policy, question, facts, labs, public_url))
            if all(filled.get(link_id, value) == value for link_id, value in result.items()):  # one day for both
                filled.update(result)
    return filled


def _seen(facts: Facts | None, reasons: Iterable[Diagnosis]) -> Iterator[Names]:
    """The value sets of each diagnosis, clinician and note."""
    diagnoses = (*reasons, *(facts.diagnoses if facts is not None else ()))
    yield from (found.sets for found in diagnoses if found.certainty is Certainty.CONFIRMED)
    if facts is not None:
        yield from (found.sets | found.sites for found in facts.clinicians)
        yield from (found.sets for found in facts.notes)


def _proposed(question: Question, seen: list[Names]) -> str | None:
    """The one answer that the record shows; None where it shows none, or several."""
    shown = [answer for answer, sets in question.shown_by.items() if any(found.issuperset(sets) for found in seen)]
    return shown[0] if len(shown) == 1 else None


def _said(policy: CompiledPolicy, question: Question, answer: str, public_url: str) -> Json:
    if question.type == "boolean":
        return {"valueBoolean": answer == "yes"}
    return {"valueCoding": coding(policy.source, question, answer, public_url)}


def _stated(policy: CompiledPolicy, question: Question, value: object, public_url: str) -> Json | None:
    match question.type:
        case "boolean" if isinstance(value, bool):
            return {"valueBoolean": value}
        case "integer" if (
            isinstance(value, int) and not isinstance(value, bool) and _in_range(question, Decimal(value))
        ):
            return {"valueInteger": value}
        case "string" | "text" if isinstance(value, str):
            return {"valueString": value}
        case "choice" if isinstance(value, str) and value in question.options:
            return {"valueCoding": coding(policy.source, question, value, public_url)}
        case "date" if isinstance(value, Span) and value.exact:
            return {"valueDate": value.first.isoformat()}
    return None


def _in_range(question: Question, value: Decimal) -> bool:
    return (question.min is None or value >= question.min) and (question.max is None or value <= question.max)


def _from_results(
    policy: CompiledPolicy, question: Question, facts: Facts, labs: LabTable, public_url: str
) -> Iterator[tuple[str, Json]]:
    found: tuple[Json | str, Result] | None
    if question.test:
        found = _number(policy, question, facts, labs)
    else:
        tests = dict.fromkeys(test for words in question.words.values() for test in words)
        found = _choice(question, {test: _counting(policy, test, facts) for test in tests}, labs)
    if found is None:
        return
    answer, result = found
    group = question.result_of or question.id
    if isinstance(answer, str):
        yield question.id, {"valueCoding": coding(policy.source, question, answer, public_url)}
    else:
        below = f"{question.id}.below"
        if answer.get("comparator") == "<" and below in policy.questions:
            yield below, {"valueBoolean": True}
            answer = {name: value for name, value in answer.items() if name != "comparator"}
        yield question.id, {"valueQuantity": answer}
    if result.date is not None and result.date.exact:
        yield f"{group}.date", {"valueDate": result.date.first.isoformat()}


def _counting(policy: CompiledPolicy, test: str, facts: Facts) -> list[Result]:
    """Final results of the record inside the policy's window, newest first."""
    months = policy.tests.get(test)
    since = months_before(facts.day, months) if months is not None else date.min
    return [
        result
        for result in facts.results.get(test, ())
        if not result.answer
        and result.stage is Stage.FINAL
        and result.date is not None
        and result.date.within(since, facts.day) is Truth.MET
    ]


def _is_sound(result: Result, labs: LabTable) -> bool:
    """True where nothing is in doubt. Its name alone is enough for a test that has no code (AAV5 antibodies)."""
    doubts = DOUBTFUL if any(code.system == "loinc" for code in labs.test(result.test).codes) else _DOUBTFUL_BUT_NAME
    return result.problem is None and result.flags.isdisjoint(doubts)


def _number(policy: CompiledPolicy, question: Question, facts: Facts, labs: LabTable) -> tuple[Json, Result] | None:
    factor = labs.test(question.test).factor(question.unit)
    results = _counting(policy, question.test, facts)
    if question.untreated == "yes":  # asked as the lowest ever, and replacement only raises it
        results = [result for result in results if result.value is not None and _is_sound(result, labs)]
        results.sort(key=lambda result: _highest(result.value))
    # A newest result that cannot be used is not passed over for an older one.
    if not results or factor is None or not _is_sound(results[0], labs):
        return None
    quantity = _quantity(results[0].value, factor, question)
    return (quantity, results[0]) if quantity is not None else None


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


def _choice(question: Question, results: Mapping[str, list[Result]], labs: LabTable) -> tuple[str, Result] | None:
    """The one choice that the newest result of each test bears out, where none says another."""
    fits: dict[str, Result] = {}
    for test, found in results.items():
        if not found:
            continue
        said = [code for code, words in question.words.items() if test in words and _is(found[0], words[test])]
        if not said or not _is_sound(found[0], labs):
            return None
        for code in said:
            fits.setdefault(code, found[0])
    if len(fits) != 1:
        return None
    return next(iter(fits.items()))


def _is(result: Result, word: str) -> bool:
    if word.isdecimal():
        return result.value is not None and result.value.low == result.value.high == Decimal(word)
    return result.word is not None and result.word.value == word
