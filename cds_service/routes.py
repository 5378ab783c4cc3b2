"""The HTTP surface: discovery, the order hook, policy pages and health. Every refusal is an OperationOutcome."""

import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from cds_service.callers import Callers
from cds_service.pages import policies_page, policies_twin, policy_page, policy_twin
from cds_service.settings import Settings
from hooks.answer import answer
from hooks.call import parse_call
from hooks.discovery import discovery
from hooks.refusals import Refusal, operation_outcome
from hooks.registry import HOOK_OF
from hooks.service import Moment, Service
from hooks.wire import encode

FHIR_JSON = "application/fhir+json"
_BODY_TYPES = frozenset({"application/json", FHIR_JSON, "application/json+fhir"})


def service_blueprint(service: Service, settings: Settings, callers: Callers) -> Blueprint:
    """Everything that clients, people and operators call."""
    routes = Blueprint("service", __name__)

    @routes.get("/cds-services")
    def discover() -> Response:
        return _json(discovery(service))

    @routes.post("/cds-services/<service_id>")
    def call(service_id: str) -> Response:
        started = time.monotonic()
        caller = callers.identify(request.headers.get("Authorization"), request.path)
        hook = HOOK_OF.get(service_id)
        if hook is None:
            raise Refusal(404, "not-found", "there is no CDS service of this id; see /cds-services")
        found = parse_call(_body(settings), hook)
        moment = Moment(datetime.now(UTC).date(), started + settings.deadline_s)
        return _json(answer(found, hook, service, caller, moment))

    @routes.get("/policies")
    def policies() -> Response:
        if _wants_json():
            return _json(policies_twin(service.library, datetime.now(UTC).date()))
        return _html(policies_page(service.library, datetime.now(UTC).date()))

    @routes.get("/policies/<policy>/<drug>")
    def one_policy(policy: str, drug: str) -> Response:
        today = datetime.now(UTC).date()
        found = next(
            (p for p in service.library.current(today) if (p.source.policy.lower(), p.source.drug) == (policy, drug)),
            None,
        )
        if found is None:
            raise Refusal(404, "not-found", "there is no such policy; see /policies")
        if _wants_json():
            return _json(policy_twin(found, service.library, service.vocabulary.labs))
        return _html(policy_page(found, service.library, service.vocabulary.labs))

    @routes.get("/health/live")
    def live() -> Response:
        return _json({"status": "ok"})

    @routes.get("/health/ready")
    def ready() -> Response:
        parts = {"callers": callers.ready()}
        well = all(parts.values())
        return _json({"status": "ok" if well else "not ready", "parts": parts}, 200 if well else 503)

    @routes.app_errorhandler(Refusal)
    def refused(refusal: Refusal) -> Response:
        return _outcome(refusal.status, refusal.outcome)

    @routes.app_errorhandler(RecursionError)
    def too_deep(_: RecursionError) -> Response:
        return _outcome(400, operation_outcome("structure", "the body is nested too deeply"))

    @routes.app_errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        code = {404: "not-found", 405: "not-supported", 413: "too-long", 415: "not-supported"}.get(status, "processing")
        response = _outcome(status, operation_outcome(code, error.name))
        if status == 405 and getattr(error, "valid_methods", None):
            response.headers["Allow"] = ", ".join(error.valid_methods)  # type: ignore[attr-defined]
        return response

    @routes.app_errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        service.log.error("unexpected", kind=type(error).__name__, where=_where(error))
        return _outcome(500, operation_outcome("exception", "the call could not be answered; nothing was decided"))

    return routes


def _where(error: Exception) -> str:
    """File and line of the fault, without its message: that may hold what the caller sent."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _body(settings: Settings) -> bytes:
    kind = (request.mimetype or "").lower()
    if kind not in _BODY_TYPES:
        raise Refusal(415, "not-supported", "Content-Type: expected application/json")
    # One byte more than is taken: a body without an announced length is cut there, and not refused.
    request.max_content_length = settings.max_body_bytes + 1
    body = request.get_data(cache=False)
    if len(body) > settings.max_body_bytes:
        raise RequestEntityTooLarge
    return body


def _wants_json() -> bool:
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"


def _json(body: Any, status: int = 200) -> Response:
    return Response(encode(body), status=status, mimetype="application/json")


def _html(text: str) -> Response:
    return Response(text, mimetype="text/html")


_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "5"}}


def _outcome(status: int, outcome: dict[str, Any]) -> Response:
    return Response(encode(outcome), status=status, content_type=FHIR_JSON, headers=_HEADERS.get(status))
