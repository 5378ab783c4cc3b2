"""The statements on a test: what its results say in words, and a measured value against a limit."""

from decimal import Decimal
from functools import cached_property
from typing import Literal

from msgspec import Struct, field

from cds_service.policy.criteria import Earlier, YesNo
from cds_service.policy.dates import Months
from cds_service.policy.decisions import number_decision, words_decision
from cds_service.policy.facts import Facts
from cds_service.policy.reasons import Reason
from cds_service.policy.results import Picked, Weighing, weighing
from cds_service.policy.said import NOT_RECORDED, Said
from cds_service.policy.upper_limit import UpperLimit, with_range


class ResultOf(Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """A qualitative result of a test: `positive`, `negative` or `reported` (either)."""

    test: str
    is_: Literal["positive", "negative", "reported"] = field(name="is")
    within_months: Months | None = None
    pick: Picked = "latest"
    reactive_counts: YesNo = "no"  # a reactive screen counts as positive without confirmation
    warn_after_months: Months | None = None

    def say(self, facts: Facts, earlier: Earlier) -> Said:
        return self._weighing.say(facts)

    @cached_property
    def _weighing(self) -> Weighing:
        decide = words_decision(self.is_, self.reactive_counts == "yes")
        return weighing(self.test, self.within_months, self.pick, decide, self.warn_after_months)


class ValueOf(Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """A measured value of a test against a limit in the test's canonical unit; exactly one comparison is given.

    With `times` the limit is that many times what the laboratory states beside the value; without one it is open.
    """

    test: str
    at_most: Decimal | None = None
    below: Decimal | None = None
    at_least: Decimal | None = None
    above: Decimal | None = None
    times: UpperLimit | None = None
    within_months: Months | None = None
    pick: Picked = "latest"
    refutes: Literal["always", "untreated"] = "always"
    warn_after_months: Months | None = None
    if_unread: Literal["open", "silent"] = "open"  # silent: a score that counts when it is seen, and is never sought

    def __post_init__(self) -> None:
        if len(self._comparisons) != 1:
            raise ValueError("a value needs exactly one of at_most, below, at_least, above")
        for limit in self._comparisons.values():
            if not limit.is_finite():
                raise ValueError(f"a limit is a number, got {limit}")
            if self.times is not None and limit <= 0:
                raise ValueError(f"so many times the upper limit of normal is more than 0, found '{limit}'")

    @property
    def _comparisons(self) -> dict[str, Decimal]:
        given = {"at_most": self.at_most, "below": self.below, "at_least": self.at_least, "above": self.above}
        return {name: limit for name, limit in given.items() if limit is not None}

    def say(self, facts: Facts, earlier: Earlier) -> Said:
        said = self._weighing.say(facts)
        if self.if_unread == "silent" and said.reason is Reason.NOT_RETRIEVED:
            return NOT_RECORDED
        return with_range(said) if self.times is not None else said

    @cached_property
    def _weighing(self) -> Weighing:
        ((compare, limit),) = self._comparisons.items()
        decide = number_decision(compare, limit, self.refutes, self.times is not None)
        return weighing(self.test, self.within_months, self.pick, decide, self.warn_after_months)
