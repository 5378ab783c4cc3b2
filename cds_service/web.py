"""HTTP in and out: bodies read within limits, answers as JSON, and every refusal as an OperationOutcome."""

import traceback
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from gunicorn.http.errors import NoMoreData, ParseException
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from hooks.refusals import Refusal, operation_outcome
from hooks.wire import encode

FHIR_JSON = "application/fhir+json"
_BODY_TYPES = frozenset({"application/json", FHIR_JSON, "application/json+fhir"})
_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "5"}}
_CODES = {404: "not-found", 405: "not-supported", 413: "too-long", 415: "not-supported", 429: "throttled"}


def body_of(limit: int) -> bytes:
    """The body of the request at hand, of at most `limit` bytes. Raises Refusal and RequestEntityTooLarge."""
    if (request.mimetype or "").lower() not in _BODY_TYPES:
        raise Refusal(415, "not-supported", "Content-Type: expected application/json")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":  # RFC 9110 §8.4
        raise Refusal(415, "not-supported", "Content-Encoding: expected none")
    # One byte more than is taken: a body without an announced length is cut there, and not refused.
    request.max_content_length = limit + 1
    try:
        body = request.get_data(cache=False)
    except (ParseException, NoMoreData):  # the chunks are only taken apart as they are read
        raise Refusal(400, "structure", "the body's chunks are not well-formed (RFC 9112, 7.1), or too many") from None
    if len(body) > limit:
        raise RequestEntityTooLarge
    return body


def json_response(body: Any, status: int = 200) -> Response:
    """A JSON response."""
    return Response(encode(body), status=status, mimetype="application/json")


def outcome_response(status: int, outcome: dict[str, Any]) -> Response:
    """An OperationOutcome with its status."""
    return Response(encode(outcome), status=status, content_type=FHIR_JSON, headers=_HEADERS.get(status))


def wants_json() -> bool:
    """True when the client would rather have JSON than a page."""
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"


def register_errors(app: Flask, log: Any) -> None:
    """Makes every error of the application an OperationOutcome that says no more than it may."""

    @app.errorhandler(Refusal)
    def refused(refusal: Refusal) -> Response:
        return outcome_response(refusal.status, refusal.outcome)

    @app.errorhandler(RecursionError)
    def too_deep(_: RecursionError) -> Response:
        return outcome_response(400, operation_outcome("structure", "the body is nested too deeply"))

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        response = outcome_response(status, operation_outcome(_CODES.get(status, "processing"), error.name))
        allowed = getattr(error, "valid_methods", None)
        if status == 405 and allowed:
            response.headers["Allow"] = ", ".join(allowed)
        return response

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        log.error("unexpected", kind=type(error).__name__, where=where_of(error))
        return outcome_response(
            500, operation_outcome("exception", "the call could not be answered; nothing was decided")
        )


def where_of(error: Exception) -> str:
    """File and line of the fault, without its message: that may hold what the caller sent."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
