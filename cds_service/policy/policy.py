"""One version of one drug's policy, as its file writes it.

The file is the one source: which orders it governs, what is read from the record, the criteria in the policy's own
numbering, the words on the cards, the questions of the form.
"""

from collections.abc import Mapping
from datetime import date
from typing import Literal

from msgspec import Struct, field

from cds_service.policy.dates import Months
from cds_service.policy.language import Expression

Kind = Literal["inclusion", "exclusion", "information"]
YesNo = Literal["yes", "no"]


class Row(Struct, frozen=True, forbid_unknown_fields=True):
    """One finding that decides a criterion by itself: `when` is shown, and `unless` is not."""

    when: Expression
    says: str  # the sentence for a prescriber
    unless: Expression | None = None


class Criterion(Struct, frozen=True, forbid_unknown_fields=True):
    """One numbered paragraph of the policy.

    Read in this order: `applies_when` (shown not to hold: not applicable), `review` rows (the record contradicts itself
    or needs the plan's judgement: unknown), `not_met` rows, then `met`. A row that cannot be told because something was
    not read, or is there but inconclusive, keeps the criterion from being met.
    """

    id: str  # the policy's own paragraph number
    label: str
    paragraph: str  # quoted from the policy
    kind: Kind
    met: Expression
    sense: str  # how the paragraph is read, in one or two sentences
    blocking: YesNo | Literal["when-not-met"] = "yes"
    applies_when: Expression | None = None
    not_met: tuple[Row, ...] = ()
    review: tuple[Row, ...] = ()
    questions: tuple[str, ...] = ()  # linkIds that ask for it
    attach: str = ""  # the notes that back an answer


class Line(Struct, frozen=True, forbid_unknown_fields=True):
    """One line of business: the value sets that show it together, and whether the policy applies to it."""

    name: str
    of: tuple[str, ...]  # all of these value sets
    applies: YesNo
    roster: tuple[str, ...] = ()  # values of `line_of_business` in the plan's roster
    note: str = ""  # said on the card for this line


class Note(Struct, frozen=True, forbid_unknown_fields=True):
    """A sentence that goes on the card when something is shown."""

    when: Expression
    text: str


class ShownWhen(Struct, frozen=True, forbid_unknown_fields=True):
    """What another item must say for an item to be shown: exactly one of `is`, `not` and `above`."""

    question: str
    said: str = field(name="is", default="")  # yes or no, or the code of a choice
    unsaid: str = field(name="not", default="")  # another answer than this one, or none yet
    above: int | None = None

    def __post_init__(self) -> None:
        if (self.said != "") + (self.unsaid != "") + (self.above is not None) != 1:
            raise ValueError(f"show_when {self.question}: expected one of `is`, `not` and `above`")


class Question(Struct, frozen=True, forbid_unknown_fields=True):
    """One item of the form.

    An item with `test` (quantity) or `words` (choice) counts like a result of that test, with the date and the report
    of the items `<result_of>.date` and `<result_of>.report`; the others count as stated by the prescriber.
    """

    id: str  # linkId
    type: Literal["boolean", "string", "text", "integer", "quantity", "choice", "date", "attachment"]
    text: str
    options: Mapping[str, str] = {}  # code → what it says, for a choice
    unit: str = ""  # canonical unit, for a quantity
    test: str = ""
    words: Mapping[str, Mapping[str, str]] = {}  # answer code → test → word
    untreated: YesNo = "no"  # asked as a level without replacement
    result_of: str = ""  # the linkId whose date and report it shares, when not its own
    help: str = ""
    min: int | None = None  # of an integer, or of a quantity in `unit`
    max: int | None = None
    loinc: str = ""  # the item's own code, where one is verified in the lab table
    show_when: tuple[ShownWhen, ...] = ()  # any of them; a date or report is shown with its result without saying so
    # answer → value sets; one diagnosis, clinician or note that belongs to all of them fills it in
    shown_by: Mapping[str, tuple[str, ...]] = {}

    def __post_init__(self) -> None:
        if (self.type == "choice") != bool(self.options):
            raise ValueError(f"a choice has `options`, and nothing else has: {self.id} is of type '{self.type}'")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"`min` is at most `max`, {self.max}; found '{self.min}'")


class Scope(Struct, frozen=True, forbid_unknown_fields=True):
    """Which plans the policy applies to, most telling line first."""

    lines: tuple[Line, ...]
    unconfirmed: str  # said when the line of business cannot be told


class Authorization(Struct, frozen=True, forbid_unknown_fields=True):
    """What an approval covers."""

    months: Months
    quantity: int
    unit: str


class Billing(Struct, frozen=True, forbid_unknown_fields=True):
    """The code that the drug is billed under."""

    system: str
    code: str
    display: str


class Policy(Struct, frozen=True, forbid_unknown_fields=True):
    """A policy file."""

    policy: str  # PHARMACY-109
    title: str
    drug: str  # hemgenix
    name: str  # Hemgenix
    generic: str
    summary: str
    applies_to: tuple[str, ...]  # order value sets
    billing: Billing
    authorization: Authorization
    scope: Scope
    criteria: tuple[Criterion, ...]
    questions: tuple[Question, ...]
    notes: tuple[Note, ...] = ()
    guidelines: tuple[str, ...] = ()  # policy guidelines that hold for every order, quoted on the policy page
    version: date = date.min  # the file's name: in force from that day

    @property
    def questionnaire(self) -> str:
        """The name of the form: `pharmacy-109-hemgenix`."""
        return f"{self.policy.lower()}-{self.drug}"
