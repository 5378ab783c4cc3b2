"""The interface description, and calls made from it."""

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cds_service.openapi import document
from hooks.registry import HOOKS

CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
DESCRIBED = document("", with_tokens=False, version="0")


def test_every_hook_is_described(client: FlaskClient) -> None:
    """Its service and its feedback, and nothing else but discovery."""
    found = client.get("/openapi.json").get_json()
    services = {f"/cds-services/{hook.service_id}{end}" for hook in HOOKS for end in ("", "/feedback")}
    assert found["openapi"] == "3.1.0"
    assert set(found["paths"]) == {"/cds-services", *services}


def test_the_context_of_each_hook_is_the_one_that_is_checked() -> None:
    """Each member of a hook is there, and required where it is."""
    for hook in HOOKS:
        name = DESCRIBED["paths"][f"/cds-services/{hook.service_id}"]["post"]["requestBody"]["content"]
        schema = name["application/json"]["schema"]["$ref"].rpartition("/")[2]
        context = DESCRIBED["components"]["schemas"][schema]["properties"]["context"]
        assert set(context["properties"]) == {member.name for member in hook.members}
        assert set(context["required"]) == {member.name for member in hook.members if member.required}


def test_with_tokens_each_call_asks_for_one() -> None:
    """Discovery does not."""
    described = document("https://plan.example", with_tokens=True, version="0")
    for path, item in described["paths"].items():
        for operation in item.values():
            assert ("security" in operation) is (path != "/cds-services")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", sorted(DESCRIBED["paths"]))
def test_no_call_that_the_description_allows_is_a_fault(path: str, app: Flask) -> None:
    """Whatever is made up from it: an answer as described, or a refusal with an OperationOutcome."""
    described = schemathesis.openapi.from_dict(DESCRIBED)
    described.app = app
    operations = [result.ok() for result in described.get_all_operations()]
    (operation,) = [one for one in operations if one.path == path]

    @settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy())
    def tried(case: schemathesis.Case) -> None:
        response = case.call()
        assert response.status_code < 500 or response.status_code == 503, response.text
        case.validate_response(response, checks=CHECKS)

    tried()
