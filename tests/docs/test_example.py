"""The example policy of the docs is sound, and nothing of another policy's words comes with it."""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cds_service.app import create_app
from cds_service.check import check_policies
from cds_service.evaluate import evaluate_bundle
from cds_service.settings import Settings, read_settings

EXAMPLE = Path(__file__).parents[2] / "docs" / "example"
FOREIGN = re.compile(
    r"h(a)?emophil|h(a)?emato|clotting|bleed|factor (viii|ix)|aav5|hemgenix|roctavian|pharmacy-109", re.I
)
DAY = date(2026, 11, 24)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The service with the example's policies alone."""
    return read_settings({}, public_url="https://plan.example", auth="off", policies_dir=EXAMPLE, data_dir=tmp_path)


def statement(drug: str, start: str, end: str) -> dict[str, Any]:
    """A drug that was taken."""
    period = {"start": start, "end": end}
    concept = {"text": drug}
    about = {"status": "completed", "subject": {"reference": "Patient/p"}, "effectivePeriod": period}
    return {"resourceType": "MedicationStatement", "id": drug, "medicationCodeableConcept": concept, **about}


def chart(*more: dict[str, Any]) -> bytes:
    """A patient with rheumatoid arthritis and an order for the drug."""
    confirmed = {"coding": [{"code": "confirmed"}]}
    code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "M05.79"}]}
    subject = {"reference": "Patient/p"}
    order = {"resourceType": "MedicationRequest", "id": "m", "status": "draft", "intent": "order", "subject": subject}
    resources = [
        {"resourceType": "Patient", "id": "p", "birthDate": "1980-06-01"},
        {**order, "medicationCodeableConcept": {"text": "Artrumab"}, "dosageInstruction": [{"text": "40 mg"}]},
        {"resourceType": "Condition", "id": "c", "subject": subject, "code": code, "verificationStatus": confirmed},
        *more,
    ]
    return json.dumps(
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in resources]}
    ).encode()


def judged(settings: Settings, *more: dict[str, Any]) -> dict[str, Any]:
    """The determination of the order."""
    (found,) = json.loads(evaluate_bundle(chart(*more), None, DAY, True, settings))["determinations"]
    return {criterion["id"]: criterion for criterion in found["criteria"]}


def test_the_example_is_sound() -> None:
    """Every case holds."""
    report, sound = check_policies(EXAMPLE)
    assert sound, report


def test_the_card_the_page_and_the_form_speak_of_this_policy_alone(settings: Settings) -> None:
    """What is said comes from its file."""
    client = create_app(settings).test_client()
    said = [evaluate_bundle(chart(), None, DAY, True, settings)]
    for address in ("/policies", "/policies/fict-40/artrumab", "/fhir/Questionnaire/fict-40-artrumab"):
        found = client.get(address)
        assert found.status_code == 200, address
        said.append(found.get_data(as_text=True))
    assert [FOREIGN.findall(text) for text in said] == [[]] * 4
    assert "At least 2 of:" in said[2]
    assert "ALT at most 3 times the laboratory&#39;s upper limit of normal, the latest within 6 months" in said[2]
    assert "methotrexate, recorded as given or stated or dispensed, within 12 months" in said[2]


def test_a_drug_counts_while_its_period_reaches_into_the_window(settings: Settings) -> None:
    """One that ended before it is too old, and the open criterion says so."""
    recent = statement("methotrexate", "2024-05-01", "2026-04-01")
    old, ended = (
        statement("leflunomide", "2024-01-01", "2025-11-23"),
        statement("leflunomide", "2024-01-01", "2025-11-24"),
    )
    assert judged(settings, recent, old)["2"]["reason"] == "stale"
    assert "Two DMARDs" not in judged(settings, recent, ended)["2"]["needed"]


def test_a_test_of_the_folder_is_read_from_a_chart(settings: Settings) -> None:
    """Found by its name, like those of the service's own table."""
    code = {"text": "QuantiFERON-TB Gold"}
    about = {"status": "final", "subject": {"reference": "Patient/p"}, "effectiveDateTime": "2026-11-10"}
    result = {"resourceType": "Observation", "id": "o", "code": code, "valueString": "Negative", **about}
    assert judged(settings)["3"]["status"] == "unknown"
    assert judged(settings, result)["3"]["status"] == "met"


def enzyme(name: str, code: str, value: float, unit: str = "U/L", **more: Any) -> dict[str, Any]:
    """A result of this month."""
    coding = {"coding": [{"system": "http://loinc.org", "code": code}]}
    about = {"status": "final", "subject": {"reference": "Patient/p"}, "effectiveDateTime": "2026-11-10"}
    value_quantity = {"value": value, "unit": unit}
    return {"resourceType": "Observation", "id": name, "code": coding, "valueQuantity": value_quantity, **about, **more}


def normal(low: float, high: float, unit: str = "U/L", **more: Any) -> dict[str, Any]:
    """A reference range."""
    return {"low": {"value": low, "unit": unit}, "high": {"value": high, "unit": unit}, **more}


AST = enzyme("ast", "1920-8", 0.5, "ukat/L", referenceRange=[normal(0.17, 0.58, "ukat/L")])


def test_a_value_is_held_against_the_laboratorys_own_limit(settings: Settings) -> None:
    """The card shows the range beside it."""
    alt = enzyme("alt", "1742-6", 120, referenceRange=[normal(7, 40)])
    found = judged(settings, AST, alt)["7"]
    assert found["status"] == "met"
    assert [fact["display"] for fact in found["evidence"]] == [
        "ALT 120 U/L on 2026-11-10 (normal 7 U/L - 40 U/L)",
        "AST 0.5 ukat/L on 2026-11-10 (normal 0.17 ukat/L - 0.58 ukat/L)",
    ]
    alt = enzyme("alt", "1742-6", 121, referenceRange=[normal(7, 40)])
    assert judged(settings, AST, alt)["7"]["status"] == "not-met"


@pytest.mark.parametrize(
    "ranges",
    [
        [],
        [normal(7, 33, appliesTo=[{"text": "female"}]), normal(7, 40, appliesTo=[{"text": "male"}])],
        [{"text": "7 - 40"}],
    ],
)
def test_a_value_without_one_limit_of_the_laboratory_stays_open(settings: Settings, ranges: list[Any]) -> None:
    """What is needed says so."""
    found = judged(settings, AST, enzyme("alt", "1742-6", 10, referenceRange=ranges))["7"]
    assert (found["status"], found["reason"]) == ("unknown", "inconclusive")
    assert found["needed"] == "An ALT on or after 2026-05-24, with the laboratory's upper limit of normal"
    assert found["evidence"][0]["display"] == "ALT 10 U/L on 2026-11-10 (no upper limit of normal with it)"


def test_a_fixed_dose_in_milligrams_is_read(settings: Settings) -> None:
    """From the order's own text."""
    assert judged(settings)["6"]["status"] == "met"
