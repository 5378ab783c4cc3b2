"""The payers that are served here: their names on cards, whom to ask, and files that cannot be used."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from signing import BY_ID, Ehr, Json, guidance, order_of, said_of

from cds_service.app import create_app
from cds_service.payers import PayerFile, PayersError
from cds_service.settings import Settings

MET = BY_ID["demo-hemgenix-met"]
(PAYER,) = (r for r in MET.resources if r["resourceType"] == "Organization" and r["id"] == "demo-plan")
IDENTIFIER = PAYER["identifier"][0]
ENTRY: Json = {
    "name": "Example Health Plan, Inc.",
    "label": "Example Choice",
    "identifiers": [{"system": IDENTIFIER["system"], "value": IDENTIFIER["value"]}],
    "contact": {
        "name": "Gene therapy desk",
        "telecom": [{"system": "phone", "value": "555-0100", "use": "work"}, {"system": "fax", "value": "555-0101"}],
    },
}
OTHER: Json = {"name": "Another", "identifiers": [{"system": "urn:x", "value": "1"}]}
Serving = Callable[..., Ehr]


def payers_file(folder: Path, content: Any) -> Path:
    """A payers file."""
    path = folder / "payers.json"
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.fixture
def served(tmp_path: Path, settings: Settings, client: FlaskClient, ehr: Ehr) -> Serving:
    """A function: the EHR of a service with these payers."""

    def serve(*entries: Json, dialect: str = "2.2") -> Ehr:
        changed = {"payers": payers_file(tmp_path, list(entries)), "default_dialect": dialect}
        return Ehr(create_app(settings.model_copy(update=changed)).test_client(), ehr.templates)

    return serve


@pytest.mark.conformance("resp-4")
def test_cards_carry_the_payers_label(served: Serving) -> None:
    """As printed on the insurance card."""
    found = served(ENTRY, OTHER).sign(MET)
    assert {card["source"]["label"] for card in found["cards"]} == {"Example Choice"}
    assert found["systemActions"][0]["description"].startswith("Example Choice: ")


def test_a_payer_without_a_label_is_called_by_its_name(served: Serving) -> None:
    """The name is the next best."""
    found = served({name: value for name, value in ENTRY.items() if name != "label"}).sign(MET)
    assert guidance(found)["source"]["label"] == "Example Health Plan, Inc."


@pytest.mark.parametrize("dialect", ["2.2", "plain"])
def test_the_contact_is_a_contact_detail(dialect: str, served: Serving) -> None:
    """As it stands in the file."""
    found = served(ENTRY, dialect=dialect).sign(MET)
    assert said_of(found)["contact"] == [ENTRY["contact"]]


def test_the_contact_is_contact_points_in_2_0_1(served: Serving) -> None:
    """One for each way to reach it."""
    found = served(ENTRY, dialect="2.0.1").sign(MET)
    assert said_of(found)["contact"] == ENTRY["contact"]["telecom"]


@pytest.mark.parametrize("contact", [None, {}, {"name": "Desk"}, {"telecom": []}], ids=repr)
@pytest.mark.parametrize("dialect", ["2.2", "2.0.1"])
def test_a_contact_that_says_little_breaks_nothing(dialect: str, contact: Json | None, served: Serving) -> None:
    """Nothing is written that is empty."""
    said = said_of(served({**ENTRY, "contact": contact}, dialect=dialect).sign(MET))
    expected = [contact] if dialect == "2.2" and contact and contact.get("name") else None
    assert said.get("contact") == expected


@pytest.mark.conformance("hook-13")
def test_a_payer_that_is_not_served_is_a_400_in_2_2(served: Serving) -> None:
    """With an OperationOutcome."""
    ehr = served(OTHER)
    response = ehr.post(ehr.call(MET))
    assert response.status_code == 400
    assert "not served here" in response.get_json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize("dialect", ["2.0.1", "plain"])
def test_others_get_guidance_without_coverage_information(dialect: str, served: Serving) -> None:
    """Marked as not confirmed."""
    found = served(OTHER, dialect=dialect).sign(MET)
    assert found["systemActions"] == []
    assert "overage not confirmed" in guidance(found)["detail"]


def test_an_identifier_of_another_system_is_another_payer(served: Serving) -> None:
    """Both system and value count."""
    other = {**ENTRY, "identifiers": [{"system": "urn:other", "value": IDENTIFIER["value"]}]}
    ehr = served(other)
    assert ehr.post(ehr.call(MET)).status_code == 400


def test_any_identifier_of_the_payer_will_do(served: Serving) -> None:
    """Several of the file, and several of the Organization."""
    several = {**ENTRY, "identifiers": [{"system": "urn:x", "value": "9"}, *ENTRY["identifiers"]]}
    assert guidance(served(several).sign(MET))["source"]["label"] == "Example Choice"


def test_an_ungoverned_order_is_answered_in_the_payers_name_too(served: Serving) -> None:
    """It has no card, and the action's description names the payer."""
    story = BY_ID["demo-other-drug"]
    found = served(ENTRY).sign(story, order_of(story.id))
    assert found["systemActions"][0]["description"].startswith("Example Choice: ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "DecodeError"),
        ("[", "DecodeError"),
        ("{}", "array"),
        ("[]", "at least one payer"),
        ([{"name": "X"}], "identifiers"),
        ([{"identifiers": []}], "name"),
        ([{"name": "X", "identifiers": []}], "at least one payer"),
        ([{**ENTRY, "labell": "x"}], "labell"),
        ([{**ENTRY, "identifiers": [{"system": "x"}]}], "value"),
        ([{**ENTRY, "contact": {"phone": "1"}}], "phone"),
        ([{**ENTRY, "name": 5}], "str"),
        ([{**ENTRY, "identifiers": [{"system": "x", "value": " "}]}], "value"),
        ([{**ENTRY, "contact": {"telecom": [{"system": "pigeon", "value": "1"}]}}], "telecom"),
        ([ENTRY, {**OTHER, "identifiers": ENTRY["identifiers"]}], "one with two"),
        (b'[{"name": "\xff", "identifiers": []}]', "UnicodeDecodeError"),
        (b" " * (4 * 1024 * 1024 + 1), "at most"),
    ],
    ids=[
        "empty", "no JSON", "an object", "no payers", "no identifiers", "no name", "empty identifiers",
        "unknown member", "identifier without value", "unknown contact", "number for a name",
        "blank value", "unknown way", "two payers of one identifier", "no UTF-8", "too large",
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused(content: Any, said: str, tmp_path: Path) -> None:
    """With its name and what is wrong."""
    with pytest.raises(PayersError, match=said) as error:
        PayerFile(payers_file(tmp_path, content))
    assert "payers.json" in str(error.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """By name."""
    with pytest.raises(PayersError, match=r"none\.json: FileNotFoundError"):
        PayerFile(tmp_path / "none.json")
