"""What a DTR client fills in by itself from the chart: one CQL library for each form (DTR spec-54, spec-86, spec-91).

Written from the policy file, its value sets and the lab table alone. It reads no more than the policy asks for (DTR
sec-3), and it is more cautious than this service's own reading: only coded entries count, and a newer result that it
cannot read leaves the answer open. So it never fills in another answer than this service would. Left to a person and
to the service's draft: clinicians, notes, earlier forms, fibrosis stages, numbers with a comparator, codes that stand
for a whole branch, and tests without a code.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from cds_service.dtr import cql_results as of
from cds_service.dtr.cql_text import case, code_name, define, function, pattern, retrieved, string, strings
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.library import Library
from cds_service.policy.policy import Question
from cds_service.policy.value_sets import Code, ValueSet
from fhir_mappings.lab_file import LabTest
from fhir_mappings.labs import LabTable

ANSWERS = "answers"  # the name, in the library, of the code system that choices are written in
_COMMON = (
    function(
        '"one of"(given List<String>)',
        "if Count(distinct given) = 1 then First(given A where A is not null and A != 'unclear') else null",
    ),
    function(
        '"is confirmed"(C Condition)',
        "C.verificationStatus is null or exists (C.verificationStatus.coding V where V.code.value = 'confirmed')",
    ),
)


class Read(Struct, frozen=True):
    """What is read of one resource type."""

    kind: str
    codes: tuple[Code, ...]


class Population(Struct, frozen=True):
    """The library of one form: its CQL, which statement answers each item, and what it reads."""

    name: str
    text: str
    statements: Mapping[str, str]  # linkId → statement
    reads: tuple[Read, ...]


def population(policy: CompiledPolicy, library: Library, labs: LabTable, answers: str) -> Population | None:
    """The library; None where nothing of the form can be found by code. `answers`: URI of the choices' code system."""
    written = _Written(policy, library, labs)
    body = list(written.statements())
    if not written.answered:
        return None
    source = policy.source
    name = "".join(part.capitalize() for part in source.questionnaire.split("-")) + "Prefill"
    codes = {(code.system, code.code): code for read in written.reads for code in read.codes}
    systems = sorted({system for system, _ in codes})
    head = [
        f"// {source.policy} {source.name}, version {source.version}: made from the policy file, not to be edited.",
        f"library {name} version '{source.version}'",
        "using FHIR version '4.0.1'",
        "",
        *(f"codesystem \"{system}\": '{labs.systems.uri(system)}'" for system in systems),
        f"codesystem \"{ANSWERS}\": '{answers}'",
        "",
        *(_code(code) for code in codes.values()),
        "",
        "context Patient",
        "",
    ]
    text = "\n".join([*head, *of.COMMON, *_COMMON, *body])
    return Population(name, text, written.answered, tuple(written.reads))


def _code(code: Code) -> str:
    return f"code {code_name(code)}: '{code.code}' from \"{code.system}\" display {string(code.display)}"


def statement_of(link_id: str) -> str:
    """The statement's name: `q.platelets.date` is answered by `PlateletsDate`."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[._]", link_id.removeprefix("q.")))


class _Written:
    """The statements of one policy, and what they read."""

    def __init__(self, policy: CompiledPolicy, library: Library, labs: LabTable) -> None:
        self.policy, self.labs = policy, labs
        self.sets = library.value_sets
        self.answered: dict[str, str] = {}
        self.reads: list[Read] = []

    def statements(self) -> Iterator[str]:
        """Every statement: what is found, then what answers each item."""
        questions = self.policy.source.questions
        diagnoses = [question for question in questions if self._shown_by_diagnoses(question)]
        for name in dict.fromkeys(sets[0] for question in diagnoses for sets in question.shown_by.values()):
            yield self._diagnosis(self.sets[name])
        yield from of.coded_words(self.labs)
        names = dict.fromkeys(name for question in questions for name in (question.test, *_tests_of(question)) if name)
        tests = {name: test for name in names if self._is_found(test := self.labs.test(name))}
        for test in tests.values():
            self.reads.append(Read("Observation", of.codes_of(test)))
            yield from of.results(test, self.policy.tests[test.name], self.labs)
            if test.kind != "number":
                yield from of.word(test)
        for question in questions:
            worded = [tests[name] for name in _tests_of(question) if name in tests]
            if question.test in tests:
                yield from self._number(question, tests[question.test])
            elif worded:
                yield from self._choice(question, worded)
            elif question in diagnoses:
                shown = {answer: f'exists("{sets[0]}")' for answer, sets in question.shown_by.items()}
                yield self._one(question, (f"if {there} then '{answer}' else null" for answer, there in shown.items()))

    def _is_found(self, test: LabTest) -> bool:
        return test.kind != "stage" and test.name in self.policy.tests and bool(of.codes_of(test))

    def _shown_by_diagnoses(self, question: Question) -> bool:
        """True where each answer is shown by one value set of conditions."""
        shown = question.shown_by.values()
        return bool(shown) and all(len(sets) == 1 and self.sets[sets[0]].kind == "condition" for sets in shown)

    def _diagnosis(self, found: ValueSet) -> str:
        codes = tuple(code for code in found.codes if code.status == "verified" and not code.below)
        self.reads.append(Read("Condition", codes))
        wanted = ['"is confirmed"(C)']
        if found.text.exclude:
            wanted.append(f'not "named"(C.code, {pattern(found.text.exclude)})')
        if found.exclude:
            taken = strings(code.code for code in found.exclude)
            wanted.append(f"not exists (C.code.coding X where X.code.value in {taken})")
        condition = "\n      and ".join(wanted)
        return define(found.name, f"{retrieved('Condition', codes)} C\n    where {condition}")

    def _answer(self, link_id: str, expression: str) -> str:
        name = self.answered[link_id] = statement_of(link_id)
        return define(name, expression)

    def _one(self, question: Question, answers: Iterable[str]) -> str:
        """The item's value, where those expressions name one answer and no other."""
        if question.type == "boolean":
            values = [("'yes'", "true"), ("'no'", "false")]
        else:
            values = [
                (f"'{code}'", f"Code '{code}' from \"{ANSWERS}\" display {string(display)}")
                for code, display in question.options.items()
            ]
        listed = ",\n    ".join(answers)
        return self._answer(question.id, case(values, f'"one of"({{\n    {listed} }})'))

    def _choice(self, question: Question, tests: list[LabTest]) -> Iterator[str]:
        answers = []
        for test in tests:
            word = f'"{test.name} word"'
            said = " ".join(
                f"when {word} = '{words[test.name]}' then '{code}'"
                for code, words in question.words.items()
                if test.name in words
            )
            answers.append(f"case when {word} is null then null {said} else 'unclear' end")
        yield self._one(question, answers)
        days = ", ".join(f'First("{test.name} newest" O return "day of"(O))' for test in tests)
        yield from self._beside(question, "date", f"Coalesce({days})")

    def _number(self, question: Question, test: LabTest) -> Iterator[str]:
        found, number, below = f"{question.id} found", of.number_of(test, question.unit), "false"
        if question.untreated == "yes":  # asked as the lowest ever: replacement only raises it
            plain = f"{of.COMPARATOR} is null"
            if f"{question.id}.below" in self.policy.questions:
                plain, below = f"({plain} or {of.COMPARATOR} = '<')", f"Coalesce({of.COMPARATOR} = '<', false)"
            values = f'number: {number}, below: {below}, taken: "day of"(O)'
            yield define(
                found,
                f'First("{test.name}" O\n    where {number} is not null and {plain}\n'
                f"    return all Tuple {{ {values} }}\n    sort by number asc, taken desc)",
            )
        else:
            numbers = f'"{test.name} newest" O return all (if {of.COMPARATOR} is null then {number} else null)'
            taken = f'"day of"(First("{test.name} newest"))'
            yield define(found, f'Tuple {{ number: "agreed"({numbers}), below: {below}, taken: {taken} }}')
        inside = [f'"{found}".number >= {question.min or 0}']
        if question.max is not None:
            inside.append(f'"{found}".number <= {question.max}')
        quantity = f"System.Quantity {{ value: \"{found}\".number, unit: '{question.unit}' }}"
        yield self._answer(question.id, f"if {' and '.join(inside)} then {quantity} else null")
        yield from self._beside(question, "below", f'if "{found}".below then true else null')
        yield from self._beside(question, "date", f'"{found}".taken')

    def _beside(self, question: Question, part: str, expression: str) -> Iterator[str]:
        """The item beside a result, where the form has it and the result is filled in."""
        link_id = f"{question.id}.{part}"
        if link_id in self.policy.questions:
            yield self._answer(link_id, f'if "{statement_of(question.id)}" is not null then ({expression}) else null')


def _tests_of(question: Question) -> tuple[str, ...]:
    return tuple(dict.fromkeys(test for words in question.words.values() for test in words))
