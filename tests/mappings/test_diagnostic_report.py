"""DiagnosticReports to results."""

from decimal import Decimal
from typing import Any

import pytest
from lab_samples import LABS, SNOMED, coded

from cds_service.policy.facts import Interval, Result, Stage, Word, exactly
from cds_service.policy.reasons import Reason
from fhir_mappings.diagnostic_report import read_report, report_sentences, sentences

AAV5 = {"text": "AAV5 total antibody"}
SCAN = {"text": "FibroScan"}


def report(code: Any, conclusion: Any = None, **members: Any) -> tuple[Result, ...]:
    """The results of a final report of 5 January 2026."""
    resource = {
        "resourceType": "DiagnosticReport",
        "id": "r1",
        "status": "final",
        "code": code,
        "effectiveDateTime": "2026-01-05",
        "conclusion": conclusion,
    } | members
    return read_report(resource, LABS)


def test_an_aav5_report_is_read_from_its_conclusion() -> None:
    """As text or as a code."""
    (found,) = report(AAV5, "AAV5 antibody not detected.")
    assert (found.test, found.word, found.reference) == ("aav5_antibody", Word.NEGATIVE, "DiagnosticReport/r1")
    assert found.display == "AAV5 antibody: AAV5 antibody not detected. on 2026-01-05"
    assert found.flags == {"total-antibody"}
    (coded_one,) = report(AAV5, conclusionCode=[coded("10828004", system=SNOMED)])
    assert coded_one.word is Word.POSITIVE


def test_a_final_report_without_a_word_is_still_a_report() -> None:
    """The screening was done; what came out stands in the document."""
    (found,) = report(AAV5)
    assert (found.stage, found.word, found.problem) == (Stage.FINAL, None, Reason.INCONCLUSIVE)


def test_a_report_whose_observations_hold_the_result_is_none() -> None:
    """They are read by themselves."""
    assert report(AAV5, result=[{"reference": "Observation/o1"}]) == ()


def test_an_inhibitor_report_keeps_its_number() -> None:
    """Words decide before numbers."""
    (found,) = report({"text": "Factor IX inhibitor"}, "1.2 BU")
    assert (found.value, found.word) == (exactly(Decimal("1.2")), Word.POSITIVE)
    (negative,) = report({"text": "Factor IX inhibitor"}, "No inhibitor detected.")
    assert negative.word is Word.NEGATIVE


def test_a_code_and_a_conclusion_that_disagree_conflict() -> None:
    """A person must look."""
    (found,) = report(AAV5, "Not detected", conclusionCode=[coded("10828004", system=SNOMED)])
    assert "conflict" in found.flags


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Median stiffness 5.8 kPa, IQR/med 12 %, CAP 231 dB/m.", exactly(Decimal("5.8"))),
        ("CAP 231 dB/m. LSM 9.0 kPa (IQR 1.1 kPa).", exactly(Decimal("9.0"))),
        ("Liver stiffness 5-7 kPa", Interval(Decimal(5), Decimal(7))),
        ("Stiffness 12.1 kPa (normal < 7 kPa)", exactly(Decimal("12.1"))),
    ],
)
def test_the_stiffness_stands_beside_kpa(text: str, value: Interval) -> None:
    """Never beside dB/m, nor in the reference."""
    assert [found.value for found in report(SCAN, text) if found.test == "liver_stiffness"] == [value]


def test_several_stiffnesses_are_inconclusive() -> None:
    """Which one is meant is not for a machine."""
    (found,) = report(SCAN, "Liver stiffness 5.8 kPa. Repeated: 11.2 kPa.")
    assert (found.value, found.problem) == (None, Reason.INCONCLUSIVE)


def test_a_stage_in_the_report_is_a_stage() -> None:
    """Beside the stiffness."""
    found = {
        result.test: result for result in report(SCAN, "Liver stiffness 9.8 kPa, consistent with F3-F4. Activity A3.")
    }
    assert found["fibrosis_stage"].value == Interval(Decimal(3), Decimal(4))
    assert found["fibrosis_stage"].display == "Fibrosis stage F3-F4 on 2026-01-05"
    assert found["liver_stiffness"].display == "Liver stiffness 9.8 kPa on 2026-01-05"


def test_a_scan_without_a_number_says_nothing() -> None:
    """The code proves the test, not its result."""
    assert report(coded("91200", system="http://www.ama-assn.org/go/cpt"), "Normal liver.") == ()
    assert report(coded("91200", system="http://www.ama-assn.org/go/cpt"), "6.1 kPa")[0].value == exactly(
        Decimal("6.1")
    )


@pytest.mark.parametrize(
    ("status", "stage"),
    [("appended", Stage.FINAL), ("partial", Stage.PRELIMINARY), ("registered", Stage.ORDERED), ("cancelled", None)],
)
def test_the_status_of_a_report_counts_like_that_of_an_observation(status: str, stage: Stage | None) -> None:
    """A cancelled one is none."""
    found = report(AAV5, "Not detected", status=status)
    assert [result.stage for result in found] == ([] if stage is None else [stage])


@pytest.mark.parametrize("status", ["unknown", None, ["final"]])
def test_a_report_of_unknown_status_proves_nothing(status: Any) -> None:
    """It may have been withdrawn."""
    (found,) = report(AAV5, "Not detected", status=status)
    assert (found.word, found.problem) == (None, Reason.INCONCLUSIVE)


def test_sentences_are_kept_apart() -> None:
    """A number's point ends none."""
    text = "No prior gene therapy. FIX 1.2 % in 2019.\nOn prophylaxis; no bleeds"
    assert sentences(text) == ("No prior gene therapy.", "FIX 1.2 % in 2019.", "On prophylaxis", "no bleeds")
    assert report_sentences({"conclusion": text})[0] == "No prior gene therapy."
    assert report_sentences({"conclusion": 5}) == ()


@pytest.mark.parametrize("member", ["code", "status", "conclusion", "conclusionCode", "result", "id"])
@pytest.mark.parametrize("junk", [5, "x", [], {}, [None], [5], [{"coding": 5}], [{"coding": [5]}], {"coding": [5]}])
def test_a_report_of_the_wrong_shape_never_raises(member: str, junk: Any) -> None:
    """It costs this report only."""
    for code in (AAV5, SCAN):
        resource = {
            "resourceType": "DiagnosticReport",
            "id": "r1",
            "status": "final",
            "code": code,
            "conclusion": "5.8 kPa",
        }
        assert isinstance(read_report(resource | {member: junk}, LABS), tuple)
