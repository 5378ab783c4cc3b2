"""METAVIR stages in text, and what looks like one."""

from decimal import Decimal

import pytest
from mapping_samples import VALUE_SETS

from cds_service.policy.value_sets import read_systems
from fhir_mappings.fibrosis import fibrosis_stage
from fhir_mappings.labs import read_labs

WORDS = read_labs(read_systems(VALUE_SETS)).words


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("METAVIR F3", 3, 3),
        ("Stage 3", 3, 3),
        ("stage 3 fibrosis", 3, 3),
        ("Fibrosis stage: 2 (METAVIR)", 2, 2),
        ("F2-F3", 2, 3),
        ("fibrosis stage F1, activity A3", 1, 1),
        ("liver biopsy: bridging fibrosis (stage 3 of 4)", 3, 3),
    ],
)
def test_a_stage_is_read(text: str, low: int, high: int) -> None:
    """As reports write it."""
    found = fibrosis_stage(text, WORDS)
    assert found is not None
    assert (found.low, found.high) == (Decimal(low), Decimal(high))


@pytest.mark.parametrize(
    "text",
    ["stage 2 hypertension", "CKD stage 3", "Ishak 3/6", "Ishak stage 3", "stage 3 pressure ulcer", "activity A3"],
)
def test_what_is_no_fibrosis_stage_is_none(text: str) -> None:
    """A stage of something else, and a scale of other figures, say nothing of METAVIR."""
    assert fibrosis_stage(text, WORDS) is None
