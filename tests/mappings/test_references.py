"""Modifiers: what may change the meaning of a resource is seen wherever FHIR lets it stand."""

import re
from typing import Any

import pytest
from fhir.resources import R4B
from fhir.resources.R4B.backboneelement import BackboneElement

from fhir_mappings.prefetch import ROWS, Row
from fhir_mappings.references import _PARTS, has_modifiers

_KIND = re.compile(r"\babc\.(\w+)Type\b")
MARKED = {"modifierExtension": [{"url": "http://example.org/negated", "valueBoolean": True}]}


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        ("Condition", MARKED),
        ("Condition", {"implicitRules": "http://example.org/rules"}),
        ("Observation", {"component": [{}, MARKED]}),
        ("MedicationRequest", {"dispenseRequest": MARKED}),
        ("QuestionnaireResponse", {"item": [{"linkId": "a", "item": [{"linkId": "b", **MARKED}]}]}),
        ("QuestionnaireResponse", {"item": [{"linkId": "a", "answer": [{"valueBoolean": True, "item": [MARKED]}]}]}),
    ],
)
def test_a_modifier_is_seen_wherever_it_stands(kind: str, members: dict[str, Any]) -> None:
    """In the resource, in a part of it, and in an item within an item or an answer."""
    assert has_modifiers({"resourceType": kind, **members})


def _is_backbone(annotation: str) -> bool:
    named = _KIND.search(annotation)
    try:
        return named is not None and issubclass(R4B.get_fhir_model_class(named[1]), BackboneElement)
    except KeyError:
        return False  # a primitive type


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.type)
def test_the_parts_of_every_type_that_is_read_are_known(row: Row) -> None:
    """The backbone elements that the model of the type has are looked through, and no others are."""
    fields = R4B.get_fhir_model_class(row.type).model_fields.items()
    parts = {field.alias or name for name, field in fields if _is_backbone(str(field.annotation))}
    assert parts == set(_PARTS.get(row.type, ()))


@pytest.mark.parametrize(
    "members",
    [{}, {"modifierExtension": []}, {"component": [{"valueString": "x"}]}, {"component": "x"}, {"referenceRange": [1]}],
)
def test_a_resource_without_modifiers_is_used(members: dict[str, Any]) -> None:
    """Parts that carry none, or that have the wrong shape, are none."""
    assert not has_modifiers({"resourceType": "Observation", "status": "final", **members})
