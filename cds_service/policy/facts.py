"""What the record says, without FHIR: the facts that criteria look at.

Each fact carries a `reference` (relative, on the EHR's server, or `QuestionnaireResponse/x#q.item`) and a `display`
that says what it is with its value and date as the source has them, ready for a card. Which source could not be read
is kept in `Facts.unread`: not read is never "nothing there".
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from cds_service.policy.dates import Span
from cds_service.policy.reasons import Reason
from cds_service.policy.truth import Truth

Names = frozenset[str]
NO_NAMES: Names = frozenset()


class Interval(Struct, frozen=True):
    """The values a reported number can stand for, in the test's canonical unit: `<1` is [0, 1), `8-10` is [8, 10].

    `high` None means without upper end. `open` ends are not part of it.
    """

    low: Decimal
    high: Decimal | None
    low_open: bool = False
    high_open: bool = False

    def at_most(self, limit: Decimal) -> Truth:
        """MET when every value is ≤ limit, NOT_MET when none is, UNKNOWN when it straddles."""
        if self.high is not None and self.high <= limit:
            return Truth.MET
        return Truth.NOT_MET if self.low > limit or (self.low == limit and self.low_open) else Truth.UNKNOWN

    def below(self, limit: Decimal) -> Truth:
        """MET when every value is < limit, NOT_MET when none is, UNKNOWN when it straddles."""
        if self.high is not None and (self.high < limit or (self.high == limit and self.high_open)):
            return Truth.MET
        return Truth.NOT_MET if self.low >= limit else Truth.UNKNOWN


def exactly(value: Decimal) -> Interval:
    """The interval of one value."""
    return Interval(value, value)


class Word(StrEnum):
    """A qualitative result."""

    POSITIVE = "positive"  # reported positive, detected, present
    REACTIVE = "reactive"  # reactive on a screen: positive until confirmation says otherwise
    BORDERLINE = "borderline"  # above the laboratory's limit and below the cut-off
    INDETERMINATE = "indeterminate"
    NEGATIVE = "negative"


class Stage(StrEnum):
    """How far a result has come."""

    FINAL = "final"
    PRELIMINARY = "preliminary"
    ORDERED = "ordered"  # registered, or a result without a value yet


class Result(Struct, frozen=True):
    """One laboratory, imaging or vital-sign result, from the record or from an answered form."""

    test: str  # name of a row in labs.yaml
    reference: str
    display: str
    date: Span | None  # specimen or effective date
    stage: Stage = Stage.FINAL
    value: Interval | None = None  # canonical unit of the test
    word: Word | None = None
    problem: Reason | None = None  # unit-unknown, implausible, inconclusive: the value says nothing
    flags: Names = NO_NAMES  # see RESULT_FLAGS
    answer: bool = False  # from a form
    report: bool = True  # a report stands behind it (always so in the record)
    upper_limit_of_normal: Decimal | None = None  # the laboratory's own, canonical unit; None when it states no one
    normal: str = ""  # the range that has that limit, as the source has it


# What the mappings may say of a result beside its value.
RESULT_FLAGS = frozenset(
    {
        "untreated",  # the source calls it a baseline, taken without factor replacement
        "treated",  # the source says factor replacement was on board
        "date-issued",  # no specimen date; the date is the day of issue
        "text-match",  # the test was recognised by its name alone
        "conflict",  # value and interpretation contradict each other
        "clumped",  # platelet clumping reported with the count
        "unreliable",  # the source calls the measurement unreliable
        "detection-limit",  # the number is the assay's limit of detection
        "total-antibody",  # measures total antibody, not neutralisation
        "newborn",
        "vitamin-k",  # taken under a vitamin K antagonist, or without enough vitamin K
        "other-method",  # measured on another scale than the policy's
        "titre",  # a titre without a word: only the laboratory knows its cut-off
    }
)


# What can fail to be read, beside `result/<test>` for each test.
SOURCES = frozenset(
    {"patient", "coverage", "diagnoses", "treatments", "bills", "clinicians", "notes", "answers", "order"}
)


class Certainty(StrEnum):
    """How sure the record is of a diagnosis."""

    CONFIRMED = "confirmed"
    UNCONFIRMED = "unconfirmed"  # unconfirmed, provisional, differential
    REFUTED = "refuted"
    UNREADABLE = "unreadable"  # a status that cannot be read: it may say any of these, or that it is over


class Diagnosis(Struct, frozen=True):
    """One condition of this patient, from a Condition or from the order's own reason."""

    sets: Names  # value sets that it belongs to
    certainty: Certainty
    active: bool  # clinicalStatus active, recurrence, relapse, or not stated
    date: Span | None  # onset, else recorded
    reference: str
    display: str


class How(StrEnum):
    """What kind of record of a treatment this is."""

    GIVEN = "given"  # MedicationAdministration completed or in progress, Procedure completed
    STATED = "stated"  # MedicationStatement
    DISPENSED = "dispensed"
    ORDERED = "ordered"  # MedicationRequest: proves neither infusion nor prophylaxis
    BILLED = "billed"  # ChargeItem, Claim: that it was charged for


class Treatment(Struct, frozen=True):
    """One record of a drug or procedure of this patient; the order being signed is never among them."""

    sets: Names
    how: How
    active: bool  # under way now
    date: Span | None
    reference: str
    display: str
    regular: bool | None = None  # scheduled (True), as needed (False), not stated
    doubtful: bool = False  # placebo, screen failure, trial text: needs a person's judgement
    ended: Span | None = None  # of a period: its last day


class Clinician(Struct, frozen=True):
    """A prescriber or a documented consultant."""

    role: str  # "prescriber" or "consultant"
    sets: Names  # specialty value sets
    sites: Names  # value sets of the organisations he or she is tied to
    reference: str
    display: str


class Note(Struct, frozen=True):
    """A sentence of a document, report or note of this patient that belongs to a statement set."""

    sets: Names
    date: Span | None
    reference: str
    display: str


class Answer(Struct, frozen=True):
    """One answered item of this policy's form, from the newest response that has it."""

    link_id: str
    value: bool | int | str | Interval | Span
    reference: str  # QuestionnaireResponse/x#q.item
    display: str
    authored: Span | None
    shown: str = ""  # the value as the form has it


class Person(Struct, frozen=True):
    """The patient, as far as a policy asks."""

    reference: str
    birth: Span | None
    deceased: bool
    display: str


class Plan(Struct, frozen=True):
    """The coverage, as far as a policy asks."""

    reference: str
    sets: Names  # line-of-business value sets
    display: str
    lines: tuple[str, ...] = ()  # from the plan's own roster: stands above what Coverage.type suggests


class Dose(Struct, frozen=True):
    """One ordered dose: an amount in `unit`, per kilogram or in all."""

    amount: Interval
    unit: str  # "vg", "mL", "mg", "vial", "treatment"
    per_kg: bool
    display: str


class Detail(Struct, frozen=True):
    """One detail of a larger fact, with what it says."""

    reference: str
    display: str


class Order(Struct, frozen=True):
    """The order that is asked about."""

    reference: str
    products: Names  # order value sets that it belongs to
    display: str
    refills: int | None
    doses: tuple[Dose, ...]


class Facts(Struct, frozen=True):
    """Everything that one determination may look at.

    `unread` names the sources that could not be read (in whole or in part): SOURCES, and `result/<test>` for each test.
    """

    day: date  # evaluation date
    order: Order
    person: Person | None
    plan: Plan | None
    results: Mapping[str, tuple[Result, ...]]  # by test, newest first
    diagnoses: tuple[Diagnosis, ...]
    treatments: tuple[Treatment, ...]
    clinicians: tuple[Clinician, ...]
    notes: tuple[Note, ...]
    answers: Mapping[str, Answer]  # by linkId
    unread: Names
