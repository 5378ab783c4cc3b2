"""Text that was made to be read slowly: the time grows with its length, and no faster."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from lab_samples import INDEX, LABS

from fhir_mappings.diagnostic_report import read_report
from fhir_mappings.document import sentences
from fhir_mappings.fibrosis import fibrosis_stage

AT_MOST_S = 0.5  # of processor time; each of these took seconds or minutes


def cost(work: Callable[[], Any]) -> float:
    """Seconds of processor time."""
    began = time.process_time()
    work()
    return time.process_time() - began


@pytest.mark.parametrize("unit", ["\n", "\n ", "\r\n", " \n", "\n\n\t", ". ", "20"])
def test_a_document(unit: str) -> None:
    """As long as one may be, of nothing but this."""
    text = (unit * 65_536)[:65_536]
    assert cost(lambda: list(sentences(text))) < AT_MOST_S


@pytest.mark.parametrize("unit", ["20", "1", " ", "\n", "1 - ", "1kPa ", "1.1"])
@pytest.mark.parametrize("length", [60_000, 2_000_000])
def test_the_conclusion_of_an_elastography(unit: str, length: int) -> None:
    """However long."""
    report = {"resourceType": "DiagnosticReport", "status": "final", "code": {"text": "Liver elastography"}}
    assert read_report({**report, "conclusion": "Stiffness 5.1 kPa"}, LABS)
    report["conclusion"] = (unit * length)[:length]
    assert cost(lambda: read_report(report, LABS)) < AT_MOST_S


@pytest.mark.parametrize("unit", ["F3 ", "no F3 ", "not F3-F4 "])
def test_a_fibrosis_stage(unit: str) -> None:
    """A text of as many characters as are read."""
    assert cost(lambda: [fibrosis_stage(unit * 700, LABS.words) for _ in range(20)]) < AT_MOST_S


@pytest.mark.parametrize("unit", ["bega", " ", "[", "gene ", "factor ", "a"])
def test_the_name_of_a_drug(unit: str) -> None:
    """Ten of them, no two alike."""
    names = [f"{(unit * 2000)[:1990]} {number}" for number in range(10)]
    assert cost(lambda: [INDEX.names_of_text(name, "product") for name in names]) < 2 * AT_MOST_S


def test_a_drug_of_the_policy_is_no_other_gene_therapy() -> None:
    """What the words beside its name say is of itself."""
    said = INDEX.names_of_text("Hemgenix gene therapy for hemophilia B", "product")
    assert said == {"order.hemgenix"}
