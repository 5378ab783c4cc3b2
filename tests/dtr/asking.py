"""What the tests of the forms share: calls of the endpoint, and what is known of a story's order."""

from collections.abc import Callable
from typing import Any

from flask.testing import FlaskClient
from signing import PUBLIC, TODAY, chart, story_named, whole_record
from werkzeug.test import TestResponse

from cds_service.demo.stories import Story
from cds_service.dtr.package import Known
from cds_service.policy.determination import determine
from fhir_mappings.asked import Asked
from fhir_mappings.chart import chart_of, collect
from fhir_mappings.needs import facts_for, needs_of
from hooks.service import Service
from hooks.wire import decode, encode

Json = dict[str, Any]
Endpoint = Callable[..., FlaskClient]  # what is known behind CONTEXT, the DTR version, who may call

HEMGENIX = f"{PUBLIC}/fhir/Questionnaire/pharmacy-109-hemgenix"
VERSIONED = f"{HEMGENIX}|2025-11-20"
PACKAGE = "/fhir/Questionnaire/$questionnaire-package"
CONTEXT = "ca-known"


def parameters(*given: tuple[str, Any]) -> Json:
    """Parameters of these names: a resource, a canonical where it is a URL, a context, or an instant."""
    members = {"questionnaire": "valueCanonical", "context": "valueString", "changedsince": "valueInstant"}
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": name, members.get(name, "resource"): value} for name, value in given],
    }


def coverage_of(story: Story | str) -> Json:
    """The story's Coverage."""
    (found,) = chart(story_named(story) if isinstance(story, str) else story, "Coverage")
    return found


def asked_for(story: Story | str, **more: Any) -> Json:
    """The parameters that ask for the form of the story's order."""
    told = story_named(story) if isinstance(story, str) else story
    return parameters(("coverage", coverage_of(told)), ("order", told.order), *more.items())


def post(client: FlaskClient, body: Any, path: str = PACKAGE, **kwargs: Any) -> TestResponse:
    """The response to a call of an operation."""
    kwargs.setdefault("content_type", "application/fhir+json")
    return client.post(path, data=body if isinstance(body, bytes) else encode(body), **kwargs)


def answer(response: TestResponse) -> Json:
    """The resource of a response of status 200."""
    assert response.status_code == 200, response.get_data(as_text=True)
    assert response.content_type == "application/fhir+json"
    found: Json = decode(response.data)
    return found


def outcome(response: TestResponse, status: int) -> Json:
    """The one issue of a refusal."""
    assert response.status_code == status, response.get_data(as_text=True)
    assert response.content_type == "application/fhir+json"
    found = decode(response.data)
    assert found["resourceType"] == "OperationOutcome"
    (issue,) = found["issue"]
    return dict(issue)


def packages(found: Json, name: str = "packagebundle") -> list[list[Json]]:
    """Form and draft of each Bundle."""
    return [whole[:2] for whole in contents(found, name)]


def contents(found: Json, name: str = "packagebundle") -> list[list[Json]]:
    """Every resource of each Bundle."""
    bundles = [one["resource"] for one in found["parameter"] if one["name"] == name]
    return [[entry["resource"] for entry in bundle["entry"]] for bundle in bundles]


def flat(items: list[Json]) -> dict[str, Json]:
    """Every item by linkId, however deep."""
    found: dict[str, Json] = {}
    for item in items:
        found[item["linkId"]] = item
        found |= flat(item.get("item", []))
    return found


def answers(response: Json) -> dict[str, Any]:
    """What a QuestionnaireResponse says, by linkId."""
    found = {}
    for link_id, item in flat(response["item"]).items():
        for given in item.get("answer", []):
            (found[link_id],) = [value for name, value in given.items() if name.startswith("value")]
    return found


def known(service: Service, story: Story | str) -> Known:
    """What the service knows of the story's order once it has answered it."""
    told = story_named(story) if isinstance(story, str) else story
    (policy,) = (found for found in service.library.policies if found.source.drug == told.drug)
    asked = Asked(
        patient_id=told.id,
        orders=(told.order,),
        day=TODAY,
        drafts=(told.order,),
        prefetch=whole_record(told.resources, told.failing),
    )
    needs = needs_of([policy], asked)
    record = collect(needs, asked, service.vocabulary)
    facts = facts_for(policy, chart_of(record, told.order, needs, asked, service.vocabulary), service.vocabulary.labs)
    said = determine(policy, facts)
    return Known(policy.source.policy, policy.source.drug, policy.source.version, said.outcome, facts)
