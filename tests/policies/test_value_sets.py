"""The value sets as they lie in policies/value_sets."""

from pathlib import Path

import pytest

from cds_service.policy.documents import PolicyFileError
from cds_service.policy.value_sets import ValueSet, read_systems, read_value_sets
from fhir_mappings.codes import CodeIndex, loinc_valid

FOLDER = Path(__file__).parents[2] / "policies" / "value_sets"
SETS = read_value_sets(FOLDER)
SYSTEMS = read_systems(FOLDER)
INDEX = CodeIndex(SETS, SYSTEMS)

_VERHOEFF_D = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_VERHOEFF_P = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def snomed_valid(code: str) -> bool:
    """True when the last digit is the Verhoeff check digit."""
    check = 0
    for at, digit in enumerate(reversed(code)):
        check = int(_VERHOEFF_D[check][int(_VERHOEFF_P[at % 8][int(digit)])])
    return check == 0


@pytest.mark.parametrize("value_set", SETS.values(), ids=SETS.keys())
def test_every_verified_code_is_found_and_every_other_is_not(value_set: ValueSet) -> None:
    """With its own display beside it: no exclusion swallows a code of its own set."""
    for code in value_set.codes:
        coding = {"system": SYSTEMS.systems[code.system][0], "code": code.code}
        found = INDEX.names_of_coding({**coding, "display": code.display}, value_set.kind)
        if code.status == "verified":
            assert value_set.name in found, code
        else:
            assert value_set.name not in INDEX.names_of_coding(coding, value_set.kind), code
    for code in value_set.exclude:
        coding = {"system": SYSTEMS.systems[code.system][0], "code": code.code, "display": code.display}
        assert value_set.name not in INDEX.names_of_coding(coding, value_set.kind), code


@pytest.mark.parametrize("value_set", SETS.values(), ids=SETS.keys())
def test_every_code_says_how_it_reads_and_where_it_was_verified(value_set: ValueSet) -> None:
    """A set without codes has words."""
    assert value_set.codes or value_set.text.match
    for code in (*value_set.codes, *value_set.exclude):
        assert code.code
        assert code.display
        assert code.source
    numbers = [(code.system, code.code) for code in value_set.codes]
    assert len(numbers) == len(set(numbers))


def test_check_digits_are_right() -> None:
    """SNOMED by Verhoeff, LOINC by mod 10."""
    codes = [code for value_set in SETS.values() for code in (*value_set.codes, *value_set.exclude)]
    assert [code.code for code in codes if code.system == "snomed" and not snomed_valid(code.code)] == []
    assert [code.code for code in codes if code.system == "loinc" and not loinc_valid(code.code)] == []


def test_no_uri_is_written_first_twice() -> None:
    """An alias may be shared, the URI that we write may not."""
    first = [uris[0] for uris in SYSTEMS.systems.values()]
    assert len(first) == len(set(first))


def test_a_code_has_one_consequence_for_the_other_coagulation_disorders() -> None:
    """Excluding, transient and for review are three sets without a common code."""
    sets = [SETS[f"cond.coagulation_{name}"] for name in ("disorder", "disorder_transient", "review")]
    codes = [(code.system, code.code) for value_set in sets for code in value_set.codes]
    assert len(codes) == len(set(codes))


def _folder(tmp_path: Path, text: str) -> Path:
    (tmp_path / "systems.yaml").write_text('systems:\n  loinc: ["http://loinc.org"]\n', encoding="utf-8")
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: b\ntitle: B\nkind: condition\n", "the name is 'b'; expected the file's own, 'a'"),
        ("name: a\ntitle: A\nkind: condition\ntext: {match: ['(']}\n", "is no regular expression"),
        (
            "name: a\ntitle: A\nkind: condition\ncodes: [{system: icd, code: X}]\n",
            "line 4: code X: no system 'icd' in systems.yaml; known: loinc",
        ),
        ("name: a\ntitle: A\nkind: disease\n", "line 3: `kind`: 'disease' is not known here"),
        ("name: a\ntitle: A\nkind: condition\ncode: []\n", "line 4: 'code' is not known here; did you mean 'codes'"),
    ],
)
def test_a_broken_set_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    """Before anything is answered with it."""
    with pytest.raises(PolicyFileError) as raised:
        read_value_sets(_folder(tmp_path, text))
    assert said in str(raised.value)
    assert "a.yaml" in str(raised.value)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("D68.0", "cond.coagulation_disorder"),
        ("D68.02", "cond.coagulation_disorder"),
        ("D68.3", "cond.coagulation_review"),
        ("D68.5", "cond.coagulation_review"),
        ("K74.6", "cond.advanced_liver_disease"),
        ("K70.3", "cond.advanced_liver_disease"),
        ("K74.0", "cond.liver_review"),
        ("K74.2", "cond.liver_review"),
        ("I85.00", "cond.liver_review"),
        ("K72.11", "cond.liver_review"),
        ("B16", "cond.hepatitis_b"),
        ("B17.0", "cond.hepatitis_b"),
        ("B19.1", "cond.hepatitis_b"),
        ("B17.1", "cond.hepatitis_c"),
        ("B19.2", "cond.hepatitis_c"),
        ("B18", "cond.hepatitis_unspecified"),
        ("O98.73", "cond.hiv"),
    ],
)
def test_a_code_without_words_counts_at_every_depth_of_its_hierarchy(code: str, name: str) -> None:
    """Old charts have the parents of today's codes, and many send no display."""
    assert name in INDEX.names({"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}]}, "condition")


@pytest.mark.parametrize(
    ("text", "suggests"),
    [
        ("Hepatic fibrosis", True),
        ("Liver fibrosis, F2-F3", True),
        ("Liver fibrosis, stage 1", False),
        ("Hepatic fibrosis, early fibrosis", False),
        ("No liver fibrosis", False),
    ],
)
def test_fibrosis_without_a_stage_suggests_advanced_disease(text: str, suggests: bool) -> None:
    """A low stage does not."""
    assert ("cond.liver_review" in INDEX.names({"text": text}, "condition")) is suggests


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("No inhibitor history.", "statement.no_factor_ix_inhibitor_history"),
        ("No known FIX inhibitor history.", "statement.no_factor_ix_inhibitor_history"),
        ("No prior inhibitor hx.", "statement.no_factor_viii_inhibitor_history"),
        ("No known bleeding disorder other than hemophilia B.", "statement.no_other_coagulation_disorder"),
        ("No coagulation disorders other than severe hemophilia A", "statement.no_other_coagulation_disorder"),
    ],
)
def test_a_plain_denial_is_understood(text: str, name: str) -> None:
    """As notes write it."""
    assert name in INDEX.names_of_text(text, "statement")


@pytest.mark.parametrize(
    "text", ["No bleeding disorder other than VWD", "No ACE inhibitor history", "No bleeding disorder"]
)
def test_a_denial_of_something_else_is_not_taken_for_it(text: str) -> None:
    """It names another thing."""
    denials = {"statement.no_other_coagulation_disorder", "statement.no_factor_ix_inhibitor_history"}
    assert not denials & INDEX.names_of_text(text, "statement")
