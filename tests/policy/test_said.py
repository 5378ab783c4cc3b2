"""How statements are put together: what is said, why, and what would settle it."""

from itertools import permutations

import pytest

from cds_service.policy.reasons import Reason
from cds_service.policy.said import Said, every, some, told_by, unknown
from cds_service.policy.truth import Truth

from .samples import failed, met, silence

MET, UNKNOWN, NOT_MET = Truth.MET, Truth.UNKNOWN, Truth.NOT_MET


def asking(text: str, reason: Reason = Reason.NOT_RECORDED, test: str = "") -> Said:
    """An open statement with its words."""
    return Said(UNKNOWN, reason, (), (text,), (test,) if test else ())


def test_all_asks_for_everything_that_is_open() -> None:
    """Each part has to be settled."""
    said = every([met(), asking("a", test="x"), asking("b", test="y")])
    assert (said.truth, said.needed, said.tests) == (UNKNOWN, ("a", "b"), ("x", "y"))


def test_any_asks_for_one_or_the_other_and_offers_the_first_test() -> None:
    """Each part alone would settle it."""
    said = some([failed(), asking("a", test="x"), asking("b", test="y")])
    assert (said.truth, said.needed, said.tests) == (UNKNOWN, ("a or b",), ("x",))


def test_what_is_needed_together_reads_as_one_sentence() -> None:
    """The words that follow are no beginning of a sentence; a name stays as it is written."""
    both = every([asking("The name of the hematologist"), asking("That the center is one")])
    said = some([both, asking("A note"), asking("HIV RNA")])
    assert said.needed == ("The name of the hematologist and that the center is one or a note or HIV RNA",)


@pytest.mark.parametrize("first", [r for r in Reason if r not in (Reason.REVIEW, Reason.NOT_RETRIEVED)])
def test_in_an_all_what_the_prescriber_can_do_comes_before_what_only_the_plan_can(first: Reason) -> None:
    """A missing document is named before a failed read, and that before a review."""
    for parts in permutations([unknown(first), unknown(Reason.NOT_RETRIEVED), unknown(Reason.REVIEW)]):
        assert every(list(parts)).reason is first


@pytest.mark.parametrize("other", [r for r in Reason if r is not Reason.REVIEW])
def test_in_an_any_a_contradiction_comes_first(other: Reason) -> None:
    """It is the nearest to an answer, and not to be hidden by what is simply missing."""
    assert some([unknown(other), unknown(Reason.REVIEW)]).reason is Reason.REVIEW


def test_an_all_that_fails_shows_only_what_failed() -> None:
    """The evidence is what decided."""
    said = every([Said(MET, facts=("good",)), Said(NOT_MET, facts=("bad",)), unknown(Reason.STALE, ("old",))])
    assert said.facts == ("bad",)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([met(), silence()], MET),
        ([met(), met()], MET),
        ([failed(), silence()], NOT_MET),
        ([failed(), failed()], NOT_MET),
        ([met(), failed()], Reason.REVIEW),
        ([met(), unknown(Reason.REVIEW)], Reason.REVIEW),
        ([met(), unknown(Reason.INCONCLUSIVE)], MET),
        ([failed(), unknown(Reason.INCONCLUSIVE)], Reason.INCONCLUSIVE),
        ([failed(), unknown(Reason.NOT_RETRIEVED)], Reason.NOT_RETRIEVED),
        ([failed(), unknown(Reason.STALE)], NOT_MET),
        ([silence(), silence()], Reason.NOT_RECORDED),
        ([silence(), unknown(Reason.PRELIMINARY)], Reason.PRELIMINARY),
    ],
)
def test_several_sources_of_one_fact(parts: list[Said], expected: Truth | Reason) -> None:
    """A yes counts, a plain no counts, a yes beside a no is for review, in whatever order they come."""
    for order in permutations(parts):
        said = told_by(list(order), [])
        assert (said.reason or said.truth) is expected


def test_a_yes_does_not_stand_beside_a_source_that_was_not_read_and_may_deny() -> None:
    """What could contradict it was not seen."""
    missed = unknown(Reason.NOT_RETRIEVED)
    assert told_by([met(), missed], [missed]).reason is Reason.NOT_RETRIEVED
    assert told_by([met(), missed], []).truth is MET
