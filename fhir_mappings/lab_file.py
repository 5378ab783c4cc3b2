"""What labs.yaml says: the tests with their codes and units, and the words and flags of results."""

from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Literal

from msgspec import Struct

from cds_service.policy.facts import Word
from cds_service.policy.value_sets import Code, Words


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

    def has_loinc(self, code: str) -> bool:
        """True for a LOINC code by which the test is told."""
        return any(own.system == "loinc" and own.code == code for own in self.codes)

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
