"""What the results of a test say: the most recent that counts, or any there ever was.

The rules are those of the policy's reading: a final result decides; a preliminary one, an answer without its report, an
unlisted unit or a result outside the window does not, and each of them has its own word.
"""

from datetime import date
from typing import Literal

from msgspec import Struct

from cds_service.policy.dates import months_before
from cds_service.policy.decisions import Decision, decided
from cds_service.policy.facts import Facts, Result, Stage
from cds_service.policy.reasons import Reason
from cds_service.policy.said import MET, NOT_MET, NOT_RECORDED, UNKNOWN, Said, unknown
from cds_service.policy.truth import Truth, negation

SHOWN = 3  # results of one test that are shown as evidence, the deciding one first


Picked = Literal["latest", "ever"]


def _day_of(result: Result) -> date:
    return result.date.last if result.date is not None else date.min


def _future_remarks(future: list[Result]) -> tuple[str, ...]:
    return tuple(f"{result.display} is dated after today and was not used" for result in future)


class Weighing(Struct, frozen=True):
    """What is asked of the results of one test, made ready when the policy is loaded: see `weighing`."""

    test: str
    source: str  # of Facts.unread
    months: int | None  # how far back a result may lie, both ends inclusive; None for any date
    picked: Picked
    decide: Decision
    warn_after_months: int | None
    not_recorded: Said
    not_retrieved: Said

    def say(self, facts: Facts) -> Said:
        """MET or NOT_MET by `decide`, else UNKNOWN with its reason."""
        missed = self.source in facts.unread
        results = facts.results.get(self.test)
        if not results:
            return self.not_retrieved if missed else self.not_recorded
        said = self._weighed(results, facts.day)
        if missed and not _stands(said, self.picked):
            return Said(UNKNOWN, Reason.NOT_RETRIEVED, said.facts, (), self.not_recorded.tests, said.remarks)
        if said.truth is UNKNOWN:
            return Said(UNKNOWN, said.reason, said.facts, (), self.not_recorded.tests, said.remarks)
        if self.warn_after_months is not None:
            return _with_age(said, facts.day, self.warn_after_months)
        return said

    def _weighed(self, results: tuple[Result, ...], day: date) -> Said:
        months = self.months
        first = months_before(day, months) if months is not None else date.min
        future: list[Result] = []
        inside: list[Result] = []
        outside: list[Result] = []
        for result in results:
            dated = result.date
            if dated is not None and dated.first > day:
                future.append(result)
            elif months is None or (dated is not None and dated.first >= first and dated.last <= day):
                inside.append(result)
            else:
                outside.append(result)
        said = _alone(inside[0], self.decide) if len(inside) == 1 and not outside else None
        said = said or self._picked(inside, outside, first)
        return Said(said.truth, said.reason, said.facts, remarks=_future_remarks(future)) if future else said

    def _picked(self, inside: list[Result], outside: list[Result], first: date) -> Said:
        if self.picked == "latest":
            perhaps = [result for result in outside if result.date is not None and result.date.last >= first]
            said = _latest(inside, perhaps, self.decide)
        else:
            said = _ever(inside, self.decide)
        if said is not None:
            return said
        if not outside:
            return NOT_RECORDED
        ordered = all(result.stage is Stage.ORDERED for result in outside)
        return unknown(Reason.NOT_RECORDED if ordered else Reason.STALE, tuple(outside[:SHOWN]))


def weighing(
    test: str, months: int | None, picked: Picked, decide: Decision, warn_after_months: int | None
) -> Weighing:
    """What is asked of the results of that test."""
    silent, missed = (Said(UNKNOWN, why, tests=(test,)) for why in (Reason.NOT_RECORDED, Reason.NOT_RETRIEVED))
    return Weighing(test, f"result/{test}", months, picked, decide, warn_after_months, silent, missed)


def _with_age(said: Said, day: date, months: int) -> Said:
    newest = said.facts[0] if said.facts else None
    if newest is None or newest.date is None or newest.date.last >= months_before(day, months):
        return said
    remark = f"{newest.display} is more than {months} months old"
    return Said(said.truth, said.reason, said.facts, said.needed, said.tests, (*said.remarks, remark))


def _stands(said: Said, picked: Picked) -> bool:
    """True when what was read counts although more may be there that was not.

    One that is found is enough for "ever", and none found is not. Of those that were read the newest decides: results
    are asked for newest first, and what a caller sends of them is its word on the newest.
    """
    if picked == "ever":
        return said.truth is MET
    return said.truth is not UNKNOWN or said.reason is Reason.REVIEW


_INCONCLUSIVE = {MET: None, NOT_MET: None, UNKNOWN: Reason.INCONCLUSIVE}


def _alone(result: Result, decide: Decision) -> Said | None:
    """What a final result of the record says where it is the only one: the newest, and all there ever was."""
    if result.stage is not Stage.FINAL or result.answer or not result.report:
        return None
    truth, reason = decided(result, decide)
    return Said(truth, reason or _INCONCLUSIVE[truth], (result,))


def _latest(inside: list[Result], perhaps: list[Result], decide: Decision) -> Said | None:
    """The newest final result decides; None when nothing inside the window says anything.

    `perhaps` are results whose partial date may lie inside the window: they prove nothing, but speak against.
    """
    record: list[Result] = []
    answers: list[Result] = []
    early: list[Result] = []
    for result in inside:
        if result.answer:
            answers.append(result)
        elif result.stage is Stage.FINAL:
            record.append(result)
        if result.stage is Stage.PRELIMINARY:
            early.append(result)
    if record:
        return _newest_of_record(record, answers, [*early, *perhaps], decide)
    if answers:
        newest = answers[0]
        truth, reason = decided(newest, decide)
        against = _contradicting(truth, [*early, *perhaps], decide)
        if truth is not UNKNOWN and against:
            return unknown(Reason.REVIEW, (newest, *against))
        if not newest.report:
            return unknown(Reason.ATTESTED_ONLY, (newest,))
        return Said(truth, reason or _INCONCLUSIVE[truth], (newest,))
    if early:
        return unknown(Reason.PRELIMINARY, tuple(early[:SHOWN]))
    ordered = tuple(result for result in inside if result.stage is Stage.ORDERED)
    return unknown(Reason.NOT_RECORDED, ordered[:SHOWN]) if ordered else None


def _newest_of_record(record: list[Result], answers: list[Result], doubtful: list[Result], decide: Decision) -> Said:
    """What the newest final results say; an answer against them, or something newer that is doubtful, is for review."""
    newest_day = _day_of(record[0])
    same_day = [result for result in record if _day_of(result) == newest_day]
    verdicts = [(result, *decided(result, decide)) for result in same_day]
    if len(verdicts) > 1:
        truths = {truth for _, truth, _ in verdicts}
        if MET in truths and NOT_MET in truths:
            return unknown(Reason.REVIEW, tuple(same_day))
    result, truth, reason = next((verdict for verdict in verdicts if verdict[1] is UNKNOWN), verdicts[0])
    if truth is not UNKNOWN and (doubtful or answers):
        newer = [other for other in doubtful if _day_of(other) >= newest_day]
        against = _contradicting(truth, [*newer, *answers], decide)
        if against:
            return unknown(Reason.REVIEW, (result, *against))
    shown = tuple(record[:SHOWN]) if len(same_day) <= SHOWN else tuple(same_day)
    return Said(truth, reason or _INCONCLUSIVE[truth], shown)


def _contradicting(truth: Truth, others: list[Result], decide: Decision) -> list[Result]:
    contrary = negation(truth)
    return [other for other in others if decided(other, decide)[0] is contrary]


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
        truth, reason = decided(result, decide)
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
