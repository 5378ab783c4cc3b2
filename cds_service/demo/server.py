"""The demo's FHIR R4 server as a Flask blueprint: read, search, create, update, delete, and batches of them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from flask import Blueprint, Response, request, url_for
from msgspec import Struct, field
from werkzeug.exceptions import HTTPException

from cds_service.demo.outcomes import RefusedError, Resource, invalid, not_supported, operation_outcome
from cds_service.demo.search import find, page_bundle, parse_search, search_bundle
from cds_service.demo.search_parameters import PARAMETERS
from cds_service.demo.store import Store, decode_json, encode_json

FHIR_JSON = "application/fhir+json"
FORM = "application/x-www-form-urlencoded"
_JSON_TYPES = (FHIR_JSON, "application/json", "application/json+fhir")
_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"]
_STARTED = datetime.now(UTC).replace(microsecond=0).isoformat()


class Call(Struct, frozen=True):
    """One call on the server, from the wire or from an entry of a batch."""

    method: str
    path: str  # below the base, without slashes at its ends
    query: str
    base: str
    body: bytes = b""
    content_type: str = FHIR_JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class Reply(Struct, frozen=True):
    """What the server says: a status, a resource or nothing, and headers."""

    status: int
    resource: Resource | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def fhir_blueprint(store: Store, name: str = "demo_fhir", url_prefix: str = "/demo/fhir") -> Blueprint:
    """The blueprint that serves `store`. Every answer, errors too, is FHIR JSON."""
    blueprint = Blueprint(name, __name__, url_prefix=url_prefix)

    # One route for all paths and methods: a routing error would be answered outside the blueprint, as HTML.
    @blueprint.route("", defaults={"path": ""}, methods=_METHODS, endpoint="base")
    @blueprint.route("/", defaults={"path": ""}, methods=_METHODS)
    @blueprint.route("/<path:path>", methods=_METHODS)
    def any_call(path: str) -> Response:
        call = Call(
            request.method,
            path.strip("/"),
            request.query_string.decode("latin-1"),
            url_for(".base", _external=True).rstrip("/"),
            request.get_data(),
            request.mimetype,
            dict(request.headers),
        )
        return _response(answer(store, call))

    @blueprint.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        status = error.code if isinstance(error, HTTPException) and error.code else 500
        return _response(Reply(status, operation_outcome("error", "exception", HTTPStatus(status).phrase)))

    return blueprint


def _response(reply: Reply) -> Response:
    body = b"" if reply.resource is None else encode_json(reply.resource)
    response = Response(body, reply.status, content_type=f"{FHIR_JSON}; charset=utf-8")
    response.headers.extend(reply.headers)
    response.headers["Cache-Control"] = "no-store"
    return response


def answer(store: Store, call: Call) -> Reply:
    """The reply to a call; a refusal is a reply with an OperationOutcome."""
    try:
        return _answered(store, call)
    except RefusedError as refusal:
        return Reply(refusal.status, refusal.outcome())


def _answered(store: Store, call: Call) -> Reply:
    steps = call.path.split("/") if call.path else []
    method = "GET" if call.method == "HEAD" else call.method
    match method, steps:
        case "GET", ["metadata"]:
            return Reply(200, capability_statement(call.base))
        case "GET", []:
            return Reply(200, _later_page(store, call))
        case "POST", []:
            return Reply(200, _batch(store, call))
        case _, [resource_type, *_] if resource_type not in PARAMETERS:
            raise RefusedError(404, "not-found", f"The resource type '{resource_type}' is not served here.")
        case "GET", [resource_type]:
            return Reply(200, _searched(store, resource_type, call.query, call.base))
        case "POST", [resource_type, "_search"]:
            if call.content_type != FORM:
                raise RefusedError(415, "not-supported", f"A search by POST is sent as {FORM}.")
            both = "&".join(part for part in (call.query, call.body.decode("utf-8", "replace")) if part)
            return Reply(200, _searched(store, resource_type, both, call.base))
        case "GET", [resource_type, resource_id]:
            found = store.get(resource_type, resource_id)
            return Reply(200, found, _version(found))
        case "POST", [resource_type]:
            return _create(store, call, resource_type)
        case "PUT", [resource_type, resource_id]:
            return _update(store, call, resource_type, resource_id)
        case "DELETE", [resource_type, resource_id]:
            store.remove(resource_type, resource_id)
            return Reply(200, operation_outcome("information", "informational", "It is not there any more."))
        case _:
            raise RefusedError(405, "not-supported", f"{call.method} is not served for this path.")


def _pairs(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)


def _searched(store: Store, resource_type: str, query: str, base: str) -> Resource:
    return search_bundle(store, parse_search(resource_type, _pairs(query), base), base)


def _later_page(store: Store, call: Call) -> Resource:
    query = dict(_pairs(call.query))
    token, offset, count = query.get("_getpages"), query.get("_getpagesoffset", "0"), query.get("_count", "")
    if not token:
        raise invalid("This is the base; ask for /metadata or for a resource type.")
    if not offset.isdigit() or (count and not count.isdigit()):
        raise invalid("_getpagesoffset and _count are whole numbers.")
    return page_bundle(store, token, int(offset), int(count) if count else None, call.base)


def _version(resource: Resource) -> dict[str, str]:
    return {"ETag": f'W/"{resource["meta"]["versionId"]}"'}


def _body(call: Call, resource_type: str) -> Resource:
    if call.content_type not in _JSON_TYPES:
        raise RefusedError(415, "not-supported", f"A resource is sent as {FHIR_JSON}.")
    found: Any = decode_json(call.body)
    if not isinstance(found, dict) or found.get("resourceType") != resource_type:
        raise invalid(f"The body is not a {resource_type}.")
    return found


def _create(store: Store, call: Call, resource_type: str) -> Reply:
    resource = _body(call, resource_type)
    condition = next((value for name, value in call.headers.items() if name.lower() == "if-none-exist"), "")
    if condition:
        query = condition.rpartition("?")[2]
        present = find(store, parse_search(resource_type, _pairs(query), call.base))
        if len(present) > 1:
            raise RefusedError(412, "multiple-matches", "More than one resource is there already.")
        if present:
            return Reply(200, present[0], _version(present[0]))
    stored = store.add(resource)
    return Reply(201, stored, {**_version(stored), "Location": f"{call.base}/{resource_type}/{stored['id']}"})


def _update(store: Store, call: Call, resource_type: str, resource_id: str) -> Reply:
    resource = _body(call, resource_type)
    if resource.get("id") != resource_id:
        raise invalid(f"The body's id is not the one in the path, {resource_type}/{resource_id}.")
    stored, is_new = store.put(resource)
    return Reply(201 if is_new else 200, stored, _version(stored))


def _batch(store: Store, call: Call) -> Resource:
    bundle = _body(call, "Bundle")
    entries = bundle.get("entry", [])
    if bundle.get("type") not in ("batch", "transaction") or not isinstance(entries, list):
        raise invalid("The base takes a Bundle of type batch.")
    entries = [entry if isinstance(entry, dict) else {} for entry in entries]
    asked = [entry["request"] if isinstance(entry.get("request"), dict) else {} for entry in entries]
    if bundle["type"] == "transaction" and any(one.get("method") != "GET" for one in asked):
        raise not_supported("Writes are taken one by one or in a batch, not in a transaction.")
    answered = [_batched(store, call, entry, one) for entry, one in zip(entries, asked, strict=True)]
    return {"resourceType": "Bundle", "type": f"{bundle['type']}-response", "entry": answered}


def _batched(store: Store, call: Call, entry: Resource, asked: Mapping[str, Any]) -> Resource:
    path, _, query = str(asked.get("url", "")).removeprefix("/").partition("?")
    method = str(asked.get("method", ""))
    if method == "POST" and not path:
        reply = Reply(400, operation_outcome("error", "not-supported", "A batch holds no batch."))
    else:
        body = encode_json(entry["resource"]) if "resource" in entry else b""
        reply = answer(store, Call(method, path, query, call.base, body))
    response: Resource = {"status": f"{reply.status} {HTTPStatus(reply.status).phrase}"}
    if "ETag" in reply.headers:
        response["etag"] = reply.headers["ETag"]
    if reply.status >= 400:
        return {"response": {**response, "outcome": reply.resource}}
    return {"resource": reply.resource, "response": response}


def capability_statement(base: str) -> Resource:
    """What this server can do, in FHIR's words."""
    interactions = [{"code": code} for code in ("read", "search-type", "create", "update", "delete")]
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": _STARTED,
        "kind": "instance",
        "implementation": {"description": "Demo EHR with fictitious patients", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [
            {
                "mode": "server",
                "interaction": [{"code": "batch"}],
                "resource": [
                    {
                        "type": resource_type,
                        "interaction": interactions,
                        "searchParam": [{"name": name, "type": found.kind.value} for name, found in parameters.items()],
                    }
                    for resource_type, parameters in PARAMETERS.items()
                ],
            }
        ],
    }
