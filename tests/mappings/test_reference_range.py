"""The laboratory's own upper limit of normal: which range counts, in which unit, and how it is shown."""

from decimal import Decimal
from typing import Any

import pytest
from lab_samples import CD4, PLATELETS, coded, limits, quantity, read, read_all

COUNT = {"valueQuantity": quantity(212, "10*9/L")}
HIGH = {"high": quantity(450, "10*9/L")}
MALE, FEMALE = ({"appliesTo": [coded(code)]} for code in ("248153007", "248152002"))
MEANING = "http://terminology.hl7.org/CodeSystem/referencerange-meaning"


def meaning(code: str, system: str | None = MEANING) -> dict[str, Any]:
    """The type of a range."""
    return {"type": {"coding": [{"code": code, **({"system": system} if system else {})}]}}


def limit(*ranges: Any, code: str = PLATELETS, **members: Any) -> Decimal | None:
    """The limit of a result with these ranges."""
    return read(code, **{**COUNT, "referenceRange": list(ranges), **members}).upper_limit_of_normal


def test_the_upper_limit_stands_beside_the_value_with_the_range_as_it_was_written() -> None:
    """The digits are the source's."""
    found = read(PLATELETS, **COUNT, referenceRange=limits("150", "450.0", "10*9/L"))
    assert (found.upper_limit_of_normal, found.normal) == (Decimal("450.0"), "150 10*9/L - 450.0 10*9/L")
    assert found.display == "Platelets 212 10*9/L on 2026-01-05"


def test_a_limit_in_another_unit_of_the_test_is_converted() -> None:
    """The value and its limit need not be in one unit."""
    assert limit({"high": quantity(450000, "/uL")}) == 450
    assert limit(HIGH, valueQuantity=quantity(212000, "/uL")) == 450


def test_a_range_that_only_says_up_to_is_shown_so() -> None:
    """No lower end."""
    assert read(PLATELETS, **COUNT, referenceRange=[HIGH]).normal == "up to 450 10*9/L"


@pytest.mark.parametrize("kind", [meaning("normal"), meaning("normal", None), {}])
def test_a_range_counts_that_is_normal_or_does_not_say(kind: dict[str, Any]) -> None:
    """Its type by the code."""
    assert limit({**HIGH, **kind}) == 450


@pytest.mark.parametrize(
    "ranges",
    [
        [],
        [{"low": quantity(150, "10*9/L")}],
        [{"text": "150 - 450"}],
        [{"high": quantity(450)}],
        [{"high": quantity(450, "g/L")}],
        [{"high": quantity(450, "10*9/L", "<")}],
        [{"high": quantity(0, "10*9/L")}],
        [{"high": quantity(-450, "10*9/L")}],
        [{"high": quantity(4500, "10*9/L")}],
        [{"high": {"value": "450", "unit": "10*9/L"}}],
        [{**HIGH, **meaning("critical")}],
        [{**HIGH, **meaning("therapeutic")}],
        [{**HIGH, **meaning("normal", "http://example.org/other")}],
        [{**HIGH, "type": {"text": "Critical"}}],
        [{**HIGH, "type": "normal"}],
        [{**HIGH, **MALE}, {"high": quantity(400, "10*9/L"), **FEMALE}],
        [{**HIGH, "age": {"high": quantity(12, "a")}}, {"high": quantity(500, "10*9/L")}],
        [HIGH, {"low": quantity(150, "10*9/L")}],
        [HIGH, None],
        [HIGH, "150-450"],
        [5],
    ],
)
def test_any_other_range_gives_no_limit(ranges: list[Any]) -> None:
    """No unit, none of this test, no upper end, not normal, several that differ, or no range at all."""
    assert all(found.upper_limit_of_normal is None for found in read_all(PLATELETS, **COUNT, referenceRange=ranges))


def test_a_critical_range_beside_the_normal_one_is_passed_over() -> None:
    """Laboratories state both."""
    assert limit(HIGH, {"high": quantity(1000, "10*9/L"), **meaning("critical")}) == 450


def test_ranges_for_different_people_that_have_one_limit_have_it() -> None:
    """Whoever the patient is."""
    assert limit({**HIGH, **MALE}, {"high": quantity(450000, "/uL"), **FEMALE}) == 450


def test_the_range_is_that_of_the_component_itself() -> None:
    """Not the panel's, and not its neighbour's."""
    parts = [
        {"code": coded(PLATELETS), **COUNT},
        {"code": coded(CD4), "valueQuantity": quantity(400, "/uL"), "referenceRange": limits("500", "1500", "/uL")},
    ]
    found = read_all({"text": "Blood count"}, component=parts, referenceRange=limits("150", "450", "10*9/L"))
    assert {one.test: one.upper_limit_of_normal for one in found} == {"platelets": None, "cd4_count": Decimal(1500)}


def test_a_number_in_a_text_has_the_limit_beside_it_too() -> None:
    """The form of the value makes no difference."""
    assert limit(HIGH, valueQuantity=None, valueString="212 10*9/L") == 450
