"""Charts that are legal and unusual: what is said in another shape counts, what may mean something else does not."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from signing import BASE, BY_ID, Ehr, Json, criterion, guidance, outcomes, stated, updated

MET = BY_ID["demo-hemgenix-met"]
BUNDLE_NAME = "urn:uuid:11111111-1111-4111-8111-111111111111"
MODIFIER = {"modifierExtension": [{"url": "http://example.org/negated", "valueBoolean": True}]}


def _with_references(node: Any, change: Callable[[str], str]) -> Any:
    if isinstance(node, dict):
        return {
            name: change(value) if name == "reference" and isinstance(value, str) else _with_references(value, change)
            for name, value in node.items()
        }
    return [_with_references(part, change) for part in node] if isinstance(node, list) else node


def _entry(call: Json, key: str, own_id: str) -> Json:
    found: Json = next(e["resource"] for e in call["prefetch"][key]["entry"] if e["resource"]["id"] == own_id)
    return found


@pytest.mark.parametrize("change", [lambda name: f"{name}/_history/3", lambda name: f"{BASE}/{name}/_history/3"])
def test_references_to_a_version_are_references(change: Callable[[str], str], ehr: Ehr) -> None:
    """An order and a record that name versions of the patient and of each other are answered as any."""
    call = _with_references(ehr.call(MET, fhirServer=BASE), change)
    assert outcomes(ehr.answer(call)) == ["criteria-met"]


def test_absolute_references_count_without_a_server_to_ask(ehr: Ehr) -> None:
    """Where the call names no FHIR server, the entries' full URLs say which one the record is of."""
    call = ehr.call(MET)
    for found in call["prefetch"].values():
        for entry in found.get("entry", ()) if found else ():
            entry["fullUrl"] = f"{BASE}/{entry['resource']['resourceType']}/{entry['resource']['id']}"
    call["prefetch"] = _with_references(call["prefetch"], lambda name: f"{BASE}/{name}")
    answer = ehr.answer(call)
    assert outcomes(answer) == ["criteria-met"]
    (order,) = updated(answer)
    assert stated(order)[0]["covered"] == ["covered"]


def test_a_drug_in_the_bundle_of_the_order_is_read(ehr: Ehr) -> None:
    """The order names it by the fullUrl of its entry, and nobody has stored it yet."""
    drug = {"resourceType": "Medication", "code": deepcopy(MET.order["medicationCodeableConcept"])}
    order = {name: value for name, value in MET.order.items() if name != "medicationCodeableConcept"}
    call = ehr.call(MET, {**order, "medicationReference": {"reference": BUNDLE_NAME}})
    call["context"]["draftOrders"]["entry"].append({"fullUrl": BUNDLE_NAME, "resource": drug})
    assert outcomes(ehr.answer(call)) == ["criteria-met"]


@pytest.mark.parametrize("members", [MODIFIER, {"implicitRules": "http://example.org/x"}, {"component": [MODIFIER]}])
def test_a_result_with_an_unknown_modifier_proves_nothing(members: Json, ehr: Ehr) -> None:
    """It may mean the opposite (FHIR R4, modifierExtension, implicitRules); what it seems to say is not shown."""
    call = ehr.call(MET)
    _entry(call, "observations", f"{MET.id}-platelets").update(deepcopy(members))
    answer = ehr.answer(call)
    found = criterion(answer, "8c")
    assert (found["status"], found["reason"]) == ("unknown", "inconclusive")
    assert "212" not in str(found)


@pytest.mark.parametrize(
    ("day", "said"), [("2026", "day is not known"), (None, "day is not known"), ("2026-01-05", "too old")]
)
def test_a_result_without_an_exact_day_is_not_called_too_old(day: str | None, said: str, ehr: Ehr) -> None:
    """It may well be recent; the card says what is the matter with it."""
    call = ehr.call(MET)
    result = _entry(call, "observations", f"{MET.id}-platelets")
    result.pop("issued", None)
    result["effectiveDateTime"] = day
    answer = ehr.answer(call)
    assert criterion(answer, "8c")["reason"] == "stale"
    (line,) = [line for line in guidance(answer)["detail"].splitlines() if line.startswith("- **Platelets")]
    assert said in line


def test_a_diagnosis_with_an_unknown_modifier_proves_nothing(ehr: Ehr) -> None:
    """Its source counts as not read."""
    call = ehr.call(MET)
    _entry(call, "conditions", f"{MET.id}-hemophilia-b").update(deepcopy(MODIFIER))
    call["context"]["draftOrders"]["entry"][0]["resource"].pop("reasonCode", None)
    found = criterion(ehr.answer(call), "3")
    assert (found["status"], found["reason"]) == ("unknown", "not-retrieved")


def test_an_order_with_an_unknown_modifier_is_not_judged(ehr: Ehr) -> None:
    """What it orders cannot be told, and the card says so."""
    answer = ehr.answer(ehr.call(MET, {**MET.order, **MODIFIER}))
    assert outcomes(answer) == []
    (card,) = answer["cards"]
    assert "could not be read" in card["summary"]


@pytest.mark.parametrize(("word", "status"), [("Negative", "met"), ("Positive", "not-met")])
def test_a_result_within_its_report_counts(word: str, status: str, ehr: Ehr) -> None:
    """A contained Observation is found by no search, and is evidence by its place in the report."""
    call = ehr.call(MET)
    entries = call["prefetch"]["observations"]["entry"]
    held = deepcopy(_entry(call, "observations", f"{MET.id}-hbsag"))
    entries[:] = [entry for entry in entries if entry["resource"]["id"] != f"{MET.id}-hbsag"]
    held |= {"id": "inner", "valueCodeableConcept": {"text": word}}
    held.pop("interpretation", None)
    report = _entry(call, "reports", f"{MET.id}-screening")
    report["contained"] = [held]
    found = criterion(ehr.answer(call), "8a")
    assert found["status"] == status
    assert f"DiagnosticReport/{MET.id}-screening#inner" in [fact["reference"] for fact in found["evidence"]]
