"""`GET /cds-services`: one service for each hook, templates that every client can fill, options that are obeyed."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from signing import Json

from hooks.hook import Hook
from hooks.options import CARD_CODES
from hooks.registry import HOOKS

# The root fields of each hook's context that hold a primitive, by the CDS Hooks library.
FIELDS = {
    "order-sign": {"userId", "patientId", "encounterId"},
    "order-select": {"userId", "patientId", "encounterId"},
    "order-dispatch": {"patientId"},
    "appointment-book": {"userId", "patientId", "encounterId"},
    "encounter-start": {"userId", "patientId", "encounterId"},
    "encounter-discharge": {"userId", "patientId", "encounterId"},
}
# CRD 2.2.1, card types: cdshooks-card-type.
CARD_TYPES = {
    "coverage-info", "unsolicited-determ", "claim", "insurance", "limits", "network", "appropriate-use", "cost",
    "therapy-alternatives-opt", "therapy-alternatives-req", "clinical-reminder", "duplicate-therapy",
    "contraindication", "guideline", "off-guideline",
}  # fmt: skip
USER_TOKENS = {"userPractitionerId", "userPractitionerRoleId", "userPatientId", "userRelatedPersonId"}


@pytest.fixture
def services(client: FlaskClient) -> list[Json]:
    """The services as discovery lists them."""
    found: list[Json] = client.get("/cds-services").get_json()["services"]
    return found


def options(service: Json) -> list[Json]:
    """Its configuration options."""
    found: list[Json] = service["extension"]["davinci-crd.configuration-options"]
    return found


@pytest.mark.conformance("hook-4", "hook-39", "found-15")
def test_there_is_one_service_for_each_hook(services: list[Json]) -> None:
    """All six hooks of CRD, under ids of their own."""
    assert {service["hook"]: service["id"] for service in services} == {hook: f"{hook}-crd" for hook in FIELDS}
    assert len(services) == len(FIELDS)


@pytest.mark.parametrize("hook", HOOKS, ids=[hook.name for hook in HOOKS])
def test_every_service_is_there_to_be_called(hook: Hook, client: FlaskClient) -> None:
    """An empty call is a bad one, and not an unknown place."""
    response = client.post(f"/cds-services/{hook.service_id}", json={})
    assert response.status_code == 400


@pytest.mark.conformance("found-24")
def test_templates_use_the_tokens_of_cds_hooks_2_0_alone(services: list[Json]) -> None:
    """Root fields of the hook's own context that hold a primitive, and the ids of the user."""
    for service in services:
        fields = FIELDS[service["hook"]]
        for template in service["prefetch"].values():
            for token in re.findall(r"\{\{(.*?)\}\}", template):
                known = token in USER_TOKENS and "userId" in fields
                assert known or token in {f"context.{name}" for name in fields}, (service["hook"], template)
            assert "{" not in re.sub(r"\{\{.*?\}\}", "", template)


def test_templates_keep_to_the_queries_that_every_server_can(services: list[Json]) -> None:
    """Reads, and searches by reference and token; relative, and without chaining or includes."""
    for service in services:
        for template in service["prefetch"].values():
            path, _, query = template.partition("?")
            assert re.fullmatch(r"[A-Z][A-Za-z]+(/\{\{[\w.]+\}\})?", path), template
            names = [part.partition("=")[0] for part in query.split("&") if part]
            assert set(names) <= {"patient", "status", "code", "_id", "practitioner", "_count", "_sort"}, template


@pytest.mark.conformance("found-29")
@pytest.mark.parametrize(
    ("key", "template"),
    [
        ("patient", "Patient/{{context.patientId}}"),
        ("encounter", "Encounter/{{context.encounterId}}"),
        ("coverage", "Coverage?patient={{context.patientId}}&status=active"),
    ],
)
def test_the_guides_own_strings_are_used(key: str, template: str, services: list[Json]) -> None:
    """Letter by letter, on every hook whose context has what they name."""
    for service in services:
        if key != "encounter" or service["hook"] != "order-dispatch":
            assert service["prefetch"][key] == template


def test_no_prefetch_is_asked_for_what_a_hook_does_not_have(services: list[Json]) -> None:
    """order-dispatch names neither user nor encounter."""
    (dispatch,) = [service for service in services if service["hook"] == "order-dispatch"]
    assert not [template for template in dispatch["prefetch"].values() if "encounterId" in template]
    assert not [template for template in dispatch["prefetch"].values() if "{{user" in template]


@pytest.mark.conformance("dev-1", "dev-2")
def test_each_service_declares_its_version(services: list[Json]) -> None:
    """As `major.minor`."""
    for service in services:
        assert service["extension"]["davinci-crd.version"] == ["2.2"]


@pytest.mark.conformance("dev-4")
def test_each_option_is_whole(services: list[Json]) -> None:
    """Code, type, name, description and a default of that type."""
    for service in services:
        for option in options(service):
            assert set(option) == {"code", "type", "name", "description", "default"}
            kind: Any = {"boolean": bool, "integer": int}[option["type"]]
            assert type(option["default"]) is kind
            assert option["name"].strip()
            assert option["description"].strip()


@pytest.mark.conformance("dev-5", "resp-15", "dev-10")
def test_each_kind_of_answer_can_be_turned_off(services: list[Json]) -> None:
    """A boolean for coverage-information, for numbers and for each kind of card."""
    for service in services:
        switches = {option["code"] for option in options(service) if option["type"] == "boolean"}
        assert switches >= {"coverage-info", "unsolicited-determ", *CARD_CODES}


@pytest.mark.conformance("dev-7")
def test_the_codes_are_those_of_the_card_types(services: list[Json]) -> None:
    """But for the number of cards, which the guide's own example has too."""
    for service in services:
        assert {option["code"] for option in options(service)} <= CARD_TYPES | {"max-cards"}


@pytest.mark.conformance("dev-8")
def test_codes_names_and_descriptions_are_unique(services: list[Json]) -> None:
    """Within a service."""
    for service in services:
        for member in ("code", "name", "description"):
            found = [option[member] for option in options(service)]
            assert len(found) == len(set(found))


@pytest.mark.conformance("dev-9")
def test_the_options_are_the_same_on_all_hooks(services: list[Json]) -> None:
    """Word by word."""
    for service in services:
        assert options(service) == options(services[0])


@pytest.mark.conformance("found-40")
def test_discovery_is_stable_and_compact(client: FlaskClient) -> None:
    """The same bytes each time, so that clients can keep them, and no white space that says nothing."""
    one, two = client.get("/cds-services"), client.get("/cds-services")
    assert one.data == two.data
    assert one.content_type == "application/json"
    assert b": " not in re.sub(rb'"(?:[^"\\]|\\.)*"', b'""', one.data)


def test_nothing_in_it_is_empty(services: list[Json]) -> None:
    """CDS Hooks: neither null, nor "", nor [] nor {}."""

    def walk(value: object) -> None:
        assert value not in (None, "", [], {})
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(inner)

    walk(services)


def test_no_service_has_an_address_of_its_own(services: list[Json]) -> None:
    """A service is called at `{base}/cds-services/{id}`."""
    for service in services:
        assert set(service) <= {
            "hook", "id", "title", "description", "usageRequirements", "prefetch", "extension", "version",
        }  # fmt: skip
        assert re.fullmatch(r"[a-z\-]+", service["id"])
