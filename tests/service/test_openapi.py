"""The interface description, and calls made from it."""

import re
from typing import Any

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
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
    """Its service and its feedback, beside discovery and the FHIR endpoint."""
    found = client.get("/openapi.json").get_json()
    services = {f"/cds-services/{hook.service_id}{end}" for hook in HOOKS for end in ("", "/feedback")}
    assert found["openapi"] == "3.1.0"
    cds = {path for path in found["paths"] if not path.startswith("/fhir/")}
    assert cds == {"/cds-services", *services}


def test_every_path_of_the_fhir_endpoint_is_described(app: Flask) -> None:
    """With its methods, as the application routes them."""
    routed = {
        (re.sub(r"<[^>]+>", "{id}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/fhir/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {
        (path, method)
        for path, item in DESCRIBED["paths"].items()
        if path.startswith("/fhir/")
        for method in item.keys() - {"parameters"}
    }
    assert described == routed


@pytest.mark.parametrize("with_tokens", [True, False])
def test_the_description_is_one(with_tokens: bool) -> None:
    """By the rules of OpenAPI 3.1."""
    described = document("https://plan.example", with_tokens, version="0")
    assert [error.message for error in OpenAPIV31SpecValidator(described).iter_errors()] == []


def test_the_context_of_each_hook_is_the_one_that_is_checked() -> None:
    """Each member of a hook is there, and required where it is."""
    for hook in HOOKS:
        name = DESCRIBED["paths"][f"/cds-services/{hook.service_id}"]["post"]["requestBody"]["content"]
        schema = name["application/json"]["schema"]["$ref"].rpartition("/")[2]
        context = DESCRIBED["components"]["schemas"][schema]["properties"]["context"]
        assert set(context["properties"]) == {member.name for member in hook.members}
        assert set(context["required"]) == {member.name for member in hook.members if member.required}


def test_with_tokens_each_call_asks_for_one() -> None:
    """Discovery does not, nor what the FHIR endpoint says of itself."""
    described = document("https://plan.example", with_tokens=True, version="0")
    for path, item in described["paths"].items():
        for method in item.keys() - {"parameters"}:
            assert ("security" in item[method]) is (path not in ("/cds-services", "/fhir/metadata"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", sorted(DESCRIBED["paths"]))
def test_no_call_that_the_description_allows_is_a_fault(path: str, app: Flask) -> None:
    """Whatever is made up from it: an answer as described, or a refusal with an OperationOutcome."""
    described = schemathesis.openapi.from_dict(DESCRIBED)
    described.app = app
    operations = [one for result in described.get_all_operations() if (one := result.ok()).path == path]
    assert operations
    for operation in operations:
        _try(operation)


def _try(operation: Any) -> None:
    @settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy())
    def tried(case: schemathesis.Case) -> None:
        response = case.call()
        assert response.status_code < 500 or response.status_code == 503, response.text
        case.validate_response(response, checks=CHECKS)

    tried()
