"""The lab table: which test an Observation is, its canonical unit, and what its words mean (labs.yaml).

Adding a test or a unit is adding to labs.yaml. This module knows no thresholds of any policy.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

from msgspec import Struct, structs

from cds_service.policy.documents import read_document, refuse
from cds_service.policy.facts import Word
from cds_service.policy.places import line_of
from cds_service.policy.value_sets import Code, Systems, Words, broken_patterns, unknown_system
from fhir_mappings.codes import (
    NO_CONCEPT,
    ConceptKey,
    SystemNames,
    alternation,
    concept_key,
    loinc_valid,
    written_forms,
)

_LONGEST = 300  # characters of a test's name that are searched
LABS_FILE = Path(__file__).with_name("labs.yaml")


class LabCode(Code, frozen=True, forbid_unknown_fields=True):
    """One code of a test."""

    panel: bool = False  # an order or a panel: its components are read, the code itself is no result

    @property
    def presence(self) -> bool:
        """True when the code asks "is it there", so that a bare yes or no answers it."""
        return "[Presence]" in self.display


class Bounds(Struct, frozen=True, forbid_unknown_fields=True):
    """Both ends inclusive, in the test's canonical unit."""

    low: Decimal
    high: Decimal

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"`low` is at most `high`, {self.high}; found '{self.low}'")


class Unitless(Struct, frozen=True, forbid_unknown_fields=True):
    """A number without a unit is read after all when the report's own reference range shows the scale."""

    units: tuple[str, ...]  # "" for none at all
    factor: Decimal
    low: Bounds  # where the reference range's ends must lie, as the report has them
    high: Bounds
    codes: tuple[str, ...] = ()  # only for these codes; empty for any


class Cutoff(Struct, frozen=True, forbid_unknown_fields=True):
    """How a number becomes a word, in the test's canonical unit."""

    positive: Decimal  # from here on positive
    beyond: bool = False  # only above it: any amount that was found is positive
    negative: Decimal | None = None  # below it negative when the report states no limit of its own


class Order(Struct, frozen=True, forbid_unknown_fields=True):
    """What to order when the result is missing; without a code where none is known."""

    text: str
    code: str = ""
    display: str = ""
    system: str = "loinc"


class LabTest(Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """One test, a row of labs.yaml."""

    name: str
    title: str  # what a card says
    kind: Literal["number", "words", "both", "stage"]
    codes: tuple[LabCode, ...] = ()
    exclude: tuple[Code, ...] = ()
    text: Words = Words()
    unit: str = ""  # canonical; "" for a score
    units: Mapping[str, Decimal] = {}  # spelling → factor to the canonical unit, exact
    exact_units: Mapping[str, Decimal] = {}  # spellings in which capital letters matter (G/L is giga, g/L is gram)
    never: tuple[str, ...] = ()  # units of another quantity, never converted
    only_sign: tuple[str, ...] = ()  # units of which only "some was found" can be used
    plausible: Bounds | None = None
    normal_high: Bounds | None = None  # where a report's upper reference limit lies; elsewhere the unit is not believed
    unitless: tuple[Unitless, ...] = ()
    cutoff: Cutoff | None = None
    infancy_months: int = 0  # up to this age the result is not the patient's own level
    titre: bool = False  # `1:50` is the number 50
    in_reports: bool = False  # laboratories write the result into a report's conclusion, without an Observation
    reactive: bool = False  # a screen: "reactive" awaits confirmation
    any_positive: bool = False  # names several viruses or bands: one positive among negatives is positive
    order: Order | None = None
    note: str = ""

    def factor(self, unit: str) -> Decimal | None:
        """The factor from that unit to the canonical one; None for a unit that is not listed."""
        found = self.exact_units.get(unit)
        return found if found is not None else self._folded.get(fold_unit(unit))

    def sign_only(self, unit: str) -> bool:
        """True for a unit that cannot be converted, but in which more than nothing is more than nothing."""
        return fold_unit(unit) in self._sign_only

    def of_another(self, unit: str) -> bool:
        """True for a unit of another quantity."""
        return fold_unit(unit) in self._never

    @cached_property
    def _folded(self) -> dict[str, Decimal]:
        return {fold_unit(unit): factor for unit, factor in self.units.items()}

    @cached_property
    def _sign_only(self) -> frozenset[str]:
        return frozenset(fold_unit(unit) for unit in self.only_sign)

    @cached_property
    def _never(self) -> frozenset[str]:
        return frozenset(fold_unit(unit) for unit in self.never)


_SAME_LETTER = str.maketrans(
    {"µ": "u", "μ": "u", "×": "x", "⁹": "9", "³": "3", "⁶": "6", "¹": "1", "²": "2", "\xa0": " "}
)


@lru_cache(maxsize=2048)
def fold_unit(unit: str) -> str:
    """The unit without what differs between spellings of the same: capitals, spaces, look-alike letters."""
    return unit.translate(_SAME_LETTER).casefold().replace(" ", "")


class WordRule(Struct, frozen=True, forbid_unknown_fields=True):
    """Codes and words that say one qualitative result."""

    word: Word
    codes: tuple[Code, ...] = ()
    text: tuple[str, ...] = ()


class WordTable(Struct, frozen=True, forbid_unknown_fields=True):
    """How reports say a qualitative result."""

    no_result: tuple[str, ...]  # "not done", "pending": there is no result yet
    doubtful: tuple[str, ...]  # "false positive", "presumptive": beats the positive and negative words
    rules: tuple[WordRule, ...]  # negations first: "not detected" contains "detected"
    fallback: tuple[str, ...]  # indeterminate when no word above was found
    stage_codes: Mapping[str, str] = {}  # SNOMED code → fibrosis stage
    stage_text: Mapping[str, str] = {}  # whole text → fibrosis stage


class FlagRule(Struct, frozen=True, forbid_unknown_fields=True):
    """Words in a note, method or value that put a flag on the result."""

    flag: str
    match: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()  # empty for every test
    says: str = ""  # what a card says of it behind the result


class LabFile(Struct, frozen=True, forbid_unknown_fields=True):
    """labs.yaml as written."""

    words: WordTable
    flags: tuple[FlagRule, ...]
    tests: tuple[LabTest, ...]


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
