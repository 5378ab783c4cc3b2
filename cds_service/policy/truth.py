"""Three-valued truth with an order, so that `all` is the least, `any` the greatest and `not` the mirror.

It refuses `bool()`: no `if finding.truth:` can collapse "unknown" into "no" (or into "yes").
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import NoReturn


class Truth(IntEnum):
    """What the record shows of one statement: it fails, cannot be told, or holds."""

    NOT_MET = 0
    UNKNOWN = 1
    MET = 2

    def __bool__(self) -> NoReturn:
        raise TypeError("a Truth has three values; compare it with `is Truth.MET`")


def all_of(truths: Iterable[Truth]) -> Truth:
    """The least of the truths; MET for none."""
    return min(truths, default=Truth.MET)


def any_of(truths: Iterable[Truth]) -> Truth:
    """The greatest of the truths; NOT_MET for none."""
    return max(truths, default=Truth.NOT_MET)


_MIRROR = (Truth.MET, Truth.UNKNOWN, Truth.NOT_MET)


def negation(truth: Truth) -> Truth:
    """MET for NOT_MET and the other way round; UNKNOWN stays UNKNOWN."""
    return _MIRROR[truth]
