"""The lab table as data."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from lab_samples import LABS, LOINC, SYSTEMS, coded, vectors
from ucumvert import PintUcumRegistry

from cds_service.policy.documents import PolicyFileError
from cds_service.policy.facts import RESULT_FLAGS
from cds_service.policy.value_sets import Systems
from fhir_mappings.lab_file import LabTest
from fhir_mappings.labs import LABS_FILE, read_labs

TESTS = list(LABS.tests.values())
UCUM = re.compile(r"10\*\d+|\[|^/u?L$|^\{cells\}|^(kPa|Pa|kg|g)$")


def matched(concept: Any) -> dict[str, str]:
    return {match.test.name: match.how for match in LABS.matches(concept)}


@pytest.mark.parametrize(
    "row", [row for row in vectors("texts.json") if row["kind"] == "test"], ids=lambda row: row["text"]
)
def test_a_text_names_the_test_that_it_should(row: dict[str, Any]) -> None:
    """Every agreed wording, for and against."""
    assert bool({match.test.name for match in LABS.matches_text(row["text"])} & set(row["names"])) is row["match"]


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.name)
def test_every_code_is_its_test_and_no_other(test: LabTest) -> None:
    """With its own display beside it: no exclusion swallows a code of its own test."""
    for code in test.codes:
        assert list(matched(coded(code.code, "", SYSTEMS.systems[code.system][0], code.display))) == [test.name], code
        bare = matched(coded(code.code, "", SYSTEMS.systems[code.system][0]))
        assert bare == {test.name: "code" if code.status == "verified" else "partial"}, code
    for excluded in test.exclude:
        concept = coded(excluded.code, test.title, SYSTEMS.systems[excluded.system][0])
        assert test.name not in matched(concept), excluded


def test_every_test_that_policies_name_is_there() -> None:
    """Adding is free, renaming is not."""
    assert LABS.names >= {
        "factor_ix_activity", "factor_viii_activity", "factor_ix_inhibitor", "factor_viii_inhibitor", "aav5_antibody",
        "hbsag", "hbeag", "anti_hbc", "anti_hbc_igm", "hbv_dna", "anti_hcv", "hcv_rna", "hiv_screen",
        "hiv_confirmation", "hiv_rna", "cd4_count", "platelets", "platelet_clumps", "liver_stiffness",
        "fibrosis_stage", "fibrotest", "fib4", "body_weight",
    }  # fmt: skip


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.name)
def test_a_row_makes_sense(test: LabTest) -> None:
    """A number has units and bounds, no unit is both converted and refused, what is ordered is a code of the test."""
    if test.kind in ("number", "both", "stage"):
        assert test.units
        assert test.plausible is not None
        assert test.factor(test.unit) == 1
    for unit in test.never:
        assert test.factor(unit) is None
    for unit in test.only_sign:
        assert test.factor(unit) is None
        assert test.cutoff is not None
    assert all(factor > 0 for factor in test.units.values())
    if test.order is not None and test.order.code:
        assert (test.order.system, test.order.code) in {(code.system, code.code) for code in test.codes}
        assert test.order.display


def test_spellings_of_one_unit_never_contradict() -> None:
    """Two spellings that look the same once folded have the same factor."""
    for test in TESTS:
        assert all(test.factor(unit) == factor for unit, factor in test.units.items()), test.name


def test_factors_agree_with_ucum() -> None:
    """Every row that UCUM can convert at all has UCUM's factor."""
    registry = PintUcumRegistry()
    checked = 0
    canonical = {"IU/dL": "[IU]/dL", "10*9/L": "10*9/L", "/uL": "/uL", "kPa": "kPa", "kg": "kg", "BU": "[beth'U]"}
    for test in TESTS:
        if test.unit not in canonical:
            continue
        target = registry.from_ucum(canonical[test.unit])
        for unit, factor in test.units.items():
            if not UCUM.search(unit) or "arb" in unit:
                continue
            try:
                found = registry.from_ucum(unit.replace("[iU]", "[IU]"))
            except Exception:  # noqa: BLE001, S112 - a spelling that is no UCUM
                continue
            if not found.is_compatible_with(target):
                continue
            ratio = (found / target).to_base_units().magnitude
            assert abs(Decimal(str(ratio)) - factor) < Decimal("1e-6") * factor, (test.name, unit)
            checked += 1
    assert checked > 25


def test_a_local_test_is_searched_by_its_name() -> None:
    """AAV5 has no LOINC code; platelets have."""
    assert LABS.needs_text_search("aav5_antibody")
    assert LABS.needs_text_search("fib4")
    assert not LABS.needs_text_search("platelets")
    assert f"{LOINC}|777-3" in LABS.tokens("platelets")
    assert LABS.tokens("fib4") == ()
    order = LABS.test("aav5_antibody").order
    assert order is not None
    assert order.code == ""


def test_a_code_counts_more_than_the_words_of_another_test() -> None:
    """The code says HIV confirmation, the name could be a screen."""
    assert matched(coded("80203-3", "HIV 1 and 2 antibody")) == {"hiv_confirmation": "code"}


def test_a_name_of_several_tests_is_a_panel() -> None:
    """Its components tell, the name alone does not."""
    found = LABS.matches_text("HBsAg, anti-HCV")
    assert {match.test.name for match in found} == {"hbsag", "anti_hcv"}
    assert all(match.panel for match in found)


def test_every_flag_is_one_that_the_engine_knows() -> None:
    """And it is about tests of the table."""
    for rule in LABS.flags:
        assert rule.flag in RESULT_FLAGS
        assert set(rule.tests) <= LABS.names


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("code: 13952-7", "code: 13952-0", "wrong check digit"),
        (
            "system: loinc, code: 777-3",
            "system: lonic, code: 777-3",
            "no system 'lonic' in systems.yaml; did you mean 'loinc'",
        ),
        ("- name: hbeag", "- name: hbsag", "written twice"),
        ("kind: stage", "kind: rank", "`kind`: 'rank' is not known here; known: both, number, stage, words"),
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    """With what is wrong."""
    path = tmp_path / "labs.yaml"
    text = LABS_FILE.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(PolicyFileError, match=re.escape(said)):
        read_labs(Systems(SYSTEMS.systems), path)
