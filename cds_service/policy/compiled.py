"""A policy made ready to be asked: its expressions built into statements once, when it is loaded."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from cds_service.policy.composed import Again, AllOf
from cds_service.policy.criteria import Statement, TreatmentWith
from cds_service.policy.doses import DoseOf
from cds_service.policy.facts import NO_NAMES, How, Names
from cds_service.policy.language import statements_in
from cds_service.policy.measured import ResultOf, ValueOf
from cds_service.policy.policy import Criterion, Note, Policy, Question, Row

Shared = Callable[[Statement], Statement]  # one object for equal plain statements, so that each is asked once


class CompiledRow:
    """A row ready to be asked: it applies where each of `when` holds and `unless` does not."""

    def __init__(self, row: Row, shared: Shared) -> None:
        self.says = row.says
        when = row.when.built(shared)
        self.when: tuple[Statement, ...] = when.parts if isinstance(when, AllOf) else (when,)
        self.unless = row.unless.built(shared) if row.unless is not None else None


class CompiledCriterion:
    """A criterion ready to be asked."""

    def __init__(self, criterion: Criterion, shared: Shared) -> None:
        self.source = criterion
        self.met = criterion.met.built(shared)
        self.applies_when = criterion.applies_when.built(shared) if criterion.applies_when is not None else None
        self.review = tuple(CompiledRow(row, shared) for row in criterion.review)
        self.not_met = tuple(CompiledRow(row, shared) for row in criterion.not_met)
        self.statements = statements_of(criterion)  # every plain one


class CompiledNote:
    """A note ready to be asked."""

    def __init__(self, note: Note, shared: Shared) -> None:
        self.text = note.text
        self.when = note.when.built(shared)


class CompiledPolicy:
    """One policy version, ready to be asked, and what it asks of a record."""

    def __init__(self, policy: Policy, digest: str = "") -> None:
        """`digest`: SHA-256 of the file, in hexadecimal; empty where it was not read from one."""
        known: dict[Statement, Again] = {}

        def shared(plain: Statement) -> Statement:
            return known.setdefault(plain, Again(plain, len(known)))

        self.source = policy
        self.digest = digest
        self.criteria = tuple(CompiledCriterion(criterion, shared) for criterion in policy.criteria)
        self.notes = tuple(CompiledNote(note, shared) for note in policy.notes)

    @cached_property
    def statements(self) -> tuple[Any, ...]:
        """Every plain statement of the file."""
        found = [statement for criterion in self.criteria for statement in criterion.statements]
        return (*found, *(statement for note in self.source.notes for statement in statements_in(note.when)))

    @cached_property
    def tests(self) -> Mapping[str, int | None]:
        """The tests that are asked for, each with how many months back (None: any date)."""
        wanted: dict[str, int | None] = {}
        for statement in self.statements:
            if isinstance(statement, ResultOf | ValueOf):
                months = statement.within_months if statement.pick == "latest" else None
                before = wanted.get(statement.test, months)
                wanted[statement.test] = None if months is None or before is None else max(months, before)
            elif isinstance(statement, DoseOf) and statement.amounts:
                wanted.setdefault(statement.weight_test, statement.weight_within_months)
        return wanted

    @cached_property
    def limited(self) -> Names:
        """The tests whose values are held against the laboratory's own limit."""
        return frozenset(found.test for found in self.statements if isinstance(found, ValueOf) and found.times)

    @cached_property
    def sets(self) -> Names:
        """Every value set that a statement names."""
        names = [getattr(statement, part, NO_NAMES) for statement in self.statements for part in _SET_FIELDS]
        lines = [frozenset(line.of) for line in self.source.scope.lines]
        return NO_NAMES.union(*names, *lines, frozenset(self.source.applies_to))

    @cached_property
    def billed(self) -> Names:
        """Every product set that is looked for among what was billed."""
        asked = [found for found in self.statements if isinstance(found, TreatmentWith) and How.BILLED in found.how]
        return NO_NAMES.union(*(statement.of for statement in asked))

    @cached_property
    def questions(self) -> Mapping[str, Question]:
        """The items of the form by linkId."""
        return {question.id: question for question in self.source.questions}

    @cached_property
    def laboratory_questions(self) -> tuple[Question, ...]:
        """The items whose answers count like results, in the form's order."""
        return tuple(question for question in self.source.questions if question.test or question.words)

    @cached_property
    def of_results(self) -> Names:
        """The linkIds of results and of what stands beside them: date, report."""
        results = {question.id for question in self.laboratory_questions}
        return frozenset(q.id for q in self.source.questions if ".".join(q.id.split(".")[:2]) in results)

    @cached_property
    def together(self) -> Mapping[str, str]:
        """linkId → linkId whose date and report it shares, where its own name does not show it."""
        return {question.id: question.result_of for question in self.source.questions if question.result_of}


_SET_FIELDS = ("of", "specialty", "site", "says", "denies")


def statements_of(criterion: Criterion) -> list[Any]:
    """Every plain statement of the criterion."""
    rows = [*criterion.review, *criterion.not_met]
    found = [criterion.met, criterion.applies_when, *(row.when for row in rows), *(row.unless for row in rows)]
    return [statement for expression in found if expression is not None for statement in statements_in(expression)]
