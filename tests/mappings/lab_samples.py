"""The real lab table, the real value sets and small Observations that the tests of the readers share."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from cds_service.policy.facts import Result
from cds_service.policy.value_sets import read_systems, read_value_sets
from fhir_mappings.codes import CodeIndex
from fhir_mappings.labs import read_labs
from fhir_mappings.observation import read_observation

VECTORS = Path(__file__).parent / "vectors"
FOLDER = Path(__file__).parents[2] / "policies" / "value_sets"
SYSTEMS = read_systems(FOLDER)
SETS = read_value_sets(FOLDER)
INDEX = CodeIndex(SETS, SYSTEMS)
LABS = read_labs(SYSTEMS)

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
FIX, FVIII, FIX_INHIBITOR, FVIII_INHIBITOR = "3187-2", "3209-4", "3185-6", "3204-5"
PLATELETS, CD4, HBSAG, HCV_RNA, ANTI_HCV, HIV = "777-3", "24467-3", "5196-1", "11011-4", "13955-0", "56888-1"


def vectors(name: str) -> list[dict[str, Any]]:
    """The vectors of that file, numbers as Decimals."""
    found: list[dict[str, Any]] = json.loads((VECTORS / name).read_text(encoding="utf-8"), parse_float=Decimal)
    return found


def coded(code: str, text: str = "", system: str = LOINC, display: str = "") -> dict[str, Any]:
    """A CodeableConcept."""
    coding = {"system": system, "code": code, **({"display": display} if display else {})}
    return {"coding": [coding], **({"text": text} if text else {})}


def quantity(value: Any, unit: str | None = None, comparator: str | None = None, **members: Any) -> dict[str, Any]:
    """A Quantity; the value's digits are kept when it is given as text."""
    found: dict[str, Any] = {"value": Decimal(value) if isinstance(value, str) else value}
    if unit is not None:
        found["unit"] = unit
    if comparator is not None:
        found["comparator"] = comparator
    return found | members


def limits(low: str, high: str, unit: str | None = None) -> list[dict[str, Any]]:
    """A referenceRange."""
    return [{"low": quantity(low, unit), "high": quantity(high, unit)}]


def interpretation(code: str, system: str = INTERPRETATION) -> list[dict[str, Any]]:
    """An Observation.interpretation."""
    return [coded(code, system=system)]


def observation(code: Any, **members: Any) -> dict[str, Any]:
    """A final Observation of 5 January 2026; a member given as None is left out."""
    found = {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": coded(code) if isinstance(code, str) else code,
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2026-01-05",
    } | members
    return {name: member for name, member in found.items() if member is not None}


def read(code: Any, **members: Any) -> Result:
    """The only result of that Observation."""
    found = read_observation(observation(code, **members), LABS)
    assert len(found) == 1, found
    return found[0]


def read_all(code: Any, **members: Any) -> tuple[Result, ...]:
    """Every result of that Observation."""
    return read_observation(observation(code, **members), LABS)
