"""Laboratory answers of a form to Results: they count like the result itself when its report is attached.

A quantity is read with its own unit like any other; a choice says a word for one test or several. Date and report come
from the items `<linkId>.date` and `<linkId>.report`, or from those of the item that it shares them with.
"""

from collections.abc import Iterable, Iterator, Mapping

from cds_service.policy.dates import Span
from cds_service.policy.facts import Answer, Result, Word
from cds_service.policy.policy import Question
from fhir_mappings.labs import LabTable
from fhir_mappings.quantity import decimal, interval, read_quantity
from fhir_mappings.references import Json

UNTREATED = frozenset({"untreated"})


def answered_results(
    questions: Iterable[Question], answers: Mapping[str, Answer], quantities: Mapping[str, Json], labs: LabTable
) -> tuple[Result, ...]:
    """A Result for each of these laboratory items that is answered."""
    if not answers:
        return ()
    return tuple(
        result
        for question in questions
        if question.id in answers
        for result in _results(question, answers, quantities, labs)
    )


def in_the_words_of(questions: Mapping[str, Question], answers: Mapping[str, Answer]) -> Mapping[str, Answer]:
    """The answers with the form's own words: what a response calls its items is not relied on."""
    return {link: _worded(answer, questions[link]) if link in questions else answer for link, answer in answers.items()}


def _worded(answer: Answer, question: Question) -> Answer:
    value, text = answer.value, question.text
    if isinstance(value, bool):
        shown = "yes" if value else "no"
    elif isinstance(value, str):
        shown = question.options.get(value, value)
    else:
        shown = answer.shown
    on = f" (form of {_shown(answer.authored)})" if answer.authored is not None else " (form without a date)"
    display = f"{text}{'' if text.endswith('?') else ':'} {shown}{on}"
    return Answer(answer.link_id, value, answer.reference, display, answer.authored, answer.shown)


def _results(
    question: Question, answers: Mapping[str, Answer], quantities: Mapping[str, Json], labs: LabTable
) -> Iterator[Result]:
    answer = answers[question.id]
    group = question.result_of or question.id
    dated = answers.get(f"{group}.date")
    date = dated.value if dated is not None and isinstance(dated.value, Span) else None
    report = answers.get(f"{group}.report")
    attached = report is not None and report.value is not False
    display = answer.display + (f", test of {_shown(date)}" if date is not None else ", test without a date")
    flags = UNTREATED if question.untreated == "yes" else frozenset[str]()
    if question.test:
        quantity = quantities.get(question.id)
        below = answers.get(f"{question.id}.below")
        if quantity is not None and below is not None and below.value is True:
            quantity = {**quantity, "comparator": "<"}
        reading = read_quantity(quantity, labs.test(question.test))
        yield Result(
            question.test,
            answer.reference,
            display,
            date,
            value=reading.value,
            problem=reading.problem if reading.value is None else None,
            flags=flags,
            answer=True,
            report=attached,
        )
        return
    for test, said in question.words.get(str(answer.value), {}).items():
        number = decimal(int(said)) if said.isdecimal() else None
        yield Result(
            test,
            answer.reference,
            display,
            date,
            value=interval(None, number) if number is not None else None,
            word=Word(said) if number is None else None,
            flags=flags,
            answer=True,
            report=attached,
        )


def _shown(date: Span) -> str:
    return date.first.isoformat() if date.exact else f"{date.first.isoformat()} to {date.last.isoformat()}"
