"""Statements that are made of others: `all`, `any`, `told_by`, `count`, `not`, `if … then … else`."""

from msgspec import Struct

from cds_service.policy.criteria import ClinicianOf, DiagnosisOf, Earlier, NoteThat, Statement, TreatmentWith
from cds_service.policy.facts import Facts
from cds_service.policy.reasons import Reason
from cds_service.policy.said import MET, NOT_MET, SILENT, UNKNOWN, Said, every, once, some, told_by
from cds_service.policy.truth import negation


class Again(Struct, frozen=True):
    """A plain statement that a policy makes in several places: it is asked once in a determination."""

    part: Statement
    number: int  # under which `earlier` keeps what it said

    def say(self, facts: Facts, earlier: Earlier) -> Said:
        said = earlier.get(self.number)
        if said is None:
            said = earlier[self.number] = self.part.say(facts, earlier)
        return said


class AllOf(Struct, frozen=True):
    """Every part holds."""

    parts: tuple[Statement, ...]

    def say(self, facts: Facts, earlier: Earlier) -> Said:
        return every([part.say(facts, earlier) for part in self.parts])


class AnyOf(Struct, frozen=True):
    """At least one part holds."""

    parts: tuple[Statement, ...]

    def say(self, facts: Facts, earlier: Earlier) -> Said:
        heard = []
        for part in self.parts:
            said = part.say(facts, earlier)
            if said.truth is MET:
                return said
            heard.append(said)
        return some(heard)


class CountOf(Struct, frozen=True):
    """At least so many of the parts hold: two drugs of a list."""

    parts: tuple[Statement, ...]
    at_least: int

    def say(self, facts: Facts, earlier: Earlier) -> Said:
        heard = [part.say(facts, earlier) for part in self.parts]
        shown = [said for said in heard if said.truth is MET]
        if len(shown) >= self.at_least:
            return every(shown)
        open_ones = [said for said in heard if said.truth is UNKNOWN]
        if len(shown) + len(open_ones) < self.at_least:
            return every([said for said in heard if said.truth is NOT_MET])
        said = some(open_ones)
        return Said(
            UNKNOWN,
            said.reason,
            once([*(one.facts for one in shown), said.facts]),
            said.needed,
            said.tests,
            once([*(one.remarks for one in shown), said.remarks]),
        )


class ToldBy(Struct, frozen=True):
    """Several sources of one fact: one is enough, and two that disagree are for review."""

    parts: tuple[Statement, ...]

    def say(self, facts: Facts, earlier: Earlier) -> Said:
        heard, missed = [], []
        for part in self.parts:
            said = part.say(facts, earlier)
            heard.append(said)
            if said.reason is Reason.NOT_RETRIEVED and _may_deny(part):
                missed.append(said)
        return told_by(heard, missed)


def _may_deny(part: Statement) -> bool:
    """True when it can say a plain no: a chart without a diagnosis, drug or clinician is only silent."""
    if isinstance(part, Again):
        return _may_deny(part.part)
    if isinstance(part, NoteThat):
        return bool(part.denies)
    return not isinstance(part, DiagnosisOf | TreatmentWith | ClinicianOf)


class Not(Struct, frozen=True):
    """The part does not hold; unknown stays unknown."""

    part: Statement

    def say(self, facts: Facts, earlier: Earlier) -> Said:
        said = self.part.say(facts, earlier)
        return Said(negation(said.truth), said.reason, said.facts, said.needed, said.tests, said.remarks)


class IfThen(Struct, frozen=True):
    """Where the condition is shown, `then` decides; where it is not, `otherwise` does (nothing asked without one).

    A condition that is open for more than silence leaves it open for the same reason, unless both ways agree.
    """

    condition: Statement
    then: Statement
    otherwise: Statement | None

    def say(self, facts: Facts, earlier: Earlier) -> Said:
        condition = self.condition.say(facts, earlier)
        if condition.truth is MET:
            return _with_facts_first(self.then.say(facts, earlier), condition)
        if condition.truth is NOT_MET or condition.reason in SILENT:
            return self._otherwise(facts, earlier)
        branches = [self.then.say(facts, earlier), self._otherwise(facts, earlier)]
        if branches[0].truth is branches[1].truth and branches[0].truth is not UNKNOWN:
            return branches[0]
        if NOT_MET in (branch.truth for branch in branches):
            return condition
        said = every([condition, *branches])
        return Said(UNKNOWN, condition.reason, said.facts, said.needed, said.tests, said.remarks)

    def _otherwise(self, facts: Facts, earlier: Earlier) -> Said:
        return self.otherwise.say(facts, earlier) if self.otherwise is not None else Said(MET)


def _with_facts_first(said: Said, condition: Said) -> Said:
    if not condition.facts:
        return said
    shown = once([condition.facts, said.facts])
    return Said(said.truth, said.reason, shown, said.needed, said.tests, (*condition.remarks, *said.remarks))
