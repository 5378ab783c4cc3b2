"""What an expression says of a record: a truth, why it is unknown, the facts behind it, and what would settle it."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from cds_service.policy.reasons import Reason
from cds_service.policy.truth import Truth

# Anything with a `reference` and a `display` (see facts.py).
Fact = Any
T = TypeVar("T")


class Said(Struct, frozen=True):
    """One expression's word on one record."""

    truth: Truth
    reason: Reason | None = None  # set exactly when truth is UNKNOWN
    facts: tuple[Fact, ...] = ()
    needed: tuple[str, ...] = ()  # what would settle it, in words for a prescriber
    tests: tuple[str, ...] = ()  # tests whose result would settle it
    remarks: tuple[str, ...] = ()  # what a reader should know besides


# Reasons that mean "nothing that counts was found": they prove nothing, and hide nothing.
SILENT = frozenset({Reason.NOT_RECORDED, Reason.STALE})

# In an `all`, the reason that the prescriber can do most about comes first; the outcome of an order follows it.
_ALL_ORDER = {
    Reason.PRELIMINARY: 0,
    Reason.UNIT_UNKNOWN: 0,
    Reason.IMPLAUSIBLE: 0,
    Reason.INCONCLUSIVE: 0,
    Reason.ATTESTED_ONLY: 0,
    Reason.STALE: 0,
    Reason.NOT_RECORDED: 1,
    Reason.NOT_RETRIEVED: 2,
    Reason.REVIEW: 3,
}
# In an `any`, the reason nearest to an answer comes first.
_ANY_ORDER = {
    Reason.REVIEW: 0,
    Reason.NOT_RETRIEVED: 1,
    Reason.PRELIMINARY: 2,
    Reason.UNIT_UNKNOWN: 3,
    Reason.IMPLAUSIBLE: 4,
    Reason.INCONCLUSIVE: 5,
    Reason.ATTESTED_ONLY: 6,
    Reason.STALE: 7,
    Reason.NOT_RECORDED: 8,
}

MET, UNKNOWN, NOT_MET = Truth.MET, Truth.UNKNOWN, Truth.NOT_MET


def unknown(reason: Reason, facts: tuple[Fact, ...] = (), needed: tuple[str, ...] = ()) -> Said:
    """An UNKNOWN for this reason."""
    return Said(UNKNOWN, reason, facts, needed)


# Most of what a policy asks is not in a record: these two are said again and again, and told by identity.
NOT_RECORDED = unknown(Reason.NOT_RECORDED)
NOT_RETRIEVED = unknown(Reason.NOT_RETRIEVED)


def once(found: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    """What the tuples hold, in order, each once. They are short: comparing is cheaper than hashing whole facts."""
    kept: list[T] = []
    for part in found:
        for one in part:
            if one not in kept:
                kept.append(one)
    return tuple(kept)


def _gathered(truth: Truth, parts: list[Said], reason: Reason | None = None, asking: Sequence[Said] = ()) -> Said:
    return Said(
        truth,
        reason,
        once([part.facts for part in parts if part.facts]) if len(parts) > 1 else parts[0].facts,
        once([part.needed for part in asking if part.needed]),
        once([part.tests for part in asking if part.tests]),
        once([part.remarks for part in parts if part.remarks]),
    )


def every(parts: list[Said]) -> Said:
    """`all`: the least truth; the facts that make it so."""
    failed = [part for part in parts if part.truth is NOT_MET]
    if failed:
        return _gathered(NOT_MET, failed)
    open_parts = [part for part in parts if part.truth is UNKNOWN]
    if not open_parts:
        return _gathered(MET, parts)
    return _gathered(UNKNOWN, parts, why_open(open_parts), open_parts)


def why_open(open_parts: list[Said]) -> Reason:
    """The reason of an `all` with these open parts."""
    reasons = [part.reason for part in open_parts if part.reason]
    return reasons[0] if len(reasons) == 1 else min(reasons, key=_ALL_ORDER.__getitem__)


def some(parts: list[Said]) -> Said:
    """`any`: the greatest truth. Open: every way to settle it is named, and the tests of the first are offered."""
    open_parts = []
    for part in parts:
        if part.truth is MET:
            return part
        if part.truth is UNKNOWN:
            open_parts.append(part)
    if not open_parts:
        return _gathered(NOT_MET, parts)
    reason = min([part.reason for part in open_parts if part.reason], key=_ANY_ORDER.__getitem__)
    if reason is open_parts[0].reason and not any([part.facts or part.needed or part.remarks for part in parts]):
        return open_parts[0]  # there is nothing to gather
    shown = [part for part in parts if part.facts] or open_parts
    ways = [_together(part.needed, " and ") for part in open_parts if part.needed]
    return Said(
        UNKNOWN,
        reason,
        once([part.facts for part in shown]) if len(shown) > 1 else shown[0].facts,
        (_together(tuple(dict.fromkeys(ways)), " or "),) if ways else (),
        open_parts[0].tests,
        once([part.remarks for part in shown if part.remarks]),
    )


def _together(texts: tuple[str, ...], between: str) -> str:
    """As one sentence: what follows the first begins small, unless it is a name like HIV."""
    small = (text[:1].lower() + text[1:] if text[1:2] in (" ", text[1:2].lower()) else text for text in texts[1:])
    return between.join((texts[0], *small))


def told_by(parts: list[Said], unheard: list[Said]) -> Said:
    """Several sources of one fact: a yes or a plain no of any of them counts, and a yes beside a no is for review.

    `unheard` are the parts that were not read and might have said no.
    """
    yes = [part for part in parts if part.truth is MET]
    no = [part for part in parts if part.truth is NOT_MET]
    torn = [part for part in parts if part.reason is Reason.REVIEW]
    if yes and (no or torn):
        return _gathered(UNKNOWN, yes + no + torn, Reason.REVIEW)
    if yes and unheard:
        return _gathered(UNKNOWN, yes, Reason.NOT_RETRIEVED)
    if yes:
        return _gathered(MET, yes)
    doubtful = [part for part in parts if part.truth is UNKNOWN and part.reason not in SILENT]
    if no and not doubtful:
        return _gathered(NOT_MET, no)
    return some([part for part in parts if part.truth is UNKNOWN] if no else parts)
