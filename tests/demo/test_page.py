"""The order-entry page: what it is served with, and what it never does."""

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

import cds_service.demo.page as page_module
from cds_service.demo.run import demo_app, demo_settings
from cds_service.demo.store import Store

STATIC = Path(page_module.__file__).parent / "static"
FILES = sorted(STATIC.iterdir())


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def test_the_page_is_served_with_and_without_a_slash(client: FlaskClient) -> None:
    """/demo and /demo/ both answer with the page."""
    assert client.get("/demo").status_code == 200
    assert client.get("/demo/").status_code == 200


def test_the_page_allows_nothing_inline_and_nothing_from_outside(client: FlaskClient) -> None:
    """The content security policy names this origin alone."""
    policy = client.get("/demo").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_page_has_no_inline_script_or_style(client: FlaskClient) -> None:
    """The page works under its own policy."""
    html = client.get("/demo").text
    assert re.search(r"<script(?![^>]*src=)", html) is None
    assert re.search(r"<style|\sstyle=|\son\w+=", html) is None


def test_every_file_of_the_page_is_there(tmp_path: Path) -> None:
    """What the page and its modules refer to is served, by the service beside it where it is the service's."""
    client = demo_app(demo_settings(8080, tmp_path)).test_client()
    html = client.get("/demo").text
    for path in re.findall(r'(?:href|src)="(/[^"]+)"', html):
        with client.get(path) as answer:
            assert answer.status_code == 200, path
    for file in FILES:
        for module in re.findall(r'from "\./([^"]+)"', file.read_text()):
            assert (STATIC / module).is_file(), f"{file.name} imports {module}"


@pytest.mark.parametrize("file", [file for file in FILES if file.suffix != ".svg"], ids=lambda file: file.name)
def test_nothing_is_fetched_from_elsewhere(file: Path) -> None:
    """No module or style sheet refers to another host, other than as the name of a code system."""
    found = re.findall(r"https?://[^\s\"'`)>]+", file.read_text())
    known = ("http://terminology.hl7.org/CodeSystem/", "http://snomed.info/sct", "http://unitsofmeasure.org")
    assert [url for url in found if not url.startswith(known) and not url.startswith(("https?:", "https?:\\"))] == []


@pytest.mark.parametrize("file", [file for file in FILES if file.suffix == ".js"], ids=lambda file: file.name)
def test_text_never_becomes_markup(file: Path) -> None:
    """No module writes HTML."""
    assert re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", file.read_text()) is None


def test_patients_come_with_their_order(client: FlaskClient) -> None:
    """The list has each patient's story and the draft order that is to be signed."""
    patients = client.get("/demo/api/patients").json["patients"]
    first = patients[0]
    assert (first["id"], first["name"]) == ("demo-hemgenix-met", "Alder Example")
    assert first["order"]["status"] == "draft"
    assert first["encounterId"] == "demo-hemgenix-met-visit"
    assert len(patients) >= 14


def test_the_list_does_not_give_the_answer_away(client: FlaskClient) -> None:
    """What the plan should answer is for tests, not for the page."""
    assert "outcome" not in client.get("/demo/api/patients").text.lower()


def test_a_result_can_be_added_of_every_test(client: FlaskClient) -> None:
    """Each test has units or words to choose from."""
    tests = client.get("/demo/api/patients").json["tests"]
    assert {"platelets", "hbsag", "aav5", "liver"} <= {test["name"] for test in tests}
    assert all(test.get("units") or test.get("words") for test in tests)


def test_the_charts_are_loaded_from_the_start(client: FlaskClient) -> None:
    """The record has the sample patients before anyone has asked for a reset."""
    assert client.get("/demo/fhir/Patient/demo-hemgenix-met").status_code == 200


def test_a_reset_restores_the_sample_data(client: FlaskClient, store: Store) -> None:
    """What was added is gone, what was deleted is back."""
    client.delete("/demo/fhir/Patient/demo-hemgenix-met")
    client.post("/demo/fhir/Observation", json={"resourceType": "Observation", "status": "final"})
    before = len(store.all_of("Observation"))
    assert client.post("/demo/api/reset").status_code == 200
    assert len(store.all_of("Observation")) == before - 1
    assert client.get("/demo/fhir/Patient/demo-hemgenix-met").status_code == 200


@pytest.mark.parametrize("word", ["FHIR", "CDS", "hook", "JSON", "LOINC", "SNOMED", "API", "prefetch"])
def test_a_prescriber_reads_no_jargon(client: FlaskClient, word: str) -> None:
    """Outside the technical view, the page and the story texts say it in plain words."""
    html = client.get("/demo").text
    html = re.sub(r'<details id="wire".*?</details>', "", html, flags=re.DOTALL)
    html = re.sub(r"<head>.*?</head>", "", html, flags=re.DOTALL)
    visible = re.sub(r"<[^>]+>", " ", html)
    told = " ".join(f"{one['title']} {one['text']}" for one in client.get("/demo/api/patients").json["patients"])
    assert re.search(rf"\b{word}\b", f"{visible} {told}", re.IGNORECASE) is None
