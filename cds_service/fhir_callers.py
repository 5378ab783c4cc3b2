"""Who calls the FHIR endpoint: a registered client with its own token, or with an access token that it was issued here.

SMART Backend Services (SMART App Launch 2.2), as DTR asks of a payer (spec-120).
"""

from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from cds_service.auth import UnauthorizedError
from cds_service.auth.access_tokens import LIFE_S, AccessTokens, NoKeyError, is_access_token
from cds_service.callers import Callers, RegisteredCallers
from cds_service.web import json_response
from hooks.refusals import Refusal
from hooks.service import Caller

SCOPES = ("system/Questionnaire.rs", "system/ValueSet.rs", "system/Library.rs")  # DTR writes them in small letters
TOKEN_PATH = "/fhir/token"  # noqa: S105 - an address, no password
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_NEEDED = {"CodeSystem": "valueset"}  # what a value set is made of
_LONGEST_FORM = 16_384
_NOT_KEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_NO_KEY = "the service cannot check tokens just now; try again"


class FhirCallers:
    """Registered clients, by their own tokens or by access tokens."""

    def __init__(self, registered: RegisteredCallers, tokens: AccessTokens) -> None:
        self._registered, self._tokens = registered, tokens

    def identify(self, authorization: str | None, path: str) -> Caller:
        """The client with this Authorization header at this path. Raises Refusal (401 without detail, 403, 503)."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.casefold() != "bearer" or not is_access_token(token):
            return self._registered.identify(authorization, path)
        try:
            held = self._tokens.held(token)
        except NoKeyError:
            raise Refusal(503, "transient", _NO_KEY) from None
        caller = self._registered.of(held.client) if held is not None else None
        if held is None or caller is None:
            raise self._registered.refusal()
        kind = path.removeprefix("/fhir/").partition("/")[0]
        wanted = _NEEDED.get(kind, kind).casefold()
        if not any(_allows(scope, wanted) for scope in held.scopes):
            raise Refusal(403, "forbidden", f"the token has no scope for {kind}")
        return caller

    def ready(self) -> bool:
        """True when callers can be told."""
        return self._registered.ready()


def _allows(scope: str, kind: str) -> bool:
    return scope.casefold().removeprefix("system/").partition(".")[0] in (kind, "*")


class OAuthError(Exception):
    """A refusal of the token endpoint (RFC 6749 §5.2)."""

    def __init__(self, error: str, status: int = 400) -> None:
        super().__init__(error)
        self.error, self.status = error, status


def token_endpoint(registered: RegisteredCallers, tokens: AccessTokens, public_url: str) -> Blueprint:
    """`/fhir/token` and where it is told of. Its errors are OAuth's, as its clients expect them."""
    routes = Blueprint("fhir_tokens", __name__)
    own_url = f"{public_url}{TOKEN_PATH}"

    @routes.errorhandler(OAuthError)
    def refused(error: OAuthError) -> Response:
        return _told({"error": error.error}, error.status)

    @routes.get("/fhir/.well-known/smart-configuration")
    def configuration() -> Response:
        return json_response(
            {
                "token_endpoint": own_url,
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
                "grant_types_supported": ["client_credentials"],
                "scopes_supported": list(SCOPES),
                "capabilities": ["client-confidential-asymmetric", "permission-v2"],
            }
        )

    @routes.post(TOKEN_PATH)
    def token() -> Response:
        given = _form()
        if given.get("grant_type") != "client_credentials":
            raise OAuthError("unsupported_grant_type" if given.get("grant_type") else "invalid_request")
        if given.get("client_assertion_type") != _ASSERTION or not given.get("client_assertion"):
            raise OAuthError("invalid_request")
        scopes = _scopes(given.get("scope", ""))
        try:
            client = registered.assertion(given["client_assertion"], own_url)
            issued = tokens.issue(client.iss, scopes)
        except UnauthorizedError as error:
            raise OAuthError("temporarily_unavailable" if error.is_ours else "invalid_client", _status(error)) from None
        except NoKeyError:
            raise OAuthError("temporarily_unavailable", 503) from None
        return _told(
            {"access_token": issued, "token_type": "bearer", "expires_in": LIFE_S, "scope": " ".join(scopes)}, 200
        )

    return routes


def _status(error: UnauthorizedError) -> int:
    return 503 if error.is_ours else 401


def _told(body: dict[str, Any], status: int) -> Response:
    response = json_response(body, status)
    response.headers.update(_NOT_KEPT)
    if status == 503:
        response.headers["Retry-After"] = "5"
    return response


def _form() -> dict[str, str]:
    if request.mimetype != "application/x-www-form-urlencoded":
        raise OAuthError("invalid_request")
    request.max_content_length = _LONGEST_FORM
    try:
        given = request.form
    except RequestEntityTooLarge:
        raise OAuthError("invalid_request", 413) from None
    if any(len(values) > 1 for values in given.listvalues()):  # RFC 6749 §3.2
        raise OAuthError("invalid_request")
    return given.to_dict()


def _scopes(asked: str) -> list[str]:
    """What is granted of what is asked, as it was asked; SMART lets a server grant less."""
    known = {scope.casefold() for scope in SCOPES} | {"system/*.rs"}
    granted = [scope for scope in dict.fromkeys(asked.split()) if scope.casefold() in known]
    if not granted:
        raise OAuthError("invalid_scope")
    return granted


def fhir_callers(callers: Callers, tokens: AccessTokens) -> Callers:
    """Who may call the FHIR endpoint, where `callers` may call the rest."""
    return FhirCallers(callers, tokens) if isinstance(callers, RegisteredCallers) else callers
