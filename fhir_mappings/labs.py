"""The lab table: which test an Observation is, its canonical unit, and what its words mean (labs.yaml).

Adding a test or a unit is adding to labs.yaml. This module knows no thresholds of any policy.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

from msgspec import Struct, structs

from cds_service.policy.documents import read_document, refuse
from cds_service.policy.places import line_of
from cds_service.policy.value_sets import Systems, broken_patterns, unknown_system
from fhir_mappings.codes import (
    NO_CONCEPT,
    ConceptKey,
    SystemNames,
    alternation,
    concept_key,
    loinc_valid,
    written_forms,
)
from fhir_mappings.lab_file import LabCode, LabFile, LabTest

_LONGEST = 300  # characters of a test's name that are searched
LABS_FILE = Path(__file__).with_name("labs.yaml")


class Match(NamedTuple):
    """One test that a code can be, and how sure that is."""

    test: LabTest
    how: Literal["code", "partial", "text"]  # partial: the text does not name it, so its unit must
    panel: bool = False
    presence: bool = False
    codes: tuple[str, ...] = ()


class LabTable:
    """The tests, looked up by name, by a CodeableConcept or by text."""

    def __init__(self, file: LabFile, systems: Systems) -> None:
        self.words = file.words
        self.flags = file.flags
        self.tests: dict[str, LabTest] = {test.name: test for test in file.tests}
        self.limited = self.names  # tests whose laboratory's own limit is read: all, or those that a policy needs it of
        self.systems = SystemNames(systems)
        self._codes: dict[tuple[str, str], list[tuple[LabTest, LabCode]]] = {}
        self._excluded: dict[tuple[str, str], set[str]] = {}
        self._texts: list[tuple[LabTest, re.Pattern[str] | None, re.Pattern[str] | None]] = []
        for test in file.tests:
            for code in test.codes:
                for form in written_forms(code.system, code.code):
                    self._codes.setdefault((code.system, form), []).append((test, code))
            for excluded in test.exclude:
                for form in written_forms(excluded.system, excluded.code):
                    self._excluded.setdefault((excluded.system, form), set()).add(test.name)
            self._texts.append((test, alternation(test.text.match), alternation(test.text.exclude)))
        self._matches: Callable[[ConceptKey], tuple[Match, ...]] = lru_cache(maxsize=8192)(self._read_matches)

    def test(self, name: str) -> LabTest:
        """The test of that name. Raises KeyError."""
        return self.tests[name]

    @property
    def names(self) -> frozenset[str]:
        """The names of every test."""
        return frozenset(self.tests)

    def matches(self, concept: object) -> tuple[Match, ...]:
        """The tests that a CodeableConcept can be: mostly none or one."""
        key = concept_key(concept)
        return self._matches(key) if key != NO_CONCEPT else ()

    def matches_text(self, text: str) -> tuple[Match, ...]:
        """The tests that a text names."""
        return self._matches(((), text))

    def tokens(self, name: str) -> tuple[str, ...]:
        """The codes of that test as search tokens for a FHIR server, `system|code`; empty when it has none."""
        return tuple(self.systems.token(code) for code in self.tests[name].codes)

    def needs_text_search(self, name: str) -> bool:
        """True for a test that laboratories report under codes of their own, so that only its name finds it."""
        return not any(code.system == "loinc" for code in self.tests[name].codes)

    def _read_matches(self, key: ConceptKey) -> tuple[Match, ...]:
        codings, text = key
        found: dict[str, tuple[LabCode, ...]] = {}
        excluded: set[str] = set()
        for system, code, _ in codings:
            for short in self.systems.short(system):
                for form in written_forms(short, code):
                    excluded |= self._excluded.get((short, form), set())
                    for test, listed in self._codes.get((short, form), ()):
                        found[test.name] = (*found.get(test.name, ()), listed)
        texts = [
            " ".join(words[:_LONGEST].split()) for words in {text, *(display for _, _, display in codings)} if words
        ]
        matches = []
        for test, match, exclude in self._texts:
            listed_codes = found.get(test.name, ())
            named = match is not None and any(match.search(words) for words in texts)
            if not (named or listed_codes) or test.name in excluded:
                continue
            if exclude is not None and any(exclude.search(words) for words in texts):
                continue
            if any(code.status == "verified" for code in listed_codes):
                how: Literal["code", "partial", "text"] = "code"
            elif listed_codes:
                how = "code" if named else "partial"
            else:
                how = "text"
            matches.append(
                Match(
                    test,
                    how,
                    any(code.panel for code in listed_codes),
                    any(code.presence for code in listed_codes),
                    tuple(code.code for code in listed_codes),
                )
            )
        if any(match.how == "code" for match in matches):
            return tuple(match for match in matches if match.how == "code")
        if len(matches) > 1 and all(match.how == "text" for match in matches):  # a panel's name: its components tell
            return tuple(match._replace(panel=True) for match in matches)
        return tuple(matches)


class OwnTests(Struct, frozen=True, forbid_unknown_fields=True):
    """`tests.yaml` beside the policies: the tests that they ask for beyond the table's."""

    tests: tuple[LabTest, ...]


def read_labs(systems: Systems, path: Path = LABS_FILE, own: Path | None = None) -> LabTable:
    """The lab table of that file, with the tests of `own` where it is there. Raises PolicyFileError."""
    return LabTable(read_lab_file(systems, path, own), systems)


def read_lab_file(systems: Systems, path: Path = LABS_FILE, own: Path | None = None) -> LabFile:
    """The same as it is written."""
    file = read_document(path, LabFile)
    refuse(_faults(path, file.tests, systems))
    if own is None or not own.exists():
        return file
    added = read_document(own, OwnTests).tests
    refuse(_faults(own, added, systems, frozenset(test.name for test in file.tests)))
    return structs.replace(file, tests=(*file.tests, *added))


def _faults(
    path: Path, tests: tuple[LabTest, ...], systems: Systems, taken: frozenset[str] = frozenset()
) -> Iterator[str]:
    for test in tests:
        for code in (*test.codes, *test.exclude):
            if code.system not in systems.systems:
                yield unknown_system(path, code, systems.systems)
            if code.system == "loinc" and not loinc_valid(code.code):
                where = line_of(path, code.code)
                yield f"{path}{where}: {test.name}: {code.code} has a wrong check digit; look the code up again"
        if test.unit and test.factor(test.unit) != 1:
            own = f"`units` has to have the test's own unit, {test.unit}: 1"
            yield f"{path}{line_of(path, test.unit, test.name)}: {test.name}: {own}"
        yield from broken_patterns(path, test.text)
    names = sorted(test.name for test in tests)
    twice = [name for name, following in pairwise(names) if name == following]
    for name in (*twice, *sorted(taken.intersection(names))):
        yield f"{path}{line_of(path, name)}: the test {name!r} is written twice"
