"""What a policy file says, held against the names and kinds that it uses: what could never be found is refused."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from cds_service.policy.compiled import CompiledPolicy, statements_of
from cds_service.policy.criteria import AnswerTo, CriterionIs, ResultOf, ValueOf
from cds_service.policy.documents import PolicyFileError
from cds_service.policy.facts import Word
from cds_service.policy.places import line_at, line_of, nearest
from cds_service.policy.policy import Policy, Question


class KnownTest(Protocol):
    """A test of the lab table, as far as a policy can be held against it."""

    @property
    def kind(self) -> str: ...

    @property
    def unit(self) -> str: ...

    @property
    def cutoff(self) -> object: ...

    def factor(self, unit: str) -> Decimal | None: ...


def check_policy(
    path: Path,
    policy: CompiledPolicy,
    value_sets: Iterable[str],
    systems: Iterable[str],
    tests: Mapping[str, KnownTest],
) -> None:
    """Raises PolicyFileError with the file, the line, what was found and what is known."""
    source = policy.source
    if path.parent.name != source.drug or path.parent.parent.name != source.policy.lower():
        own = f"{source.policy.lower()}/{source.drug}/"
        raise PolicyFileError(f"{path}: lies in another folder than its `policy` and `drug` say: expected {own}")
    refuse(path, "value set", policy.sets, value_sets)
    refuse(path, "code system", [source.billing.system], systems)
    refuse(path, "test", policy.tests, tests)
    questions = {question.id for question in source.questions}
    asked = {linkid for criterion in source.criteria for linkid in criterion.questions}
    asked |= {statement.question for statement in policy.statements if isinstance(statement, AnswerTo)}
    asked |= {shown.question for question in source.questions for shown in question.show_when}
    refuse(path, "question", asked, questions)
    refuse(path, "value set", _proposing(source), value_sets)
    listed = {linkid for criterion in source.criteria for linkid in criterion.questions}
    for place, question in enumerate(source.questions):
        if question.id not in listed:
            where = line_at(path, "questions", place, "id")
            raise PolicyFileError(
                f"{path}{where}: no criterion has {question.id} under its `questions`, so it would never be asked"
            )
        if question.id in {other.id for other in source.questions[:place]}:
            raise PolicyFileError(
                f"{path}{line_at(path, 'questions', place, 'id')}: question {question.id} is written twice"
            )
        _check_shown_when(path, question, source)
        _check_result(path, question, tests)
        _check_decided(path, question, policy)
    for statement in policy.statements:
        if isinstance(statement, AnswerTo):
            _check_answer(path, statement, policy.questions[statement.question])
        elif isinstance(statement, ResultOf | ValueOf):
            _check_kind(path, statement, tests[statement.test])
    _check_order(path, source)


def refuse(path: Path, what: str, named: Iterable[str], known: Iterable[str], at: tuple[str | int, ...] = ()) -> None:
    """Refuses the first of `named` that is not among `known`, with the nearest of them.

    Told is the line of what the steps `at` lead to; without them, of the first place where the name stands.
    """
    names = set(known)
    unknown = sorted(set(named) - names)
    if unknown:
        where = line_at(path, *at) if at else line_of(path, unknown[0])
        raise PolicyFileError(f"{path}{where}: unknown {what} {unknown[0]!r}{nearest(unknown[0], names)}")


def _proposing(source: Policy) -> set[str]:
    return {name for question in source.questions for names in question.shown_by.values() for name in names}


def _check_order(path: Path, source: Policy) -> None:
    ids = [criterion.id for criterion in source.criteria]
    for place, criterion in enumerate(source.criteria):
        at = ("criteria", place, "id")
        if criterion.id in ids[:place]:
            raise PolicyFileError(f"{path}{line_at(path, *at)}: criterion {criterion.id} is written twice")
        for statement in statements_of(criterion):
            if isinstance(statement, CriterionIs) and statement.met not in ids[:place]:
                why = "comes later" if statement.met in ids else f"is not there{nearest(statement.met, ids)}"
                where = f"{path}{line_at(path, *at)}"
                raise PolicyFileError(f"{where}: criterion {criterion.id} looks at {statement.met}, which {why}")


def _check_shown_when(path: Path, question: Question, source: Policy) -> None:
    by_id = {other.id: other for other in source.questions}
    for shown in question.show_when:
        answers = by_id[shown.question].options or ({"yes": "", "no": ""} if shown.above is None else {})
        refuse(path, f"answer to {shown.question}", {shown.said or shown.unsaid} - {""}, answers)
    refuse(path, f"answer to {question.id}", question.shown_by, question.options or {"yes", "no"})


def _check_result(path: Path, question: Question, tests: Mapping[str, KnownTest]) -> None:
    """An answer that counts like a result is in the test's unit, and in words that a result can have."""
    answered = [question.test] if question.test else []
    answered += [test for words in question.words.values() for test in words]
    refuse(path, "test", answered, tests)
    if question.type == "quantity" and question.test and tests[question.test].factor(question.unit) is None:
        where, own = line_of(path, question.id), tests[question.test].unit
        raise PolicyFileError(
            f"{path}{where}: {question.id} asks in {question.unit!r}, no unit of {question.test}; its own is {own!r}"
        )
    refuse(path, f"answer to {question.id}", question.words, question.options)
    for words in question.words.values():
        for test, word in words.items():
            if tests[test].kind != "stage":
                refuse(path, f"result word for {test}", [word], [known.value for known in Word])


def _check_decided(path: Path, question: Question, policy: CompiledPolicy) -> None:
    """A typed number has no range of normal beside it."""
    limits = [found for found in policy.statements if isinstance(found, ValueOf) and found.test == question.test]
    if question.test and limits and all(found.times is not None for found in limits):
        raise PolicyFileError(
            f"{path}{line_of(path, question.id)}: {question.id} asks for a number, and {question.test} is held against "
            "the laboratory's upper limit of normal, which no typed number has; ask with yes and no"
        )


def _check_answer(path: Path, statement: AnswerTo, question: Question) -> None:
    """An answer that the question cannot have would never be found."""
    if statement.is_ is not None:
        wanted = (statement.is_,) if isinstance(statement.is_, str) else statement.is_
        if question.type in ("boolean", "choice"):
            refuse(path, f"answer to {question.id}", wanted, question.options or {"yes", "no"})
            return
        fits = "`is` fits a boolean or a choice"
    elif statement.given == "yes" or question.type in ("integer", "quantity"):
        return
    else:
        fits = "`at_least` and `below` fit an integer or a quantity"
    where = line_of(path, question.id)
    raise PolicyFileError(f"{path}{where}: {question.id} is asked as {question.type}: {fits}")


def _check_kind(path: Path, statement: ResultOf | ValueOf, test: KnownTest) -> None:
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
    raise PolicyFileError(f"{path}{line_of(path, statement.test)}: {statement.test} {fits}")
