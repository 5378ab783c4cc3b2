"""Two versions of a policy on its page: which one is in force, and what changed, in plain words."""

import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask.testing import FlaskClient
from signing import GOVERNED, PUBLIC, Ehr, guidance
from test_policy_pages import HTML, page

from cds_service.app import POLICIES, create_app
from cds_service.settings import read_settings

FOLDER = "pharmacy-109/hemgenix"
PATH = f"/policies/{FOLDER}"
LATER = "2027-03-01"
CHANGED = [  # what the first version writes, and what the second writes instead
    ("{test: platelets, at_least: 50, within_months: 3}", "{test: platelets, at_least: 75, within_months: 6}"),
    ("The patient must be 18 years of age or older", "The patient must be 12 years of age or older"),
    ("age: {at_least: 18}", "age: {at_least: 12}"),
    ("authorization: {months: 6, quantity: 1,", "authorization: {months: 12, quantity: 1,"),
    ("says: Convenience is stated as the reason for the request.", "says: Convenience is given as the reason."),
    ('text: "Is any other coagulation disorder known?"', 'text: "Is another coagulation disorder known?"'),
    ("label: No other coagulation disorder", "label: No coagulation disorder beside hemophilia B"),
]


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function: a client of the service with two versions, on that day."""
    folder = tmp_path / "policies"
    shutil.copytree(POLICIES, folder)
    text = (folder / FOLDER / "2025-11-20.yaml").read_text("utf-8")
    for before, after in CHANGED:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    (folder / FOLDER / f"{LATER}.yaml").write_text(text, "utf-8")
    app = create_app(read_settings({}, public_url=PUBLIC, auth="off", policies_dir=folder, data_dir=tmp_path / "data"))

    def on(day: date) -> FlaskClient:
        moment = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        monkeypatch.setattr("cds_service.pages.routes.datetime", SimpleNamespace(now=lambda tz: moment))
        return app.test_client()

    return on


def twin(client: FlaskClient, path: str = PATH) -> Any:
    """The page for machines."""
    response = client.get(f"{path}.json" if "?" not in path else path.replace("?", ".json?"))
    assert response.status_code == 200
    return response.get_json()


@pytest.mark.parametrize(("day", "version"), [(date(2027, 2, 28), "2025-11-20"), (date(2027, 3, 1), LATER)])
def test_the_page_is_that_of_the_version_in_force(two: Any, day: date, version: str) -> None:
    """It changes with the day."""
    assert twin(two(day))["version"] == version


def test_an_old_version_stays_readable_and_says_so(two: Any) -> None:
    """At its own address, with until when it counted, and the way to the one in force."""
    found = page(two(date(2027, 6, 1)), f"{PATH}?version=2025-11-20")
    assert "This version is not in force" in found.text
    assert "2027-02-28" in found.text
    assert PATH in found.links


def test_every_version_is_in_the_history(two: Any) -> None:
    """Newest first, with its days and its address."""
    history = twin(two(date(2027, 6, 1)))["history"]
    assert [(one["version"], one["until"], one["inForce"]) for one in history] == [
        (LATER, None, True),
        ("2025-11-20", "2027-02-28", False),
    ]
    client = two(date(2027, 6, 1))
    assert [client.get(one["path"], headers=HTML).status_code for one in history] == [200, 200]


@pytest.mark.parametrize(
    ("criterion", "text"),
    [
        ("8c", "Now proves it: Platelets at least 75 × 10⁹/L, the latest within 6 months. Before: 50, 3."),
        ("2", "Now proves it: 12 years or older on the day of the order. Before: 18."),
        (
            "2",
            "The policy's words are now “The patient must be 12 years of age or older” "
            "(before: “The patient must be 18 years of age or older”).",
        ),
        ("8e", "Now called “No coagulation disorder beside hemophilia B” (before: “No other coagulation disorder”)."),
        (
            "",
            "An approval now covers 1 treatment within 12 months (before: 1 treatment within 6 months).",
        ),
        ("", "The form now asks: Is another coagulation disorder known?"),
    ],
)
def test_what_changed_is_told_in_plain_words(two: Any, criterion: str, text: str) -> None:
    """On the page too."""
    client = two(date(2027, 6, 1))
    newest, oldest = twin(client)["history"]
    assert {"criterion": criterion, "text": text} in newest["changes"]
    assert oldest["changes"] == []
    assert text in page(client, PATH).text


def test_what_did_not_change_is_not_mentioned(two: Any) -> None:
    """Only the criteria that were touched are named."""
    newest, _ = twin(two(date(2027, 6, 1)))["history"]
    assert {one["criterion"] for one in newest["changes"]} == {"", "2", "4b", "8c", "8e"}


@pytest.mark.parametrize("version", ["1999-01-01", "yesterday", "2025-11-20x", "../2025-11-20"])
def test_a_version_that_is_not_there(client: FlaskClient, version: str) -> None:
    """404, without repeating it."""
    response = client.get(PATH, query_string={"version": version})
    assert response.status_code == 404
    assert version not in response.get_data(as_text=True)


@pytest.mark.parametrize("path", ["/policies", PATH])
def test_the_twin_has_an_address_of_its_own(client: FlaskClient, path: str) -> None:
    """The same as by `Accept`."""
    by_header = client.get(path, headers={"Accept": "application/json"})
    assert client.get(f"{path}.json", headers=HTML).get_json() == by_header.get_json()
    assert "Accept" in by_header.headers["Vary"]


def test_every_criterion_says_in_words_what_proves_it(client: FlaskClient) -> None:
    """No name of a test, a value set or a question is left in it."""

    def lines(said: Any) -> list[str]:
        return [said["text"]] if "parts" not in said else [line for part in said["parts"] for line in lines(part)]

    for one in twin(client)["criteria"]:
        told = lines(one["provedBy"])
        assert told
        assert not [line for line in told if "_" in line or "q." in line]


@pytest.mark.parametrize("story", GOVERNED, ids=lambda story: story.id)
def test_a_card_links_to_each_criterion_that_is_open_or_not_met(story: Any, ehr: Ehr, client: FlaskClient) -> None:
    """To the very place on the page of the version that was judged (CRD resp-21)."""
    card = guidance(ehr.sign(story))
    said = card["extension"]["drug-coverage.determination"]
    if said["outcome"] == "policy-not-applicable":
        wanted = set()
    else:
        wanted = {one["id"] for one in said["criteria"] if one["blocking"] and one["status"] in ("not-met", "unknown")}
    links = [link["url"] for link in card["links"][1:]]
    assert {url.partition("#criterion-")[2] for url in links} == wanted
    for url in links:
        response = client.get(url.partition("#")[0].removeprefix(PUBLIC), headers=HTML)
        assert f'id="{url.partition("#")[2]}"' in response.get_data(as_text=True)
