"""Three-valued truth, and what it means for an expression to be unknown."""

from itertools import product
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from cds_service.policy.composed import AllOf, AnyOf, Not
from cds_service.policy.criteria import Statement
from cds_service.policy.facts import Facts
from cds_service.policy.reasons import Reason
from cds_service.policy.said import Said
from cds_service.policy.truth import Truth, all_of, any_of, negation

from .samples import facts

MET, UNKNOWN, NOT_MET = Truth.MET, Truth.UNKNOWN, Truth.NOT_MET
NOTHING = facts()


@pytest.mark.parametrize(
    ("first", "second", "both", "either"),
    [
        (MET, MET, MET, MET),
        (MET, UNKNOWN, UNKNOWN, MET),
        (MET, NOT_MET, NOT_MET, MET),
        (UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN),
        (UNKNOWN, NOT_MET, NOT_MET, UNKNOWN),
        (NOT_MET, NOT_MET, NOT_MET, NOT_MET),
    ],
)
def test_all_is_the_least_and_any_the_greatest(first: Truth, second: Truth, both: Truth, either: Truth) -> None:
    """The truth tables of `all` and `any`, in either order."""
    assert all_of([first, second]) is all_of([second, first]) is both
    assert any_of([first, second]) is any_of([second, first]) is either


def test_all_of_nothing_holds_and_any_of_nothing_fails() -> None:
    """The empty cases are the neutral elements."""
    assert all_of([]) is MET
    assert any_of([]) is NOT_MET


@pytest.mark.parametrize(("truth", "mirror"), [(MET, NOT_MET), (UNKNOWN, UNKNOWN), (NOT_MET, MET)])
def test_not_mirrors_and_leaves_unknown(truth: Truth, mirror: Truth) -> None:
    """Not knowing that it holds is not knowing that it does not."""
    assert negation(truth) is mirror


@pytest.mark.parametrize("truth", Truth)
def test_a_truth_refuses_to_be_a_bool(truth: Truth) -> None:
    """No `if truth:` can make a no of an unknown."""
    with pytest.raises(TypeError, match="three values"):
        bool(truth)


class Atom(Struct, frozen=True):
    """A statement whose truth is looked up by its own number."""

    number: int

    def say(self, about: Facts, earlier: Any) -> Said:
        """The truth under this number."""
        truth = earlier[self.number]
        return Said(truth, Reason.NOT_RECORDED if truth is UNKNOWN else None)


def expressions(atoms: int) -> st.SearchStrategy[Any]:
    """Expressions in which each atom stands once, so that no two unknowns are the same one."""

    def built(draw: st.DrawFn, numbers: list[int]) -> Any:
        if len(numbers) == 1:
            atom = Atom(numbers[0])
            return Not(cast(Statement, atom)) if draw(st.booleans()) else atom
        cut = draw(st.integers(1, len(numbers) - 1))
        kind = draw(st.sampled_from([AllOf, AnyOf]))
        joined: Statement = cast(Any, kind)((built(draw, numbers[:cut]), built(draw, numbers[cut:])))
        return Not(joined) if draw(st.booleans()) else joined

    return st.composite(lambda draw: built(draw, list(range(atoms))))()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_unknown_is_said_exactly_when_the_unknowns_decide(data: st.DataObject) -> None:
    """UNKNOWN means that settling what is unknown one way or the other would change the answer, and nothing else."""
    atoms = data.draw(st.integers(1, 6))
    expression = data.draw(expressions(atoms))
    truths = data.draw(st.lists(st.sampled_from(Truth), min_size=atoms, max_size=atoms))
    open_atoms = [number for number, truth in enumerate(truths) if truth is UNKNOWN]
    settled = set()
    for ways in product((MET, NOT_MET), repeat=len(open_atoms)):
        known = {**dict(enumerate(truths)), **dict(zip(open_atoms, ways, strict=True))}
        settled.add(expression.say(NOTHING, known).truth)
    said = expression.say(NOTHING, dict(enumerate(truths))).truth
    assert said is (UNKNOWN if len(settled) == 2 else settled.pop())


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_an_unknown_answer_always_has_a_reason(data: st.DataObject) -> None:
    """A reason is there exactly when the truth is unknown."""
    atoms = data.draw(st.integers(1, 5))
    truths = data.draw(st.lists(st.sampled_from(Truth), min_size=atoms, max_size=atoms))
    said = data.draw(expressions(atoms)).say(NOTHING, dict(enumerate(truths)))
    assert (said.reason is not None) is (said.truth is UNKNOWN)
