"""Malformed calls get an OperationOutcome that says what was found and expected, and repeats no patient's data."""

import json
import re
from copy import deepcopy
from io import BytesIO
from typing import Any

import fhirkit
import pytest
from flask.testing import FlaskClient
from gunicorn.http.errors import InvalidChunkSize
from msgspec.structs import replace
from signing import BASE, BY_ID, HOOK, Ehr, Json, bundle, context_of, criterion, determinations, order_of, outcomes
from werkzeug.test import TestResponse

from hooks.wire import encode

MET = BY_ID["demo-hemgenix-met"]
MARKER = "Zyxwvut"  # whatever a person's data would be
JSON = "application/json"
PLACE = ("context", "draftOrders", "entry")


def refusal(response: TestResponse, status: int) -> Json:
    """The one issue of the refusal; its form is as promised whatever was wrong."""
    text = response.get_data(as_text=True)
    assert response.status_code == status, text
    assert response.content_type == "application/fhir+json"
    assert MARKER.lower() not in text.lower()
    assert MARKER.lower() not in str(response.headers).lower()
    assert not re.search(r"<(?!id>)[a-z!]|Traceback|File \"|\.py\b|line \d+", text)
    found = json.loads(text)
    assert found["resourceType"] == "OperationOutcome"
    assert [str(issue) for issue in fhirkit.validate(text.encode())] == []
    (issue,) = found["issue"]
    assert issue["severity"] == "error"
    assert issue["diagnostics"]
    return dict(issue)


@pytest.fixture
def call(ehr: Ehr) -> Json:
    """A call that is answered, with a marker wherever a person's data stand."""
    order = order_of(MET.id, note=[{"text": MARKER}])
    found = ehr.call(MET, order, fhirServer=BASE)
    for resource in found["prefetch"]["patient"]["entry"]:
        resource["resource"]["name"] = [{"family": MARKER}]
        resource["resource"]["identifier"] = [{"value": MARKER}]
    found["fhirAuthorization"] = {
        "access_token": MARKER,
        "token_type": "Bearer",
        "expires_in": 60,
        "scope": "patient/*.rs",
        "subject": "service",
        "patient": MET.id,
    }
    return found


def put(call: Json, path: str, value: Any) -> None:
    """Sets the member at a path like `context.draftOrders.entry.0`; `...` takes it away."""
    holder: Any = call
    *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
    for step in steps:
        holder = holder[step]
    if value is ...:
        del holder[last]
    else:
        holder[last] = value


def test_the_call_itself_is_answered(call: Json, ehr: Ehr) -> None:
    """What the other tests break is whole."""
    del call["fhirServer"], call["fhirAuthorization"]
    assert outcomes(ehr.answer(call)) == ["criteria-met"]


# Members of the wrong type, or missing

STRINGS = {
    "hook": "hook",
    "hookInstance": "hookInstance",
    "fhirServer": "fhirServer",
    "fhirAuthorization.access_token": "fhirAuthorization.access_token",
    "context.patientId": "context.patientId",
    "context.userId": "context.userId",
    "context.encounterId": "context.encounterId",
    "context.draftOrders.entry.0.resource.resourceType": "context.draftOrders.entry[0].resource.resourceType",
}
OBJECTS = {
    "fhirAuthorization": "fhirAuthorization",
    "context": "context",
    "prefetch": "prefetch",
    "extension": "extension",
    "context.draftOrders": "context.draftOrders",
    "context.draftOrders.entry.0": "context.draftOrders.entry[0]",
    "context.draftOrders.entry.0.resource": "context.draftOrders.entry[0].resource",
}
NAMES = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
NO_STRINGS = [5, 0.5, True, [MARKER], {"x": MARKER}]
NO_OBJECTS = [5, True, MARKER, [MARKER]]


@pytest.mark.parametrize("wrong", NO_STRINGS, ids=repr)
@pytest.mark.parametrize("path", STRINGS)
def test_a_string_of_another_type(path: str, wrong: Any, call: Json, ehr: Ehr) -> None:
    """400, with the path, what was expected and what was found."""
    put(call, path, wrong)
    issue = refusal(ehr.post(call), 400)
    assert issue["expression"] == [STRINGS[path]]
    assert issue["diagnostics"].startswith(f"{STRINGS[path]}: expected ")
    assert issue["diagnostics"].endswith(f"found {NAMES[type(wrong)]}")


@pytest.mark.parametrize("wrong", NO_OBJECTS, ids=repr)
@pytest.mark.parametrize("path", OBJECTS)
def test_an_object_of_another_type(path: str, wrong: Any, call: Json, ehr: Ehr) -> None:
    """400, with the path, what was expected and what was found."""
    put(call, path, wrong)
    issue = refusal(ehr.post(call), 400)
    assert issue["expression"] == [OBJECTS[path]]
    assert f"{OBJECTS[path]}: expected an object, found {NAMES[type(wrong)]}" in issue["diagnostics"]


@pytest.mark.parametrize("wrong", [5, True, MARKER, {"x": MARKER}], ids=repr)
def test_entries_of_another_type(wrong: Any, call: Json, ehr: Ehr) -> None:
    """A Bundle's entries are an array."""
    put(call, "context.draftOrders.entry", wrong)
    issue = refusal(ehr.post(call), 400)
    assert issue["expression"] == ["context.draftOrders.entry"]


@pytest.mark.parametrize("value", [..., None], ids=["missing", "null"])
@pytest.mark.parametrize(
    "path",
    [
        "hook",
        "hookInstance",
        "context",
        "context.patientId",
        "context.userId",
        "context.draftOrders",
        "context.draftOrders.entry.0.resource",
        "context.draftOrders.entry.0.resource.resourceType",
        "fhirAuthorization.access_token",
        "fhirServer",
    ],
)
def test_a_member_that_must_be_there(path: str, value: Any, call: Json, ehr: Ehr) -> None:
    """400 that names it; `fhirServer` must be there where a token for it is."""
    put(call, path, value)
    issue = refusal(ehr.post(call), 400)
    assert issue["code"] == "required"
    assert issue["expression"] == [re.sub(r"\.(\d+)", r"[\1]", path)]


@pytest.mark.parametrize("value", [..., None], ids=["missing", "null"])
@pytest.mark.parametrize("path", ["prefetch", "extension", "context.encounterId", "fhirAuthorization"])
def test_a_member_that_may_be_missing(path: str, value: Any, call: Json, ehr: Ehr) -> None:
    """No refusal: what it would have given is unread, or not asked for."""
    call["extension"] = {}
    put(call, path, value)
    call["fhirServer"] = "https://not-on-the-list.example/fhir"
    response = ehr.post(call)
    assert response.status_code == 200, response.get_data(as_text=True)


@pytest.mark.parametrize("value", [MARKER, 5, None, [], True], ids=repr)
def test_a_body_that_is_no_object(value: Any, ehr: Ehr) -> None:
    """JSON, but no call."""
    issue = refusal(ehr.post(encode(value)), 400)
    assert "expected an object" in issue["diagnostics"]


def test_a_token_with_its_lifetime_is_enough(call: Json, ehr: Ehr) -> None:
    """`access_token` and `expires_in` alone are accepted."""
    call["fhirAuthorization"] = {"access_token": MARKER, "expires_in": 60}
    call["fhirServer"] = "https://not-on-the-list.example/fhir"
    assert outcomes(ehr.answer(call)) == ["criteria-met"]


# Values that do not fit


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("hook", "order-select", "expected 'order-sign'"),
        ("hook", f"order-sign {MARKER}", "another value"),
        ("hook", "", "empty"),
        ("hookInstance", f"{MARKER} is no UUID", "UUID"),
        ("hookInstance", "x" * 200, "UUID"),
        ("context.patientId", f"Patient/{MARKER}", "without a type"),
        ("context.patientId", f"{MARKER}?x=1", "an id"),
        ("context.patientId", "x" * 65, "at most 64"),
        ("context.patientId", "", "empty"),
        ("context.patientId", "p1\n", "an id"),
        ("context.encounterId", f"Encounter/{MARKER}", "without a type"),
        ("context.encounterId", "", "an id"),
        ("context.userId", MARKER, "Practitioner/<id>"),
        ("context.userId", f"Device/{MARKER}", "Practitioner/<id>"),
        ("context.userId", "Practitioner/", "Practitioner/<id>"),
        ("context.userId", f"Practitioner/{MARKER}/x", "Practitioner/<id>"),
        ("context.userId", f"https://ehr.example/fhir/Practitioner/{MARKER}", "Practitioner/<id>"),
        ("context.draftOrders.resourceType", "List", "'Bundle'"),
        ("context.draftOrders.resourceType", ..., "'Bundle'"),
        ("context.draftOrders.resourceType", 5, "'Bundle'"),
        ("context.draftOrders.entry.0.resource.resourceType", f"{MARKER} 1", "resource type"),
        ("context.draftOrders.entry.0.resource.id", ..., "an id"),
        ("context.draftOrders.entry.0.resource.id", f"{MARKER}/1", "an id"),
        ("context.draftOrders.entry.0.resource.id", 5, "an id"),
        ("context.draftOrders.entry.0.resource.subject", {"reference": f"Patient/{MARKER}"}, "another patient"),
        ("context.draftOrders.entry.0.resource.subject", {"reference": 5}, "another patient"),
        ("context.draftOrders.entry.0.resource.subject", {"reference": f"Group/{MARKER}"}, "another patient"),
        ("fhirServer", MARKER, "absolute http or https URL"),
        ("fhirServer", "ftp://ehr.example/fhir", "absolute http or https URL"),
        ("fhirServer", "file:///etc/passwd", "absolute http or https URL"),
        ("fhirServer", "https://ehr.example/fhir?x=1", "absolute http or https URL"),
        ("fhirServer", "https://ehr.example/fhir#x", "absolute http or https URL"),
        ("fhirServer", "https://[::1", "absolute http or https URL"),
        ("fhirServer", "https://ehr.example:99999/fhir", "absolute http or https URL"),
        ("fhirServer", "https://", "absolute http or https URL"),
        ("fhirServer", "https://ehr.example/ fhir", "absolute http or https URL"),
        ("fhirServer", "", "absolute http or https URL"),
        ("fhirAuthorization.access_token", "", "empty"),
        ("fhirAuthorization.access_token", f"{MARKER}\r\nX-Injected: 1", "printable"),
        ("fhirAuthorization.access_token", f"{MARKER} é", "printable"),
        ("fhirAuthorization.token_type", MARKER, "'Bearer'"),
        ("fhirAuthorization.token_type", 5, "'Bearer'"),
        ("fhirAuthorization.patient", MARKER, "another patient"),
        ("fhirAuthorization.patient", 5, "another patient"),
        ("fhirAuthorization.patient", f"Patient/{MARKER}", "another patient"),
    ],
)
def test_a_value_that_does_not_fit(path: str, value: Any, said: str, call: Json, ehr: Ehr) -> None:
    """400, with the path and what is expected there; the value itself only where it is about no person."""
    put(call, path, value)
    issue = refusal(ehr.post(call), 400)
    assert said in issue["diagnostics"]
    assert path.split(".")[-1] in issue["diagnostics"]


@pytest.mark.parametrize("version", ["9.9", "2.0.1", MARKER, "", "2.2 "])
def test_a_version_that_is_not_supported(version: str, call: Json, ehr: Ehr) -> None:
    """400 not-supported, with those that are."""
    call["extension"] = {"davinci-crd.requestedVersion": version}
    issue = refusal(ehr.post(call), 400)
    assert issue["code"] == "not-supported"
    assert "2.2" in issue["diagnostics"]


@pytest.mark.parametrize("version", [2.2, True, ["2.2"], {"version": "2.2"}], ids=repr)
def test_a_version_of_another_type(version: Any, call: Json, ehr: Ehr) -> None:
    """400 that says which type was found."""
    call["extension"] = {"davinci-crd.requestedVersion": version}
    assert f"found {NAMES[type(version)]}" in refusal(ehr.post(call), 400)["diagnostics"]


@pytest.mark.parametrize("wrong", [5, True, MARKER, {"url": MARKER}, None], ids=repr)
def test_extensions_of_an_order_that_are_no_array(wrong: Any, call: Json, ehr: Ehr) -> None:
    """400: the answer would be added to them."""
    put(call, "context.draftOrders.entry.0.resource.extension", wrong)
    issue = refusal(ehr.post(call), 400)
    assert issue["expression"] == ["context.draftOrders.entry[0].resource.extension"]


def test_two_entries_with_the_same_id(call: Json, ehr: Ehr) -> None:
    """Which one is meant would not be known."""
    call["context"]["draftOrders"]["entry"] *= 2
    issue = refusal(ehr.post(call), 400)
    assert issue["code"] == "duplicate"
    assert issue["expression"] == ["context.draftOrders.entry[1]"]


def test_one_of_several_orders_for_another_patient(call: Json, ehr: Ehr) -> None:
    """The whole call is refused: somebody's chart is mixed up."""
    foreign = order_of(MET.id, id="second", subject={"reference": f"Patient/{MARKER}"})
    call["context"]["draftOrders"]["entry"].append({"resource": foreign})
    issue = refusal(ehr.post(call), 400)
    assert issue["expression"] == ["context.draftOrders.entry[1].resource.subject"]


@pytest.mark.parametrize("prefix", ["", BASE + "/"])
def test_the_subject_may_be_relative_or_absolute(prefix: str, ehr: Ehr) -> None:
    """Both are this patient."""
    order = order_of(MET.id, subject={"reference": f"{prefix}Patient/{MET.id}"})
    assert outcomes(ehr.sign(MET, order)) == ["criteria-met"]


def test_an_entry_without_id_is_named_by_its_full_url(ehr: Ehr) -> None:
    """As a Bundle of drafts may have it."""
    name = "urn:uuid:0f5f0c9e-6c3e-4d57-9f2c-6a1d3f0c1a01"
    call = ehr.call(MET)
    (entry,) = call["context"]["draftOrders"]["entry"]
    del entry["resource"]["id"]
    entry["fullUrl"] = name
    answer = ehr.answer(call)
    assert outcomes(answer) == ["criteria-met"]


# The body


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "well-formed"),
        (b"{", "well-formed"),
        (b'{"hook": "order-sign",}', "well-formed"),
        (b"{'hook': 'x'}", "well-formed"),
        (b'{"hook": NaN}', "well-formed"),
        (b'{"hook": Infinity}', "well-formed"),
        (b'{"hook": -Infinity}', "well-formed"),
        (b'{"hook": 01}', "well-formed"),
        (b'{"hook": "a\tb"}', "well-formed"),
        (b'{"hook": "x"} {"hook": "y"}', "well-formed"),
        (b"\xef\xbb\xbf{}", "well-formed"),
        (b"<html>" + MARKER.encode() + b"</html>", "well-formed"),
        (b'{"hook": "' + MARKER.encode() + b'\xff"}', "UTF-8"),
        ('{"hook": "order-sign"}'.encode("utf-16"), "well-formed"),
        (b'{"hook": "order-sign", "hook": "' + MARKER.encode() + b'"}', "two members of the same name"),
        (b'{"context": {"a": {"b": "x", "b": "x"}}}', "two members of the same name"),
        (b'{"\\u0068ook": "a", "hook": "a"}', "two members of the same name"),
        (b'{"a": ' + b"9" * 5000 + b"}", "more digits"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
    ],
)
def test_a_body_that_cannot_be_read(body: bytes, said: str, ehr: Ehr) -> None:
    """400 that says why."""
    assert said in refusal(ehr.post(body), 400)["diagnostics"]


@pytest.mark.parametrize("depth", [100, 600, 880, 920, 940, 950, 960, 970, 975, 980, 985, 990, 995, 1000, 3000])
@pytest.mark.parametrize("quoted", [b"", b'"\\u0022",'], ids=["plain", "with a quotation mark"])
def test_a_body_of_any_depth_is_answered_or_refused(depth: int, quoted: bytes, ehr: Ehr) -> None:
    """Deep nesting in a member that nobody knows is no fault of the service."""
    body = encode(ehr.call(MET))
    deep = b'"x":[' + quoted + b"[" * depth + b"]" * depth + b"]"
    for place in (b'"hook":"order-sign"', b'"status":"draft"'):
        response = ehr.post(body.replace(place, place + b"," + deep, 1))
        if response.status_code != 200:
            assert "nested too deeply" in refusal(response, 400)["diagnostics"]


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip", "aes128gcm"])
def test_a_body_that_is_coded_is_not_taken_for_what_it_is_not(coding: str, call: Json, ehr: Ehr) -> None:
    """415, whatever is in it: a proxy that undoes the coding would read something else."""
    issue = refusal(ehr.post(call, headers={"Content-Encoding": coding}), 415)
    assert issue["diagnostics"] == "Content-Encoding: expected none"
    assert ehr.post(call, headers={"Content-Encoding": "identity"}).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "text/html", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data"],
)
def test_another_content_type(content_type: str, call: Json, ehr: Ehr) -> None:
    """415 that says which is expected."""
    issue = refusal(ehr.post(call, content_type), 415)
    assert "application/json" in issue["diagnostics"]


@pytest.mark.parametrize(
    "content_type", [JSON, "application/json; charset=utf-8", "APPLICATION/JSON", "application/fhir+json"]
)
def test_the_content_types_of_json(content_type: str, ehr: Ehr) -> None:
    """In any case, with a character set, and as FHIR."""
    assert ehr.post(ehr.call(MET), content_type).status_code == 200


def test_a_body_that_is_announced_too_large(ehr: Ehr) -> None:
    """413, before anything is read."""
    refusal(ehr.post(b'"' + b"x" * 2_000_001 + b'"'), 413)


@pytest.mark.parametrize("size", [2_000_001, 2_000_002, 5_000_000])
def test_a_chunked_body_that_turns_out_too_large(size: int, client: FlaskClient) -> None:
    """413 as well, where no length was announced."""
    body = BytesIO(b'"' + b"x" * (size - 2) + b'"')
    response = client.post(
        HOOK,
        input_stream=body,
        content_type=JSON,
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    refusal(response, 413)


def test_the_largest_body_is_read(ehr: Ehr) -> None:
    """One byte less than too much."""
    issue = refusal(ehr.post(b'"' + b"x" * 1_999_998 + b'"'), 400)
    assert "expected an object" in issue["diagnostics"]


class _BadChunks(BytesIO):
    """A body whose chunks the server cannot take apart: it says so only as they are read."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise InvalidChunkSize(b"zz")

    def readinto(self, buffer: Any, /) -> int:
        raise InvalidChunkSize(b"zz")


def test_a_body_whose_chunks_are_broken(client: FlaskClient) -> None:
    """400: the fault is the caller's."""
    response = client.post(
        HOOK,
        input_stream=_BadChunks(),
        content_type=JSON,
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert "chunks" in refusal(response, 400)["diagnostics"]


def test_a_chunked_body_is_read(client: FlaskClient, ehr: Ehr) -> None:
    """Without an announced length, one of usual size is answered."""
    response = client.post(
        HOOK,
        input_stream=BytesIO(encode(ehr.call(MET))),
        content_type=JSON,
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert response.status_code == 200


# Path and method


@pytest.mark.parametrize("path", ["no-such-service", f"order-sign-crd-{MARKER}", "order-sign-crd/x", "%2e%2e", ""])
def test_a_service_that_is_not_there(path: str, call: Json, client: FlaskClient) -> None:
    """404, as an OperationOutcome."""
    refusal(client.post(f"/cds-services/{path}", data=encode(call), content_type=JSON), 404)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_another_method(method: str, client: FlaskClient) -> None:
    """405, with the methods that are allowed."""
    response = client.open(HOOK, method=method)
    refusal(response, 405)
    assert "POST" in response.headers["Allow"]


def test_discovery_is_not_posted_to(client: FlaskClient) -> None:
    """405 with Allow there too."""
    response = client.post("/cds-services", data=b"{}", content_type=JSON)
    refusal(response, 405)
    assert "GET" in response.headers["Allow"]


@pytest.mark.parametrize("path", ["/", "/no-such-path", f"/{MARKER}", "/cds-services/", "/policies/x", "/policies/x/y"])
def test_a_path_that_is_not_there(path: str, client: FlaskClient) -> None:
    """404, never an HTML page."""
    refusal(client.get(path), 404)


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("path", ["//cds-services", "/cds-services//order-sign-crd", "/fhir//metadata", "/policies//x"])
def test_two_slashes_lead_nowhere(path: str, method: str, client: FlaskClient) -> None:
    """404, and no redirect, which would be a page and lose the body."""
    response = client.open(path, base_url="http://plan.example", method=method)
    assert response.status_code == 404
    assert response.content_type == "application/fhir+json"


def test_a_fault_of_the_service_is_a_plain_500(call: Json, ehr: Ehr, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the fault, nor of the call, gets out."""

    def failing(*_: object) -> None:
        raise KeyError(MARKER)

    monkeypatch.setattr("cds_service.routes.answered", failing)
    issue = refusal(ehr.post(call), 500)
    assert issue["code"] == "exception"


def test_a_fault_of_the_service_is_logged_without_what_was_sent(
    call: Json, ehr: Ehr, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The kind of fault and its place, and nothing of the call."""

    def failing(*_: object) -> None:
        raise KeyError(MARKER)

    monkeypatch.setattr("cds_service.routes.answered", failing)
    ehr.post(call)
    seen = "".join(capfd.readouterr())
    assert MARKER not in seen
    assert MET.id not in seen


# One broken resource costs itself

WRONG: list[Any] = [5, "x", [], {}, [5], None, True, {"reference": 5}, [{"coding": 5}], ""]
EVERY_TYPE = sorted({resource["resourceType"] for resource in MET.resources})
IN_PLACE = {"resourceType", "id"}


def _statuses(answer: Json) -> dict[str, str]:
    (found,) = determinations(answer)
    return {one["id"]: one["status"] for one in found["criteria"]}


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@pytest.mark.parametrize("kind", [kind for kind in EVERY_TYPE if kind not in ("Coverage", "Organization")])
def test_a_broken_resource_costs_itself(kind: str, wrong: Any, ehr: Ehr) -> None:
    """Whichever member is of whichever wrong type, the call is answered, and no criterion turns against the patient."""
    before = _statuses(ehr.sign(MET))
    target = [resource for resource in MET.resources if resource["resourceType"] == kind][-1]
    members = sorted(target.keys() - IN_PLACE)
    broken = {**target, **{member: deepcopy(wrong) for member in members}}
    variants = [broken] if len(members) < 2 else [broken, {**target, members[len(members) // 2]: deepcopy(wrong)}]
    for variant in variants:
        story = replace(MET, resources=tuple(variant if one is target else one for one in MET.resources))
        after = _statuses(ehr.sign(story))
        assert {status for name, status in after.items() if status != before[name]} <= {"unknown"}


@pytest.mark.parametrize(
    "entry", [None, 5, "x", [], {}, {"resource": None}, {"resource": 5}, {"resource": {}}], ids=repr
)
def test_a_broken_entry_of_a_prefetch_costs_itself(entry: Any, ehr: Ehr) -> None:
    """Among the conditions: the diagnosis that is there still counts, and the call is answered."""
    call = ehr.call(MET)
    call["prefetch"]["conditions"]["entry"].append(entry)
    answer = ehr.answer(call)
    assert criterion(answer, "3")["status"] in ("met", "unknown")
    assert criterion(answer, "8c")["status"] == "met"


@pytest.mark.parametrize(
    "value", [5, "x", True, [], [5], {}, {"resourceType": 5}, {"resourceType": "Bundle", "entry": 5}]
)
@pytest.mark.parametrize("key", ["patient", "conditions", "observations", "questionnaireResponses", "anyName"])
def test_a_prefetch_value_of_another_type_costs_itself(key: str, value: Any, ehr: Ehr) -> None:
    """It is as good as not sent."""
    call = ehr.call(MET)
    call["prefetch"][key] = value
    answer = ehr.answer(call)
    assert outcomes(answer) == (["criteria-met"] if key == "anyName" else ["undetermined"])


def test_a_broken_resource_is_named_on_the_card(ehr: Ehr) -> None:
    """The prescriber reads that an entry of the chart could not be read, and where it stands."""
    call = ehr.call(MET)
    for entry in call["prefetch"]["conditions"]["entry"]:
        if entry["resource"]["id"].endswith("knee-bleed"):
            entry["resource"]["code"] = 5
    answer = ehr.answer(call)
    text = answer["cards"][0]["detail"]
    assert "1 entry of the chart could not be read (problem list)." in text


def test_nested_answers_of_any_depth_cost_themselves(ehr: Ehr) -> None:
    """A form whose items are nested absurdly deep is no fault of the call."""
    for depth in (20, 150, 300, 400):
        call = ehr.call(MET)
        form = call["prefetch"]["questionnaireResponses"]["entry"][0]["resource"]
        item: Json = {"linkId": "x"}
        for _ in range(depth):
            item = {"linkId": "x", "item": [item]}
        form["item"].append(item)
        response = ehr.post(call)
        assert response.status_code in (200, 400), depth
        if response.status_code == 400:
            refusal(response, 400)


@pytest.mark.parametrize(
    "number", [b"1e999999999", b"-1e999999999", b"1e-999999999", b"9" * 3000, b"0." + b"0" * 3000 + b"1"]
)
def test_an_absurd_number_costs_the_result_that_has_it(number: bytes, ehr: Ehr) -> None:
    """No crash, no minute of arithmetic, and nothing is taken as met on its strength."""
    body = encode(ehr.call(MET)).replace(b'"value":212', b'"value":' + number)
    assert number in body
    response = ehr.post(body)
    assert response.status_code in (200, 400)
    if response.status_code == 200:
        assert criterion(response.get_json(), "8c")["status"] in ("unknown", "not-met")


def test_another_patient_s_resources_in_a_prefetch_do_not_count(ehr: Ehr) -> None:
    """Whatever key they come under: they are not this patient's."""
    foreign = deepcopy([resource for resource in MET.resources if resource["resourceType"] == "Observation"])
    for resource in foreign:
        resource["subject"] = {"reference": "Patient/somebody-else"}
    own = tuple(resource for resource in MET.resources if resource["resourceType"] != "Observation")
    call = ehr.call(replace(MET, resources=own))
    call["prefetch"]["observations"] = bundle(*foreign)
    answer = ehr.answer(call)
    assert criterion(answer, "8c")["status"] == "unknown"
    assert outcomes(answer) == ["documentation-missing"]


def test_a_whole_chart_of_another_patient_proves_nothing(ehr: Ehr) -> None:
    """The context's patient is the one that is judged."""
    call = ehr.call(MET)
    context = context_of(order_of(MET.id, subject=None), patient_id="somebody-else")
    call["context"] = context
    response = ehr.post(call)
    assert response.status_code in (200, 400, 412)
    assert b"criteria-met" not in response.data
