"""What a policy file says, held against the names and kinds that it uses: what could never be found is refused."""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from cds_service.policy.compiled import CompiledPolicy, statements_of
from cds_service.policy.criteria import AnswerTo, CriterionIs, TreatmentWith
from cds_service.policy.facts import Word
from cds_service.policy.measured import ResultOf, ValueOf
from cds_service.policy.places import line_at, line_of, nearest
from cds_service.policy.policy import Policy, Question


class KnownSet(Protocol):
    """A value set, as far as a policy can be held against it."""

    @property
    def kind(self) -> str: ...


class KnownTest(Protocol):
    """A test of the lab table, as far as a policy can be held against it."""

    @property
    def kind(self) -> str: ...

    @property
    def unit(self) -> str: ...

    @property
    def cutoff(self) -> object: ...

    def factor(self, unit: str) -> Decimal | None: ...

    def has_loinc(self, code: str) -> bool: ...


def policy_faults(
    path: Path,
    policy: CompiledPolicy,
    value_sets: Mapping[str, KnownSet],
    systems: Iterable[str],
    tests: Mapping[str, KnownTest],
) -> Iterator[str]:
    """Every fault of a policy file: the file, the line, what was found and what is known."""
    source = policy.source
    if path.parent.name != source.drug or path.parent.parent.name != source.policy.lower():
        own = f"{source.policy.lower()}/{source.drug}/"
        yield f"{path}: lies in another folder than its `policy` and `drug` say: expected {own}"
    yield from unknown(path, "value set", policy.sets | _proposing(source), value_sets)
    yield from _of_another_kind(path, policy, value_sets)
    yield from unknown(path, "code system", [source.billing.system], systems)
    yield from unknown(path, "test", policy.tests, tests)
    listed = {linkid for criterion in source.criteria for linkid in criterion.questions}
    asked = {statement.question for statement in policy.statements if isinstance(statement, AnswerTo)}
    named = {shown.question for question in source.questions for shown in question.show_when}
    named |= {question.result_of for question in source.questions if question.result_of}
    yield from unknown(path, "question", listed | asked | named, policy.questions)
    for place, question in enumerate(source.questions):
        at = ("questions", place, "id")
        if question.id not in listed:
            why = f"no criterion has {question.id} under its `questions`, so it would never be asked"
            yield f"{path}{line_at(path, *at)}: {why}"
        if question.id in {other.id for other in source.questions[:place]}:
            yield f"{path}{line_at(path, *at)}: question {question.id} is written twice"
        yield from _shown_when(path, question, policy)
        yield from _result(path, place, question, tests)
        yield from _decided(path, place, question, policy)
    for statement in policy.statements:
        if isinstance(statement, AnswerTo) and statement.question in policy.questions:
            yield from _answer(path, statement, policy.questions[statement.question])
        elif isinstance(statement, ResultOf | ValueOf) and statement.test in tests:
            yield from _kind(path, statement, tests[statement.test])
    yield from _order(path, source)


def unknown(
    path: Path,
    what: str,
    named: Iterable[str],
    known: Iterable[str],
    at: tuple[str | int, ...] = (),
    beside: str = "",
) -> Iterator[str]:
    """Each of `named` that is not among `known`, with the nearest of them.

    Told is its line in what the steps `at` lead to; without them, of the first place where the name stands, in a
    mapping that has `beside` too where there is one.
    """
    names = set(known)
    for name in sorted(set(named) - names):
        where = line_at(path, *at, text=name) if at else line_of(path, name, beside)
        yield f"{path}{where}: unknown {what} {name!r}{nearest(name, names)}"


_PARTS = {"specialty": "specialty", "site": "site", "says": "statement", "denies": "statement"}


def _of_another_kind(path: Path, policy: CompiledPolicy, value_sets: Mapping[str, KnownSet]) -> Iterator[str]:
    """A diagnosis is never found among drugs."""
    wanted = [("product", policy.source.applies_to), *(("coverage", line.of) for line in policy.source.scope.lines)]
    for statement in policy.statements:
        of = "product" if isinstance(statement, TreatmentWith) else "condition"
        wanted += [(kind, getattr(statement, part, ())) for part, kind in {**_PARTS, "of": of}.items()]
    for kind, names in wanted:
        for name in sorted(names):
            if name in value_sets and value_sets[name].kind != kind:
                yield (
                    f"{path}{line_of(path, name)}: {name!r} is a value set of kind {value_sets[name].kind}, "
                    f"where one of kind {kind} is looked for"
                )


def _proposing(source: Policy) -> set[str]:
    return {name for question in source.questions for names in question.shown_by.values() for name in names}


def _order(path: Path, source: Policy) -> Iterator[str]:
    ids = [criterion.id for criterion in source.criteria]
    for place, criterion in enumerate(source.criteria):
        at = ("criteria", place, "id")
        if criterion.id in ids[:place]:
            yield f"{path}{line_at(path, *at)}: criterion {criterion.id} is written twice"
        for statement in statements_of(criterion):
            if isinstance(statement, CriterionIs) and statement.met not in ids[:place]:
                why = "comes later" if statement.met in ids else f"is not there{nearest(statement.met, ids)}"
                yield f"{path}{line_at(path, *at)}: criterion {criterion.id} looks at {statement.met}, which {why}"


def _shown_when(path: Path, question: Question, policy: CompiledPolicy) -> Iterator[str]:
    for shown in question.show_when:
        if (other := policy.questions.get(shown.question)) is not None:
            answers = other.options or ({"yes": "", "no": ""} if shown.above is None else {})
            said = {shown.said or shown.unsaid} - {""}
            yield from unknown(path, f"answer to {other.id}", said, answers, beside=other.id)
    answers = question.options or {"yes": "", "no": ""}
    yield from unknown(path, f"answer to {question.id}", question.shown_by, answers, beside=question.id)


def _result(path: Path, place: int, question: Question, tests: Mapping[str, KnownTest]) -> Iterator[str]:
    """An answer that counts like a result has the test's unit, a code of it, and words that a result can have."""
    answered = [question.test] if question.test else []
    answered += [test for words in question.words.values() for test in words]
    yield from unknown(path, "test", answered, tests, beside=question.id)
    own = tests.get(question.test)
    if question.type == "quantity" and own is not None and own.factor(question.unit) is None:
        asks = f"{question.id} asks in {question.unit!r}, no unit of {question.test}"
        yield f"{path}{line_at(path, 'questions', place, 'id')}: {asks}; its own is {own.unit!r}"
    known = [tests[test] for test in dict.fromkeys(answered) if test in tests]
    if question.loinc and known and not any(test.has_loinc(question.loinc) for test in known):
        code = f"{question.id} has the code {question.loinc}, which is none of {' and '.join(dict.fromkeys(answered))}"
        yield f"{path}{line_of(path, question.loinc, beside=question.id)}: {code}"
    yield from unknown(path, f"answer to {question.id}", question.words, question.options, beside=question.id)
    for words in question.words.values():
        for test, word in words.items():
            if test in tests and tests[test].kind != "stage":
                sayable = [one.value for one in Word]
                yield from unknown(path, f"result word for {test}", [word], sayable, beside=question.id)


def _decided(path: Path, place: int, question: Question, policy: CompiledPolicy) -> Iterator[str]:
    """A typed number has no range of normal beside it."""
    limits = [found for found in policy.statements if isinstance(found, ValueOf) and found.test == question.test]
    if question.test and limits and all(found.times is not None for found in limits):
        why = "which no typed number has; ask with yes and no"
        held = f"{question.test} is held against the laboratory's upper limit of normal, {why}"
        where = line_at(path, "questions", place, "test")
        yield f"{path}{where}: {question.id} asks for a number, and {held}"


def _answer(path: Path, statement: AnswerTo, question: Question) -> Iterator[str]:
    """An answer that the question cannot have would never be found."""
    if statement.is_ is not None:
        wanted = (statement.is_,) if isinstance(statement.is_, str) else statement.is_
        if question.type in ("boolean", "choice"):
            answers = question.options or {"yes", "no"}
            yield from unknown(path, f"answer to {question.id}", wanted, answers, beside=question.id)
            return
        fits = "`is` fits a boolean or a choice"
    elif statement.given == "yes" or question.type in ("integer", "quantity"):
        return
    else:
        fits = "`at_least` and `below` fit an integer or a quantity"
    yield f"{path}{line_of(path, question.id)}: {question.id} is asked as {question.type}: {fits}"


def _kind(path: Path, statement: ResultOf | ValueOf, test: KnownTest) -> Iterator[str]:
    """A limit on a test that is told in words, or a word for a plain number, would never be decided."""
    numeric = test.kind == "stage" or (test.kind == "number" and test.cutoff is None)
    if isinstance(statement, ValueOf) and test.kind == "words":
        fits = "is told in words: `result` with `is` fits it, not `value`"
    elif isinstance(statement, ResultOf) and statement.is_ != "reported" and numeric:
        fits = "is a number: `value` with a limit fits it, or `result` with `is: reported`"
    elif isinstance(statement, ValueOf) and statement.times is not None and test.kind == "stage":
        fits = "is a stage, which has no upper limit of normal: leave out `times`"
    else:
        return
    where = line_of(path, statement.test, under="value" if isinstance(statement, ValueOf) else "result")
    yield f"{path}{where}: {statement.test} {fits}"
