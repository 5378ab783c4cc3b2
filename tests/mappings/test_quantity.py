"""Reported numbers to intervals."""

from decimal import Decimal
from typing import Any

import pytest
from lab_samples import (
    CD4,
    FIX,
    FIX_INHIBITOR,
    FVIII,
    LABS,
    PLATELETS,
    coded,
    limits,
    observation,
    quantity,
    vectors,
)

from cds_service.policy.facts import Interval, Word, exactly
from cds_service.policy.reasons import Reason
from cds_service.policy.truth import Truth
from fhir_mappings.lab_file import LabTest
from fhir_mappings.observation import read_observation
from fhir_mappings.quantity import Reading, decimal, read_number_text, read_quantity, read_titre

FACTOR = LABS.test("factor_ix_activity")
UCUM = {"system": "http://unitsofmeasure.org"}
RULES: dict[str, tuple[Any, str, int]] = {
    "fix_le_2": (FIX, "at_most", 2),
    "fviii_lt_1": (FVIII, "below", 1),
    "platelets_lt_50": (PLATELETS, "below", 50),
    "cd4_le_200": (CD4, "at_most", 200),
    "stiffness_ge_9": (coded("77615-3", "Liver stiffness"), "below", 9),
}
SAID = {
    "fix_le_2": {Truth.MET: "PROVES", Truth.NOT_MET: "ABOVE"},
    "fviii_lt_1": {Truth.MET: "PROVES", Truth.NOT_MET: "ABOVE"},
    "platelets_lt_50": {Truth.MET: "EXCLUDES", Truth.NOT_MET: "PASSES"},
    "cd4_le_200": {Truth.MET: "EXCLUDES", Truth.NOT_MET: "PASSES"},
    "stiffness_ge_9": {Truth.MET: "PASSES", Truth.NOT_MET: "EXCLUDES"},
}
WORDS = {Word.POSITIVE: "POSITIVE", Word.NEGATIVE: "NEGATIVE"}


def value_of(row: dict[str, Any], form: str) -> dict[str, Any]:
    if form == "valueString":
        return {form: f"{row['comparator'] or ''}{row['value']} {row['unit'] or ''}"}
    return {form: quantity(row["value"], row["unit"], row["comparator"])}


@pytest.mark.parametrize("form", ["valueQuantity", "valueString"])
@pytest.mark.parametrize(
    "row",
    vectors("thresholds.json"),
    ids=lambda row: f"{row['rule']} {row['comparator'] or ''}{row['value']} {row['unit']}",
)
def test_a_number_answers_the_limit_as_agreed(row: dict[str, Any], form: str) -> None:
    """Every agreed number, as a Quantity and as text."""
    if row["rule"] == "inhibitor":
        (result,) = read_observation(observation(FIX_INHIBITOR, **value_of(row, form)), LABS)
        assert WORDS.get(result.word or Word.INDETERMINATE, "REVIEW") == row["expected"]
        return
    code, compare, limit = RULES[row["rule"]]
    results = read_observation(observation(code, **value_of(row, form)), LABS)
    value = results[0].value if results else None
    said = "UNUSABLE"
    if value is not None:
        said = SAID[row["rule"]].get(getattr(value, compare)(Decimal(limit)), "NEITHER")
    assert said == row["expected"]


@pytest.mark.parametrize("found", [Decimal("0.80"), 0.8, "0.8", True, None, [], float("nan"), Decimal("Infinity")])
def test_only_finite_numbers_are_numbers(found: object) -> None:
    """A float keeps the digits that it shows."""
    wanted = Decimal("0.8") if found in (Decimal("0.80"), 0.8) and found is not True else None
    assert decimal(found) == wanted


def test_the_coded_unit_wins_over_the_written_one() -> None:
    """A written unit that is not known does no harm."""
    found = read_quantity(quantity(1, "percent of pool", code="%", **UCUM), FACTOR)
    assert found == Reading(exactly(Decimal(1)))


@pytest.mark.parametrize("unit", ["IU/mL", "BU"])
def test_a_coded_and_a_written_unit_that_contradict_are_no_unit(unit: str) -> None:
    """One of them is wrong, and nobody knows which."""
    assert read_quantity(quantity(1, unit, code="%", **UCUM), FACTOR).problem is Reason.UNIT_UNKNOWN


def test_a_code_of_another_system_is_no_unit() -> None:
    """A local unit code is passed over for the written unit."""
    assert read_quantity(quantity(1, "%", code="258947003", system="urn:local"), FACTOR).value == exactly(Decimal(1))
    assert read_quantity(quantity(1, None, code="%", system="urn:local"), FACTOR).problem is Reason.UNIT_UNKNOWN


@pytest.mark.parametrize("unit", [None, "", "mg/dL", "BU", 5, [], "1", "{ratio}"])
def test_a_unit_that_is_not_listed_is_unknown(unit: Any) -> None:
    """Also none at all, and never a guess."""
    assert read_quantity({"value": 1, "unit": unit}, FACTOR).problem is Reason.UNIT_UNKNOWN


def test_the_reference_range_shows_percent() -> None:
    """A normal range of 50 to 150 can only be percent."""
    assert read_quantity(quantity("1.5"), FACTOR, limits("50", "150")).value == exactly(Decimal("1.5"))
    assert read_quantity(quantity("1.5"), FACTOR, limits("50", "150", "%")).value == exactly(Decimal("1.5"))
    assert read_quantity(quantity("1.5"), FACTOR, limits("50", "150", "mg/dL")).problem is Reason.UNIT_UNKNOWN
    assert read_quantity(quantity("1.5"), FACTOR, limits("5", "15")).problem is Reason.UNIT_UNKNOWN
    assert read_quantity(quantity("1.5"), FACTOR, limits("50", "150") * 2).problem is Reason.UNIT_UNKNOWN


def test_a_ratio_counts_with_its_code_and_its_range() -> None:
    """0.01 is 1 % only when the code is actual over normal and the range is about one."""
    ranges = limits("0.5", "1.5")
    assert read_quantity(quantity("0.01", "{ratio}"), FACTOR, ranges, ("3187-2",)).value == exactly(Decimal("1.00"))
    assert read_quantity(quantity("0.01", "{ratio}"), FACTOR, ranges, ("3186-4",)).problem is Reason.UNIT_UNKNOWN
    assert read_quantity(quantity("0.01", "{ratio}"), FACTOR, None, ("3187-2",)).problem is Reason.UNIT_UNKNOWN


def test_a_range_that_belies_the_unit_takes_it_away() -> None:
    """0.9 "%" with a normal range of 0.5 to 1.5 is 90 %."""
    assert read_quantity(quantity("0.9", "%"), FACTOR, limits("0.5", "1.5")).problem is Reason.UNIT_UNKNOWN
    platelets = LABS.test("platelets")
    assert read_quantity(quantity("212", "/uL"), platelets, limits("150", "400")).problem is Reason.UNIT_UNKNOWN
    assert read_quantity(quantity("212", "K/uL"), platelets, limits("150", "400")).value == exactly(Decimal(212))


@pytest.mark.parametrize(
    ("test", "value", "unit"),
    [
        ("platelets", 212, "/uL"),
        ("platelets", 212000, "10*9/L"),
        ("factor_ix_activity", 1000, "%"),
        ("factor_ix_activity", -1, "%"),
        ("cd4_count", "0.62", "/uL"),
        ("liver_stiffness", 231, "kPa"),
        ("fibrotest", 58, ""),
        ("body_weight", 70000, "kg"),
    ],
)
def test_a_number_outside_what_the_test_can_give_is_implausible(test: str, value: Any, unit: str) -> None:
    """A slip of the unit or of the decimal point says nothing."""
    assert read_quantity(quantity(value, unit), LABS.test(test)).problem is Reason.IMPLAUSIBLE


@pytest.mark.parametrize(
    "unit", ["K/uL", "k/µL", "10^3/uL", "x10E3/uL", "10*9/L", "X10^9/L", "Thousand/uL", "G/L", "K/mm3"]
)
def test_a_unit_has_many_spellings(unit: str) -> None:
    """Capitals and look-alike letters do not matter."""
    assert read_quantity(quantity(49, unit), LABS.test("platelets")).value == exactly(Decimal(49))


def test_a_capital_matters_where_the_table_says_so() -> None:
    """G/L is giga per litre and g/L is gram."""
    assert read_quantity(quantity(49, "g/L"), LABS.test("platelets")).problem is Reason.UNIT_UNKNOWN


def test_conversion_keeps_the_digits() -> None:
    """0.020 IU/mL is 2.000, not 2.0000000000000004."""
    found = read_quantity(quantity("0.020", "IU/mL"), FACTOR).value
    assert found is not None
    assert str(found.low) == "2.000"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("<1%", Interval(Decimal(0), Decimal(1), high_open=True)),
        ("less than 1 %", Interval(Decimal(0), Decimal(1), high_open=True)),
        ("< 1.0 IU/dL", Interval(Decimal(0), Decimal("1.0"), high_open=True)),
        ("≤ 2 %", Interval(Decimal(0), Decimal(2))),
        ("less than or equal to 2 %", Interval(Decimal(0), Decimal(2))),
        ("up to 2 %", Interval(Decimal(0), Decimal(2))),
        (">= 40 %", Interval(Decimal(40), None)),
        ("greater than 40 %", Interval(Decimal(40), None, low_open=True)),
        ("1-2 %", Interval(Decimal(1), Decimal(2))),
        ("1 % - 2 %", Interval(Decimal(1), Decimal(2))),
        ("1 to 2 IU/dL", Interval(Decimal(1), Decimal(2))),
        ("1 % (L)", exactly(Decimal(1))),
        ("1 [IU]/dL", exactly(Decimal(1))),
        ("1%, on no replacement", exactly(Decimal(1))),
        (".5 %", exactly(Decimal("0.5"))),
    ],
)
def test_a_number_in_text_is_read(text: str, wanted: Interval) -> None:
    """With its comparator in signs or in words."""
    assert read_number_text(text, FACTOR) == Reading(wanted)


@pytest.mark.parametrize("text", ["1:58", "0,5 %", "severe", "", "2025-01-01", "-1 %", "F9 1 %"])
def test_what_is_no_number_is_none(text: str) -> None:
    """A titre, a decimal comma, a date."""
    found = read_number_text(text, FACTOR)
    assert found is None or found.value is None


def test_thousands_are_read() -> None:
    """50,000 per microlitre is 50."""
    found = read_number_text("50,000/uL", LABS.test("platelets"))
    assert found is not None
    assert found.value is not None
    assert found.value.low == 50


@pytest.mark.parametrize("text", ["1", "1.0", "<1", "1 bananas", "1 % increase over 2"])
def test_a_number_in_text_without_its_unit_is_unknown(text: str) -> None:
    """What follows must be a listed unit."""
    found = read_number_text(text, FACTOR)
    assert found is not None
    assert found.problem is Reason.UNIT_UNKNOWN


@pytest.mark.parametrize(
    "found", [None, "5", 5, [], {}, {"value": None}, {"value": "5"}, {"value": 5, "comparator": "ad"}]
)
def test_a_malformed_quantity_says_nothing(found: object) -> None:
    """Nothing raises."""
    assert read_quantity(found, FACTOR).problem is Reason.INCONCLUSIVE


TITRE = LabTest("t", "T", "number", unit="titre", units={"titre": Decimal(1)}, titre=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1:50", exactly(Decimal(50))),
        ("1 : 50", exactly(Decimal(50))),
        ("<1:25", Interval(Decimal(0), Decimal(25), high_open=True)),
        ("≤ 1:50", Interval(Decimal(0), Decimal(50))),
        (">1:400", Interval(Decimal(400), None, low_open=True)),
    ],
)
def test_a_titre_is_the_number_behind_the_colon(text: str, expected: Interval) -> None:
    """For a test that is told so."""
    assert read_titre(text, TITRE) == Reading(expected)


@pytest.mark.parametrize("text", ["2:50", "1:50:30", "1:50 or 1:100", "50", "1:", "positive, 1:50"])
def test_what_is_no_plain_titre_is_none(text: str) -> None:
    """Nothing is guessed."""
    assert read_titre(text, TITRE) is None


def test_a_titre_of_another_test_is_no_number() -> None:
    """Only the laboratory knows its cut-off."""
    assert read_titre("1:50", LABS.test("aav5_antibody")) is None
