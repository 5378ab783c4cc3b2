"""What one result of a test decides, whenever it is of: a word or a value, with what is known of how it was found."""

from collections.abc import Callable
from decimal import Decimal

from cds_service.policy.facts import Result, Word
from cds_service.policy.reasons import Reason
from cds_service.policy.said import MET, NOT_MET, UNKNOWN
from cds_service.policy.truth import Truth, negation

Decision = Callable[[Result], tuple[Truth, Reason | None]]


def words_decision(wanted: str, reactive_counts: bool) -> Decision:
    """Decides a qualitative result: `positive`, `negative`, or `reported` (either of them)."""

    def decide(result: Result) -> tuple[Truth, Reason | None]:
        word = result.word
        if word is None and wanted == "reported" and (result.value is not None or "titre" in result.flags):
            return MET, None  # a titre without a word is a result too
        if word is None:
            return UNKNOWN, result.problem or Reason.INCONCLUSIVE
        if word is Word.INDETERMINATE:
            return UNKNOWN, Reason.INCONCLUSIVE
        if wanted == "reported":
            return MET, None
        if word is Word.BORDERLINE:
            return UNKNOWN, Reason.REVIEW
        if word is Word.NEGATIVE:
            return (MET if wanted == "negative" else NOT_MET), None
        if word is Word.REACTIVE and not reactive_counts:
            return UNKNOWN, Reason.INCONCLUSIVE
        return (NOT_MET if wanted == "negative" else MET), None

    return decide


def number_decision(compare: str, limit: Decimal, refutes: str, of_normal: bool = False) -> Decision:
    """Decides a measured value; `of_normal`: against `limit` times the result's own upper limit of normal.

    `refutes` "untreated": a value beyond the limit counts against only when taken untreated; else it says nothing
    (UNKNOWN without a reason).
    """
    flipped = compare in ("above", "at_least")
    below = compare in ("below", "at_least")
    low = NOT_MET if flipped else MET

    def decide(result: Result) -> tuple[Truth, Reason | None]:
        value = result.value
        if value is None or result.problem is not None:
            return UNKNOWN, result.problem or Reason.INCONCLUSIVE
        against = limit
        if of_normal:
            if result.upper_limit_of_normal is None:
                return UNKNOWN, Reason.INCONCLUSIVE
            against = limit * result.upper_limit_of_normal
        truth = value.below(against) if below else value.at_most(against)
        if flipped:
            truth = negation(truth)
        if truth is UNKNOWN:
            return UNKNOWN, Reason.INCONCLUSIVE
        if truth is NOT_MET and "detection-limit" in result.flags:
            return UNKNOWN, Reason.INCONCLUSIVE
        if truth is NOT_MET and refutes == "untreated" and "untreated" not in result.flags:
            return UNKNOWN, None  # a level under replacement neither proves nor refutes
        if truth is low and "clumped" in result.flags:
            return UNKNOWN, Reason.REVIEW  # clumping makes a count too low, never too high
        return truth, None

    return decide


_FOR_REVIEW = frozenset({"conflict", "newborn", "other-method", "vitamin-k"})


def decided(result: Result, decide: Decision) -> tuple[Truth, Reason | None]:
    """What it decides, unless something about the result keeps it from counting either way."""
    flags = result.flags
    if flags:
        if not _FOR_REVIEW.isdisjoint(flags):
            return UNKNOWN, Reason.REVIEW
        if "unreliable" in flags:
            return UNKNOWN, Reason.INCONCLUSIVE
    return decide(result)
