"""Factor levels of the first months of life."""

import pytest
from lab_samples import LABS

from cds_service.policy.facts import Result, exactly
from fhir_mappings.fhir_dates import parse_date
from fhir_mappings.infancy import with_infancy


def level(taken: str, test: str = "factor_ix_activity", birth: str = "1988-03-14") -> Result:
    shown = Result(test, "Observation/o1", "Factor IX activity 1 %", parse_date(taken), value=exactly(1))  # type: ignore[arg-type]
    ((found,),) = with_infancy({test: (shown,)}, parse_date(birth), LABS).values()
    return found


@pytest.mark.parametrize(
    ("taken", "early"),
    [
        ("1988-03-14", "in the first 6 months of life"),
        ("1988-09-14", "in the first 6 months of life"),
        ("1988", "perhaps in the first 6 months of life"),
        ("1988-09", "perhaps in the first 6 months of life"),
        ("1988-03-01", "before the date of birth"),
    ],
)
def test_a_level_of_the_first_months_is_marked_and_says_so(taken: str, early: str) -> None:
    """It is not yet the patient's own."""
    found = level(taken)
    assert found.flags == {"newborn"}
    assert found.display == f"Factor IX activity 1 %, {early}"


@pytest.mark.parametrize("taken", ["1988-09-15", "1989", "2004-05-11", ""])
def test_a_later_level_is_left_as_it_is(taken: str) -> None:
    """The day after the limit too, and one without a date."""
    assert level(taken).flags == frozenset()


def test_a_partial_birth_date_counts_with_its_last_day() -> None:
    """A child of 1988 may have been born on 31 December."""
    assert level("1989-06-30", birth="1988").flags == {"newborn"}
    assert level("1989-07-01", birth="1988").flags == frozenset()


@pytest.mark.parametrize(("taken", "flags"), [("1988-04-14", {"newborn"}), ("1988-04-15", set())])
def test_factor_viii_has_its_own_limit(taken: str, flags: set[str]) -> None:
    """One month."""
    assert level(taken, "factor_viii_activity").flags == flags


def test_other_tests_and_an_unknown_birth_date_mark_nothing() -> None:
    """Platelets of a newborn are platelets."""
    assert level("1988-03-14", "platelets").flags == frozenset()
    unmarked = {"factor_ix_activity": (level("2004-05-11"),)}
    assert with_infancy(unmarked, None, LABS) is unmarked
