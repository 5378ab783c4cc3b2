"""What a note says of exposure days: a number that was counted, on either side of 150, or nothing."""

import pytest
from lab_samples import INDEX

ENOUGH = [
    "Patient has had 320 exposure days to factor IX.",
    ">150 exposure days documented in infusion log.",
    "Lifetime FIX exposure days: 412",
    "More than 150 EDs.",
    "Exposure days: 150",
    "150 exposure days.",
    "150-200 exposure days",
    "1,200 exposure days",
    "1200 cumulative exposure days",
    "At least 150 exposure days confirmed by pharmacy dispensing log.",
    "Factor IX exposure days (lifetime): 287",
    "EDs: >150",
    "exposure days: 1500",
]
FEW = [
    "149 exposure days.",
    "Exposure days = 149",
    "Exposure days: <150",
    "fewer than 150 exposure days",
    "Less than 150 exposure days on record.",
    "exposure days 75",
    "20 exposure days",
]
NEITHER = [
    "100-200 exposure days",
    "100 to 200 exposure days",
    "Approximately 300 exposure days (est. 10 years x 2/week).",
    "~400 exposure days",
    "Estimated exposure days: 500",
    "Has not reached 150 exposure days.",
    "Policy requires a minimum of 150 exposure days.",
    "Needs at least 150 exposure days for Hemgenix.",
    "50 of 150 exposure days",
    "Brother has 300 exposure days.",
    "300 exposure days to factor VIII",
    "104 exposure days per year",
    "He has had over 1000 exposure days without inhibitor development.",
    "No inhibitor after 500 exposure days.",
    "exposure days: 150.5",
    "exposure days: 90%",
    "0.150 exposure days",
    "Unknown number of exposure days, 200 exposure days per mother",
    "< 250 exposure days",
    "Sun exposure days: 200",
]
SETS = {"statement.exposure_days_enough", "statement.exposure_days_few"}


def said(text: str) -> set[str]:
    return set(INDEX.names_of_text(text, "statement")) & SETS


@pytest.mark.parametrize("text", ENOUGH)
def test_a_counted_number_of_150_or_more_is_enough(text: str) -> None:
    """A range with its lower end, "more than 150" as it stands."""
    assert said(text) == {"statement.exposure_days_enough"}


@pytest.mark.parametrize("text", FEW)
def test_a_counted_number_below_150_is_too_few(text: str) -> None:
    """149 too."""
    assert said(text) == {"statement.exposure_days_few"}


@pytest.mark.parametrize("text", NEITHER)
def test_an_estimate_a_requirement_and_somebody_elses_count_say_nothing(text: str) -> None:
    """Nor does a range across 150, or a number by the year."""
    assert said(text) == set()
