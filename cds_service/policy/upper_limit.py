"""Limits that are so many times the laboratory's own upper limit of normal: what is shown, and what is asked for."""

from typing import Literal

from msgspec.structs import replace

from cds_service.policy.facts import Result, Stage
from cds_service.policy.reasons import Reason
from cds_service.policy.said import Said

UpperLimit = Literal["upper-limit-of-normal"]
WORDS = "the laboratory's upper limit of normal"
_ITS_LIMIT = (f"The result with {WORDS}",)


def with_range(said: Said) -> Said:
    """The same with each result's range of normal beside it; where the limit is what lacks, it is asked for."""
    shown = tuple(replace(fact, display=_beside(fact)) for fact in said.facts)
    newest = [fact for fact in said.facts if fact.date == said.facts[0].date]
    lacking = said.reason is Reason.INCONCLUSIVE and any(_lacks(fact) for fact in newest)
    return replace(said, facts=shown, needed=_ITS_LIMIT if lacking else said.needed)


def asking_for_it(text: str) -> str:
    """The words of a policy for what is needed, with the limit named in them."""
    return text if "upper limit of normal" in text else f"{text}, with {WORDS}"


def _lacks(result: Result) -> bool:
    return result.value is not None and result.upper_limit_of_normal is None


def _beside(result: Result) -> str:
    if result.stage is Stage.ORDERED:
        return result.display
    if result.upper_limit_of_normal is None:
        return f"{result.display} (no upper limit of normal with it)"
    return f"{result.display} (normal {result.normal})"
