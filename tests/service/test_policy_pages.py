"""The policy as a person reads it, and the same for machines."""

import re
from html.parser import HTMLParser

import pytest
from flask.testing import FlaskClient
from signing import GOVERNED, Ehr, determinations, guidance

from cds_service.demo.stories import Story

JSON = {"Accept": "application/json"}
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
DRUGS = ["hemgenix", "roctavian"]
IDS = {
    "hemgenix": ["1", "2", "3", "4", "4a", "4b", "5", "6", "7", "8a", "8b", "8c", "8d", "8e", "9", "10"],
    "roctavian": ["1", "2", "3", "4", "5", "6", "7", "8", "9a", "9b", "9c", "9d", "9e", "10", "11"],
}


class Page(HTMLParser):
    """The text, links and sources of a page; open elements are counted."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.links, self.sources, self.tags = "", [], [], []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        named = dict(attrs)
        self.links += [named["href"]] if tag == "a" and "href" in named else []
        self.sources += [value for name, value in attrs if name in ("src", "href") and tag != "a"]
        assert not [name for name, _ in attrs if name.startswith("on") or name == "style"]

    def handle_data(self, data: str) -> None:
        self.text += data


def page(client: FlaskClient, path: str) -> Page:
    """The page as a browser gets it."""
    response = client.get(path, headers=HTML)
    assert response.status_code == 200
    assert response.mimetype == "text/html"
    return Page(response.get_data(as_text=True))


def test_the_list_leads_to_each_policy(client: FlaskClient) -> None:
    """By name, with a link that works."""
    found = page(client, "/policies")
    assert "Hemgenix" in found.text
    assert "Roctavian" in found.text
    own = [link for link in found.links if link and "/policies/" in link]
    assert len(own) == 2
    for link in own:
        assert client.get(link, headers=HTML).status_code == 200


def test_the_list_for_machines(client: FlaskClient) -> None:
    """Policy, drug, version and path."""
    response = client.get("/policies", headers=JSON)
    assert response.content_type == "application/json"
    found = {one["drug"]: one for one in response.get_json()["policies"]}
    assert sorted(found) == DRUGS
    assert found["hemgenix"]["policy"] == "PHARMACY-109"
    assert found["hemgenix"]["version"] == "2025-11-20"
    assert found["hemgenix"]["path"] == "/policies/pharmacy-109/hemgenix"


@pytest.mark.parametrize("drug", DRUGS)
def test_a_policy_s_page_has_every_criterion(drug: str, client: FlaskClient) -> None:
    """With its label, and its paragraph as the policy has it."""
    found = page(client, f"/policies/pharmacy-109/{drug}")
    text = " ".join(found.text.split())
    twin = client.get(f"/policies/pharmacy-109/{drug}", headers=JSON).get_json()
    assert [one["id"] for one in twin["criteria"]] == IDS[drug]
    assert "The patient must be 18 years of age or older" in text
    for one in twin["criteria"]:
        assert one["paragraph"]
        assert one["label"] in text
        assert " ".join(one["paragraph"].split()) in text
    assert twin["version"] in text
    assert twin["billing"]["code"] in text


@pytest.mark.parametrize("drug", DRUGS)
def test_a_policy_s_page_shows_codes_units_and_windows(drug: str, client: FlaskClient) -> None:
    """Everything that a criterion is read from."""
    found = page(client, f"/policies/pharmacy-109/{drug}")
    twin = client.get(f"/policies/pharmacy-109/{drug}", headers=JSON).get_json()
    tests = [test for one in twin["criteria"] for test in one["tests"]]
    assert tests
    for test in tests:
        assert test["title"] in found.text
        assert all(code["code"] in found.text for code in test["codes"])
        assert not test["unit"] or test["unit"] in found.text
    platelets = next(test for test in tests if test["name"] == "platelets")
    assert platelets["withinMonths"] == 3


@pytest.mark.parametrize("path", ["/policies", "/policies/pharmacy-109/hemgenix"])
def test_a_page_needs_nothing_from_elsewhere(path: str, client: FlaskClient) -> None:
    """No script, no foreign style sheet, and what it names is there."""
    found = page(client, path)
    assert "script" not in found.tags
    for source in found.sources:
        assert source is not None
        assert not re.match(r"(?i)[a-z]+:|//", source)
        with client.get(source) as response:
            assert response.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/policies/pharmacy-109/aspirin",
        "/policies/pharmacy-110/hemgenix",
        "/policies/pharmacy-109",
        "/policies/pharmacy-109/hemgenix/2025-11-20",
        "/policies/pharmacy-109/..%2fhemgenix",
        "/policies/%3Cscript%3E/x",
    ],
)
@pytest.mark.parametrize("accepted", [JSON, HTML])
def test_a_policy_that_is_not_there(path: str, accepted: dict[str, str], client: FlaskClient) -> None:
    """404, and nothing of what was asked for is repeated."""
    response = client.get(path, headers=accepted)
    assert response.status_code == 404
    assert "script" not in response.get_data(as_text=True)


@pytest.mark.parametrize("end", ["", ".json", "?version=2025-11-20"])
def test_a_policy_is_found_by_its_number_as_cards_write_it(end: str, client: FlaskClient) -> None:
    """In capitals, and the drug as its name is written."""
    found = client.get(f"/policies/PHARMACY-109/Hemgenix{end}", headers=HTML)
    assert found.status_code == 200
    assert found.data == client.get(f"/policies/pharmacy-109/hemgenix{end}", headers=HTML).data


@pytest.mark.parametrize("story", GOVERNED[:2], ids=lambda story: story.id)
def test_the_link_on_a_card_leads_to_the_page(story: Story, ehr: Ehr, client: FlaskClient) -> None:
    """And the page has the criteria of the card, under the same labels."""
    answer = ehr.sign(story)
    url = guidance(answer)["links"][0]["url"]
    twin = client.get(url.removeprefix("https://plan.example"), headers=JSON).get_json()
    (found,) = determinations(answer)
    assert [(one["id"], one["label"]) for one in twin["criteria"]] == [
        (one["id"], one["label"]) for one in found["criteria"]
    ]


def test_discovery_names_the_service(client: FlaskClient, ehr: Ehr) -> None:
    """One order-sign service, which speaks CRD 2.2 and can be switched off card by card."""
    response = client.get("/cds-services")
    assert response.content_type == "application/json"
    (found,) = [one for one in response.get_json()["services"] if one["id"] == "order-sign-crd"]
    assert found["hook"] == "order-sign"
    assert found["description"]
    assert found["extension"]["davinci-crd.version"] == ["2.2"]
    options = found["extension"]["davinci-crd.configuration-options"]
    assert {"coverage-info", "guideline"} <= {option["code"] for option in options}
    for option in options:
        assert option.keys() == {"code", "type", "name", "description", "default"}
    assert len({option["code"] for option in options}) == len(options)


def test_prefetch_templates_use_only_tokens_of_the_hook(client: FlaskClient) -> None:
    """Root fields of the context and the user, and the guide's own strings for patient, encounter and coverage."""
    (found,) = [one for one in client.get("/cds-services").get_json()["services"] if one["id"] == "order-sign-crd"]
    tokens = set(re.findall(r"\{\{(.*?)\}\}", " ".join(found["prefetch"].values())))
    assert tokens <= {"context.patientId", "context.encounterId", "userPractitionerId"}
    assert found["prefetch"]["patient"] == "Patient/{{context.patientId}}"
    assert found["prefetch"]["encounter"] == "Encounter/{{context.encounterId}}"
    assert found["prefetch"]["coverage"] == "Coverage?patient={{context.patientId}}&status=active"


def test_nothing_in_discovery_is_empty(client: FlaskClient) -> None:
    """No null and no empty text."""
    assert not re.search(r'""|null|\[\]|\{\}', client.get("/cds-services").get_data(as_text=True))


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health(path: str, client: FlaskClient) -> None:
    """200 while all is well."""
    assert client.get(path).status_code == 200
