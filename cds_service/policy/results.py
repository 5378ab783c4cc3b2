"""What the results of a test say: the most recent that counts, or any there ever was.

The rules are those of the policy's reading: a final result decides; a preliminary one, an answer without its report, an
unlisted unit or a result outside the window does not, and each of them has its own word.
"""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from cds_service.policy.dates import months_before
from cds_service.policy.facts import Facts, Result, Stage, Word
from cds_service.policy.reasons import Reason
from cds_service.policy.said import MET, NOT_MET, UNKNOWN, Said, unknown
from cds_service.policy.truth import Truth, negation

Decision = Callable[[Result], tuple[Truth, Reason | None]]

SHOWN = 3  # results of one test that are shown as evidence, the deciding one first


class Window(Struct, frozen=True):
    """How far back a result may lie: `months` calendar months, both ends inclusive; None for any date."""

    months: int | None

    def first(self, day: date) -> date:
        """The first day inside."""
        return months_before(day, self.months) if self.months is not None else date.min


Picked = Literal["latest", "ever"]


def words_decision(wanted: str, reactive_counts: bool) -> Decision:
    """Decides a qualitative result: `positive`, `negative`, or `reported` (either of them)."""

    def decide(result: Result) -> tuple[Truth, Reason | None]:
        word = result.word
        if word is None and wanted == "reported" and result.value is not None:
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


def number_decision(compare: str, limit: Decimal, refutes: str) -> Decision:
    """Decides a measured value.

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
        truth = value.below(limit) if below else value.at_most(limit)
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


def _decided(result: Result, decide: Decision) -> tuple[Truth, Reason | None]:
    flags = result.flags
    if flags:
        if "conflict" in flags or "newborn" in flags:
            return UNKNOWN, Reason.REVIEW
        if "unreliable" in flags:
            return UNKNOWN, Reason.INCONCLUSIVE
    return decide(result)


def _day_of(result: Result) -> date:
    return result.date.last if result.date is not None else date.min


def _future_remarks(future: list[Result]) -> tuple[str, ...]:
    return tuple(f"{result.display} is dated after today and was not used" for result in future)


def weigh(facts: Facts, test: str, window: Window, picked: Picked, decide: Decision) -> Said:
    """What the results of `test` say: MET or NOT_MET by `decide`, else UNKNOWN with its reason."""
    results = facts.results.get(test)
    missed = f"result/{test}" in facts.unread
    if not results:
        return _NOT_RETRIEVED if missed else _NOT_RECORDED
    day, first = facts.day, window.first(facts.day)
    future = [result for result in results if result.date is not None and result.date.first > day]
    past = [result for result in results if result not in future] if future else list(results)
    inside: list[Result] = []
    outside: list[Result] = []
    for result in past:
        dated = result.date
        within = dated is not None and dated.first >= first and dated.last <= day
        (inside if within or window.months is None else outside).append(result)
    if picked == "latest":
        perhaps = [result for result in outside if result.date is not None and result.date.last >= first]
        said = _latest(inside, perhaps, decide)
    else:
        said = _ever(inside, decide)
    if said is None:
        said = unknown(Reason.STALE, tuple(outside[:SHOWN])) if outside else _NOT_RECORDED
        if outside and all(result.stage is Stage.ORDERED for result in outside):
            said = unknown(Reason.NOT_RECORDED, tuple(outside[:SHOWN]))
    if missed and not _stands(said, picked):
        said = unknown(Reason.NOT_RETRIEVED, said.facts)
    if future:
        said = Said(said.truth, said.reason, said.facts, said.needed, said.tests, _future_remarks(future))
    return said


def _stands(said: Said, picked: Picked) -> bool:
    """True when what was read counts although more may be there that was not.

    One that is found is enough for "ever", and none found is not. Of those that were read the newest decides: results
    are asked for newest first, and what a caller sends of them is its word on the newest.
    """
    if picked == "ever":
        return said.truth is MET
    return said.truth is not UNKNOWN or said.reason is Reason.REVIEW


_INCONCLUSIVE = {MET: None, NOT_MET: None, UNKNOWN: Reason.INCONCLUSIVE}
_NOT_RECORDED = unknown(Reason.NOT_RECORDED)
_NOT_RETRIEVED = unknown(Reason.NOT_RETRIEVED)


def _latest(inside: list[Result], perhaps: list[Result], decide: Decision) -> Said | None:
    """The newest final result decides; None when nothing inside the window says anything.

    `perhaps` are results whose partial date may lie inside the window: they prove nothing, but speak against.
    """
    record = [result for result in inside if result.stage is Stage.FINAL and not result.answer]
    answers = [result for result in inside if result.answer]
    early = [result for result in inside if result.stage is Stage.PRELIMINARY]
    if record:
        newest_day = _day_of(record[0])
        same_day = [result for result in record if _day_of(result) == newest_day]
        verdicts = [(result, *_decided(result, decide)) for result in same_day]
        truths = {truth for _, truth, _ in verdicts}
        shown = tuple(record[:SHOWN]) if len(same_day) <= SHOWN else tuple(same_day)
        if MET in truths and NOT_MET in truths:
            return unknown(Reason.REVIEW, tuple(same_day))
        result, truth, reason = next((v for v in verdicts if v[1] is UNKNOWN), verdicts[0])
        against = [
            other
            for other in (*early, *perhaps)
            if _day_of(other) >= newest_day and truth is not UNKNOWN and _decided(other, decide)[0] is negation(truth)
        ] + [other for other in answers if truth is not UNKNOWN and _decided(other, decide)[0] is negation(truth)]
        if against:
            return unknown(Reason.REVIEW, (result, *against))
        return Said(truth, reason or _INCONCLUSIVE[truth], shown)
    if answers:
        newest = answers[0]
        truth, reason = _decided(newest, decide)
        against = [other for other in (*early, *perhaps) if _decided(other, decide)[0] is negation(truth)]
        if truth is not UNKNOWN and against:
            return unknown(Reason.REVIEW, (newest, *against))
        if not newest.report:
            return unknown(Reason.ATTESTED_ONLY, (newest,))
        return Said(truth, reason or _INCONCLUSIVE[truth], (newest,))
    if early:
        return unknown(Reason.PRELIMINARY, tuple(early[:SHOWN]))
    ordered = tuple(result for result in inside if result.stage is Stage.ORDERED)
    return unknown(Reason.NOT_RECORDED, ordered[:SHOWN]) if ordered else None


def _ever(inside: list[Result], decide: Decision) -> Said | None:
    """MET when any final result is; NOT_MET when there are results and none is. `inside` is newest first.

    An answer stands for a result when its report is there. Against what the record has, it is for review.
    """
    if not inside:
        return None
    for_it: list[Result] = []
    against: list[Result] = []
    early: list[Result] = []  # preliminary, and for it
    weak: list[Result] = []  # preliminary, and against it
    doubts: list[tuple[Reason, Result]] = []
    mute: list[Result] = []  # neither for nor against
    for result in inside:
        if result.stage is Stage.ORDERED:
            continue
        truth, reason = _decided(result, decide)
        if truth is UNKNOWN:
            mute.append(result) if reason is None else doubts.append((reason, result))
        elif result.stage is Stage.PRELIMINARY:
            (early if truth is MET else weak).append(result)
        else:
            (for_it if truth is MET else against).append(result)
    contrary = _contrary(for_it, against, early)
    if contrary:
        return unknown(Reason.REVIEW, contrary)
    proven = [result for result in for_it if result.report]
    if proven:
        return Said(MET, None, tuple(sorted(proven, key=lambda result: result.answer)[:SHOWN]))
    doubts += [(Reason.ATTESTED_ONLY, result) for result in for_it]
    doubts += [(Reason.PRELIMINARY, result) for result in early]
    if doubts:
        return unknown(doubts[0][0], tuple(result for _, result in doubts[:SHOWN]))
    if against:
        attested = all(not result.report for result in against)
        shown = tuple(against[:SHOWN])
        return unknown(Reason.ATTESTED_ONLY, shown) if attested else Said(NOT_MET, None, shown)
    if weak:
        return unknown(Reason.PRELIMINARY, tuple(weak[:SHOWN]))
    if mute:
        return unknown(Reason.INCONCLUSIVE, tuple(mute[:SHOWN]))
    return unknown(Reason.NOT_RECORDED, tuple(inside[:SHOWN]))


def _contrary(for_it: list[Result], against: list[Result], early: list[Result]) -> tuple[Result, ...]:
    """The results that contradict each other: an answer and the record, or a newer preliminary and a final one.

    An answer tells of the newest result, so it is held against the newest of the record: a negative answer does not
    contradict an old positive with a newer negative beside it.
    """
    record_for = [result for result in for_it if not result.answer]
    record_against = [result for result in against if not result.answer]
    if record_for:
        newest_is_for = not record_against or _day_of(record_for[0]) >= _day_of(record_against[0])
        denied = [result for result in against if result.answer] if newest_is_for else []
        return (*record_for[:SHOWN], *denied) if denied else ()
    if not record_against:
        return ()
    newer = [result for result in early if _day_of(result) >= _day_of(record_against[0])]
    claims = [*for_it, *newer]
    return (*claims, *record_against[:SHOWN]) if claims else ()
