"""The kinds of statement that a policy file may make of a record: a small closed set, one frozen class each.

composed.py puts them together; measured.py has those on tests, and doses.py the one on the ordered dose. Each
`say(facts, earlier)` answers with a `Said` that follows from nothing but the facts and the findings of the criteria
before this one. Those stand in `earlier`, by paragraph number; beside them, by numbers of its own, what `Again` has
heard in this determination.
"""

from collections.abc import MutableMapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal, Protocol

from msgspec import Meta, Struct, field

from cds_service.policy.dates import Months, Span, months_before
from cds_service.policy.facts import NO_NAMES, Answer, Certainty, Detail, Facts, How, Interval, Names, Treatment
from cds_service.policy.reasons import Reason
from cds_service.policy.said import (
    MET,
    NOT_MET,
    NOT_RECORDED,
    NOT_RETRIEVED,
    UNKNOWN,
    Fact,
    Said,
    unknown,
)
from cds_service.policy.truth import Truth, negation

_BILLED = frozenset({How.BILLED})
_UNDER_WAY = frozenset({How.GIVEN, How.STATED})  # an active record of these says that it is taken now
Earlier = MutableMapping[str | int, Said]
_SETTLED = "Whether the unconfirmed diagnosis is confirmed or ruled out"
YesNo = Literal["yes", "no"]
AgeLimit = Annotated[int, Meta(ge=0, le=1800)]  # in months as in years
SHOWN = 4  # facts of one kind that are shown as evidence, newest first


class Statement(Protocol):
    """Anything that can be asked of a record."""

    def say(self, facts: Facts, earlier: Earlier) -> Said: ...


def _newest_first(found: list[Fact]) -> tuple[Fact, ...]:
    if len(found) > 1:
        found = sorted(found, key=lambda fact: fact.date.last.toordinal() if fact.date is not None else 0, reverse=True)
    return tuple(found[:SHOWN])


def _absent(source: str, facts: Facts) -> Said:
    return NOT_RETRIEVED if source in facts.unread else NOT_RECORDED


class Age(Struct, frozen=True, forbid_unknown_fields=True):
    """The patient's age on the evaluation date: `at_least` so old, `below` so old (before that birthday), or both.

    In years, or in `unit: months`. A partial birth date counts when every day of it does.
    """

    at_least: AgeLimit | None = None
    below: AgeLimit | None = None
    unit: Literal["years", "months"] = "years"

    def __post_init__(self) -> None:
        if self.at_least is None and self.below is None:
            raise ValueError("an age needs at_least, below or both")
        if self.at_least is not None and self.below is not None and self.at_least >= self.below:
            raise ValueError(f"nobody is {self.at_least} or older and under {self.below}, found '{self.below}'")

    def say(self, facts: Facts, earlier: Earlier) -> Said:
        person = facts.person
        if person is not None and person.deceased:
            return Said(UNKNOWN, Reason.REVIEW, (person,), remarks=("The chart says that the patient has died",))
        if person is None or person.birth is None:
            missing = "patient" in facts.unread
            return unknown(Reason.NOT_RETRIEVED if missing else Reason.NOT_RECORDED, (), ("The date of birth",))
        reached = [
            self._reached(self.at_least, person.birth, facts.day) if self.at_least is not None else MET,
            negation(self._reached(self.below, person.birth, facts.day)) if self.below is not None else MET,
        ]
        truth = min(reached)
        if truth is UNKNOWN:
            return unknown(Reason.INCONCLUSIVE, (person,), ("The exact date of birth",))
        return Said(truth, None, (person,))

    def _reached(self, age: int, birth: Span, day: date) -> Truth:
        latest_birth = months_before(day, age * (12 if self.unit == "years" else 1))
        if birth.last <= latest_birth:
            return MET
        return NOT_MET if birth.first > latest_birth else UNKNOWN


class DiagnosisOf(Struct, frozen=True, forbid_unknown_fields=True):
    """A diagnosis of one of the value sets `of`. An unconfirmed one is never enough; nothing found is silence."""

    of: Names
    certainty: Literal["confirmed", "refuted"] = "confirmed"
    active: YesNo | None = None

    def say(self, facts: Facts, earlier: Earlier) -> Said:
        sets = self.of
        found = [diagnosis for diagnosis in facts.diagnoses if not sets.isdisjoint(diagnosis.sets)]
        if found and self.active is not None:
            found = [
                diagnosis
                for diagnosis in found
                if diagnosis.active is (self.active == "yes") or diagnosis.certainty is Certainty.UNREADABLE
            ]
        if not found:
            return _absent("diagnoses", facts)
        counting = [diagnosis for diagnosis in found if diagnosis.certainty == self.certainty]
        if counting:
            return Said(MET, None, _newest_first(counting))
        unreadable = [diagnosis for diagnosis in found if diagnosis.certainty is Certainty.UNREADABLE]
        if unreadable:
            return unknown(Reason.NOT_RETRIEVED, _newest_first(unreadable))
        unsure = [diagnosis for diagnosis in found if diagnosis.certainty is Certainty.UNCONFIRMED]
        if unsure and self.certainty == "confirmed":
            return unknown(Reason.INCONCLUSIVE, _newest_first(unsure), (_SETTLED,))
        return _absent("diagnoses", facts)


class AnswerTo(Struct, frozen=True, forbid_unknown_fields=True):
    """An answer on this policy's form: `is` yes, no or codes; or a number; or `given`, whatever it says."""

    question: str
    is_: tuple[str, ...] | str | None = field(name="is", default=None)
    at_least: int | None = None
    below: int | None = None
    given: YesNo = "no"

    def __post_init__(self) -> None:
        given = [part is not None for part in (self.is_, self.at_least, self.below)]
        if sum(given) + (self.given == "yes") != 1:
            raise ValueError("an answer needs exactly one of is, at_least, below, given")

    def say(self, facts: Facts, earlier: Earlier) -> Said:
        answer = facts.answers.get(self.question)
        if answer is None:
            return _absent("answers", facts)
        truth = self._truth(answer)
        return Said(truth, Reason.INCONCLUSIVE if truth is UNKNOWN else None, (answer,))

    def _truth(self, answer: Answer) -> Truth:
        value = answer.value
        if self.given == "yes":
            return MET
        if self.is_ is not None:
            said = ("yes" if value else "no") if isinstance(value, bool) else value
            wanted = (self.is_,) if isinstance(self.is_, str) else self.is_
            return MET if said in wanted else NOT_MET
        if isinstance(value, bool) or not isinstance(value, int | Interval):
            return UNKNOWN
        interval = value if isinstance(value, Interval) else Interval(Decimal(value), Decimal(value))
        if self.at_least is not None:
            return negation(interval.below(Decimal(self.at_least)))
        return interval.below(Decimal(self.below)) if self.below is not None else UNKNOWN


class TreatmentWith(Struct, frozen=True, forbid_unknown_fields=True):
    """A record of a drug or procedure of one of the value sets `of`.

    `how` names what counts as proof; `days_at_least` counts distinct days on which it was given (a lower bound: what is
    given elsewhere is invisible, so fewer days prove nothing). Doubtful records (placebo, screen failure) count only
    where `doubtful` asks for them. With `within_months` it began, ended or is under way in that time.
    """

    of: Names
    how: frozenset[How]
    regular: YesNo | None = None
    active: YesNo | None = None
    days_at_least: int | None = None
    doubtful: YesNo = "no"
    within_months: Months | None = None

    def say(self, facts: Facts, earlier: Earlier) -> Said:
        sets = self.of
        found = [treatment for treatment in facts.treatments if not sets.isdisjoint(treatment.sets)]
        if found:
            found = [
                treatment
                for treatment in found
                if treatment.how in self.how
                and treatment.doubtful is (self.doubtful == "yes")
                and (self.regular is None or treatment.regular is (self.regular == "yes"))
                and (self.active is None or treatment.active is (self.active == "yes"))
            ]
        if not found:
            return NOT_RETRIEVED if self._missed(facts) else NOT_RECORDED
        if self.within_months is not None:
            first, all_of_them = months_before(facts.day, self.within_months), found
            found = [treatment for treatment in found if _in_time(treatment, first) is MET]
            if not found:
                return self._out_of_time(all_of_them, first, facts)
        if self.days_at_least is None:
            return Said(MET, None, _newest_first(found))
        days = {treatment.date.first for treatment in found if treatment.date is not None and treatment.date.exact}
        remark = f"{len(days)} days with a recorded administration; what was given elsewhere is not in this record"
        if len(days) >= self.days_at_least:
            return Said(MET, None, _newest_first(found), remarks=(remark,))
        reason = Reason.NOT_RETRIEVED if self._missed(facts) else Reason.NOT_RECORDED
        return Said(UNKNOWN, reason, _newest_first(found)[:1], remarks=(remark,))

    def _out_of_time(self, found: list[Treatment], first: date, facts: Facts) -> Said:
        if self._missed(facts):
            return unknown(Reason.NOT_RETRIEVED, _newest_first(found))
        open_ones = [treatment for treatment in found if _in_time(treatment, first) is UNKNOWN]
        return unknown(Reason.INCONCLUSIVE if open_ones else Reason.STALE, _newest_first(open_ones or found))

    def _missed(self, facts: Facts) -> bool:
        """True when a source of what is asked for could not be read. Bills are a source of their own."""
        if "bills" in facts.unread and How.BILLED in self.how:
            return True
        return "treatments" in facts.unread and self.how != _BILLED


def _in_time(treatment: Treatment, first: date) -> Truth:
    """Whether the treatment reaches into the time since `first`; UNKNOWN where its dates do not say so."""
    if treatment.active and treatment.how in _UNDER_WAY:
        return MET
    dates = [span for span in (treatment.date, treatment.ended) if span is not None]
    if any(span.first >= first for span in dates):
        return MET
    return NOT_MET if dates and all(span.last < first for span in dates) else UNKNOWN


class ClinicianOf(Struct, frozen=True, forbid_unknown_fields=True):
    """A prescriber or documented consultant with a specialty, at a site, or both; anyone else proves nothing."""

    specialty: Names = NO_NAMES
    site: Names = NO_NAMES

    def say(self, facts: Facts, earlier: Earlier) -> Said:
        found = [
            clinician
            for clinician in facts.clinicians
            if (not self.specialty or not self.specialty.isdisjoint(clinician.sets))
            and (not self.site or not self.site.isdisjoint(clinician.sites))
        ]
        return Said(MET, None, tuple(found[:SHOWN])) if found else _absent("clinicians", facts)


class NoteThat(Struct, frozen=True, forbid_unknown_fields=True):
    """A sentence in a note or report that `says` it (or `denies` it), by statement sets.

    With `within_months` one that is older, or has no date that says so, is passed over.
    """

    says: Names
    denies: Names = NO_NAMES
    within_months: Months | None = None

    def say(self, facts: Facts, earlier: Earlier) -> Said:
        notes = facts.notes
        if self.within_months is not None:
            first = months_before(facts.day, self.within_months)
            notes = tuple([note for note in notes if note.date is not None and first <= note.date.first])
        for_it = [note for note in notes if not note.sets.isdisjoint(self.says)]
        against = [note for note in notes if not note.sets.isdisjoint(self.denies)]
        if for_it and against:
            return unknown(Reason.REVIEW, _newest_first(for_it + against))
        if for_it or against:
            return Said(MET if for_it else NOT_MET, None, _newest_first(for_it or against))
        return _absent("notes", facts)


class CriterionIs(Struct, frozen=True, forbid_unknown_fields=True):
    """An earlier criterion of this policy is met."""

    met: str

    def say(self, facts: Facts, earlier: Earlier) -> Said:
        said = earlier[self.met]
        return unknown(said.reason or Reason.NOT_RECORDED) if said.truth is UNKNOWN else said


class RefillsAtMost(Struct, frozen=True, forbid_unknown_fields=True):
    """The order asks for no more than so many refills."""

    count: int

    def say(self, facts: Facts, earlier: Earlier) -> Said:
        refills = facts.order.refills
        if refills is None:
            return _absent("order", facts)
        shown = Detail(facts.order.reference, f"{refills} refill{'' if refills == 1 else 's'} on the order")
        return Said(MET if refills <= self.count else NOT_MET, None, (shown,))
