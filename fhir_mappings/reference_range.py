"""The laboratory's own upper limit of normal, as an Observation states it beside its value (referenceRange).

A limit counts only when it is one: a number in a unit of the test, and the same in every range that is normal. Ranges
that differ (by age, by sex) and one without an upper end give none; a text is not read.
"""

from decimal import Decimal
from typing import Any

from fhir_mappings.lab_file import LabTest
from fhir_mappings.quantity import read_quantity
from fhir_mappings.result_values import quantity_text

_MEANING = "http://terminology.hl7.org/CodeSystem/referencerange-meaning"
NO_LIMIT: tuple[Decimal | None, str] = (None, "")


def upper_limit_of_normal(element: dict[str, Any], test: LabTest) -> tuple[Decimal | None, str]:
    """The limit in the test's canonical unit, and the range as the source has it; None and nothing without one."""
    ranges = element.get("referenceRange")
    normal = [found for found in ranges if _is_normal(found)] if isinstance(ranges, list) else []
    limits = {_limit(found, test) for found in normal}
    return (limits.pop(), _shown(normal[0])) if len(limits) == 1 and None not in limits else NO_LIMIT


def _is_normal(found: Any) -> bool:
    """True for a range of type `normal`, or of none; what is no range might be one."""
    kind = found.get("type") if isinstance(found, dict) else None
    if kind is None:
        return True
    codings = kind.get("coding") if isinstance(kind, dict) else None
    return isinstance(codings, list) and any(
        isinstance(coding, dict) and coding.get("code") == "normal" and coding.get("system") in (None, _MEANING)
        for coding in codings
    )


def _limit(found: Any, test: LabTest) -> Decimal | None:
    value = read_quantity(found.get("high"), test).value if isinstance(found, dict) else None
    if value is None or value.low != value.high or value.low <= 0:
        return None
    bounds = test.normal_high
    return value.low if bounds is None or bounds.low <= value.low <= bounds.high else None


def _shown(found: dict[str, Any]) -> str:
    low, high = quantity_text(found.get("low")), quantity_text(found["high"])
    return f"{low} - {high}" if low else f"up to {high}"
