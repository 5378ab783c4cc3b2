"""Whatever is sent to the FHIR endpoint: an answer or a clear refusal, never a failure."""

from copy import deepcopy
from typing import Any
from urllib.parse import quote

import pytest
from asking import CONTEXT, PACKAGE, VERSIONED, Endpoint, Json, asked_for, coverage_of, known, parameters, post
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from hooks.service import Service
from hooks.wire import decode

STORY = "demo-labs-missing"
LOG = "/fhir/Questionnaire/$log-questionnaire-errors"
EXPAND = "/fhir/ValueSet/$expand"
OFTEN = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
QUICKER = settings(OFTEN, max_examples=60)

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
)
names = st.sampled_from(
    ["resourceType", "id", "reference", "parameter", "name", "resource", "coding", "code", "system", "extension", "url"]
) | st.text(max_size=5)
anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))


def is_told(response: TestResponse) -> None:
    """A resource that was asked for, or an OperationOutcome with what is wrong; nothing of the chart in a refusal."""
    assert response.content_type == "application/fhir+json", response.get_data(as_text=True)[:200]
    found = decode(response.data)
    if response.status_code != 200:
        assert response.status_code in (400, 404, 405, 413, 415, 422), (response.status_code, found)
        assert found["resourceType"] == "OperationOutcome"
        for issue in found["issue"]:
            assert issue["severity"] == "error"
            assert issue["code"] not in ("exception", "informational")
            assert "demo-" not in issue.get("diagnostics", "")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a body."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, one in inner for found in places(one, (*path, key)))]


def put(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The body with another value at that place."""
    if not path:
        return value
    changed = deepcopy(body)
    at = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return changed


def taken(body: Any, path: tuple[Any, ...]) -> Any:
    """The body without that place."""
    changed = deepcopy(body)
    at = changed
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    return changed


WHOLE = asked_for(STORY, questionnaire=VERSIONED, context=CONTEXT, changedsince="2020-01-01T00:00:00Z")
WHOLE["parameter"].append({"name": "referenced", "resource": coverage_of(STORY)})
PLACES = places(WHOLE)
TROUBLE = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "not-found"}]}
REPORT = parameters(("questionnaire", VERSIONED), ("operationOutcome", TROUBLE))


@pytest.fixture
def client(endpoint: Endpoint, service: Service) -> FlaskClient:
    """A client of an endpoint that knows one assertion."""
    return endpoint(known(service, STORY))


@OFTEN
@given(st.sampled_from(PLACES), anything)
def test_a_package_request_with_anything_anywhere(client: FlaskClient, place: tuple[Any, ...], value: Any) -> None:
    """In the place of any part of it."""
    is_told(post(client, put(WHOLE, place, value)))


@pytest.mark.parametrize("place", PLACES[1:], ids=lambda place: ".".join(map(str, place)))
def test_a_package_request_without_any_part(client: FlaskClient, place: tuple[Any, ...]) -> None:
    """Each in turn."""
    is_told(post(client, taken(WHOLE, place)))


@pytest.mark.parametrize("value", [None, [], {}, "", 0, [None], [[]], {"resourceType": []}, True, "x" * 100_000])
@pytest.mark.parametrize("place", PLACES[:40], ids=lambda place: ".".join(map(str, place)))
def test_a_package_request_with_another_kind_of_value(client: FlaskClient, place: tuple[Any, ...], value: Any) -> None:
    """Each in turn."""
    is_told(post(client, put(WHOLE, place, value)))


@QUICKER
@given(anything)
def test_any_json_as_a_body(client: FlaskClient, body: Any) -> None:
    """To each operation."""
    for path in (PACKAGE, LOG, EXPAND, "/fhir/Questionnaire/pharmacy-109-hemgenix/$questionnaire-package"):
        is_told(post(client, body, path))


@QUICKER
@given(st.sampled_from(places(REPORT)), anything)
def test_a_report_with_anything_anywhere(client: FlaskClient, place: tuple[Any, ...], value: Any) -> None:
    """In the place of any part of it."""
    is_told(post(client, put(REPORT, place, value), LOG))


@QUICKER
@given(st.binary(max_size=200))
def test_any_bytes_as_a_body(client: FlaskClient, body: bytes) -> None:
    """They are not JSON, or not Parameters."""
    is_told(post(client, body))


@QUICKER
@given(
    st.sampled_from(["Questionnaire", "ValueSet", "Library", "CodeSystem", "ValueSet/$expand", "Patient", "metadata"]),
    st.text(max_size=30),
    st.dictionaries(
        st.sampled_from(["url", "version", "_id", "status", "count", "offset", "filter", "valueSetVersion", "_count"]),
        st.text(max_size=20),
        max_size=4,
    ),
)
def test_any_address_and_query(client: FlaskClient, kind: str, name: str, query: dict[str, str]) -> None:
    """Something, nothing, or not found."""
    is_told(client.get(f"/fhir/{kind}", query_string=query))
    response = client.get(f"/fhir/{kind}/{quote(name.replace('.', ''), safe='')}", query_string=query)
    if response.status_code != 308:  # a path with two slashes is not an address of ours
        is_told(response)


@pytest.mark.parametrize(
    "kind", ["application/xml", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "x"]
)
@pytest.mark.parametrize("path", [PACKAGE, LOG, EXPAND])
def test_a_body_of_another_media_type_is_refused(client: FlaskClient, path: str, kind: str) -> None:
    """415, whatever it holds."""
    assert post(client, WHOLE, path, content_type=kind).status_code == 415


@pytest.mark.parametrize(
    "changed",
    [
        lambda order: {**order, "subject": {"reference": "Patient/somebody-else"}},
        lambda order: {**order, "subject": {"reference": "https://other.example/fhir/Patient/somebody-else"}},
        lambda order: {**order, "resourceType": "Task", "for": {"reference": "Patient/somebody-else"}},
        lambda order: {**order, "resourceType": "Appointment", "participant": [{"actor": {"reference": "Patient/x"}}]},
    ],
)
def test_an_order_of_another_patient_is_refused(client: FlaskClient, changed: Any) -> None:
    """Beside a coverage and a context that are of this one."""
    body: Json = deepcopy(WHOLE)
    for one in body["parameter"]:
        if one["name"] == "order":
            one["resource"] = changed(one["resource"])
            one["resource"].pop("subject", None) if one["resource"]["resourceType"] != "MedicationRequest" else None
    assert post(client, body).status_code == 422
