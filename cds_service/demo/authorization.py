"""The demo EHR's sign-in: SMART App Launch 2.2 in miniature. Whoever asks is Hazel Example, and she agrees.

Its FHIR server looks at no token: the point is that the form goes the way that it would go at any EHR.
"""

import hashlib
import secrets
import threading
import time
from base64 import urlsafe_b64encode
from collections import OrderedDict
from typing import Any
from urllib.parse import urlencode

import jwt
from flask import Blueprint, Response, redirect, request
from msgspec import Struct

from cds_service.demo.directory import PRESCRIBER
from cds_service.demo.outcomes import RefusedError, Resource
from cds_service.demo.store import Store, decode_json, encode_json

TOKEN_S = 3600
_CODE_S = 60
_KEPT = 500  # launches and codes, the newest ones


class Launch(Struct, frozen=True):
    """What the EHR had open when it launched the app."""

    patient: str
    encounter: str
    app_context: str
    order: str


class Code(Struct, frozen=True):
    """An agreement that waits to be exchanged."""

    launch: Launch
    challenge: str
    redirect_uri: str
    client_id: str
    nonce: str
    until: float


class Grants:
    """The launches and codes under way. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._launches: OrderedDict[str, Launch] = OrderedDict()
        self._codes: OrderedDict[str, Code] = OrderedDict()

    def add_launch(self, launch: Launch) -> str:
        """The id of the launch."""
        return self._add(self._launches, launch)

    def launch(self, launch_id: str) -> Launch | None:
        """The launch of that id, which may be used again: a prescriber may open the form twice."""
        return self._launches.get(launch_id)

    def add_code(self, code: Code) -> str:
        """The code."""
        return self._add(self._codes, code)

    def take(self, code: str) -> Code | None:
        """What the code stands for, once."""
        with self._lock:
            return self._codes.pop(code, None)

    def _add(self, kept: OrderedDict[str, Any], value: Any) -> str:
        name = secrets.token_urlsafe(18)
        with self._lock:
            kept[name] = value
            while len(kept) > _KEPT:
                kept.popitem(last=False)
        return name


def authorization_blueprint(store: Store, public_url: str) -> Blueprint:
    """Discovery, the two endpoints, and `launch`, by which the order-entry page says what it has open."""
    routes = Blueprint("demo_authorization", __name__, url_prefix="/demo")
    grants = Grants()
    base, key = f"{public_url}/demo/fhir", secrets.token_bytes(32)
    apps = (f"{public_url}/smart/callback",)

    @routes.get("/fhir/.well-known/smart-configuration")
    def discovery() -> Response:
        return _json(
            {
                "issuer": base,
                "authorization_endpoint": f"{public_url}/demo/auth/authorize",
                "token_endpoint": f"{public_url}/demo/auth/token",
                "grant_types_supported": ["authorization_code"],
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
                "scopes_supported": ["launch", "openid", "fhirUser", "patient/*.rs", "patient/*.cru"],
                "capabilities": [
                    "launch-ehr",
                    "client-public",
                    "context-ehr-patient",
                    "context-ehr-encounter",
                    "sso-openid-connect",
                    "permission-patient",
                    "permission-v2",
                ],
            }
        )

    @routes.post("/auth/launch")
    def launch() -> Response:
        given = _body()
        order, kept = given.get("order"), ""
        if isinstance(order, dict) and order.get("status") == "draft":  # an app can read only what is in the record
            try:
                stored, _ = store.put(order)
            except RefusedError as refusal:
                return _json({"error": "invalid_request", "error_description": refusal.diagnostics}, 400)
            kept = f"{stored['resourceType']}/{stored['id']}"
        patient, encounter, context = (str(given.get(name) or "") for name in ("patient", "encounter", "appContext"))
        return _json({"launch": grants.add_launch(Launch(patient, encounter, context, kept))})

    @routes.get("/auth/authorize")
    def authorize() -> Response:
        asked = request.args
        found = grants.launch(asked.get("launch", ""))
        wanted = {"response_type": "code", "code_challenge_method": "S256", "aud": base}
        redirect_uri = asked.get("redirect_uri", "")
        if redirect_uri not in apps:
            return _json({"error": "invalid_request", "error_description": "this app is not registered here"}, 400)
        if found is None or any(asked.get(name) != value for name, value in wanted.items()):
            return _back(redirect_uri, {"error": "invalid_request", "state": asked.get("state", "")})
        code = Code(
            found,
            asked.get("code_challenge", ""),
            redirect_uri,
            asked.get("client_id", ""),
            asked.get("nonce", ""),
            time.monotonic() + _CODE_S,
        )
        return _back(redirect_uri, {"code": grants.add_code(code), "state": asked.get("state", "")})

    @routes.post("/auth/token")
    def token() -> Response:
        given = request.form
        code = grants.take(given.get("code", ""))
        if code is None or not _is_for(code, given) or given.get("grant_type") != "authorization_code":
            return _json({"error": "invalid_grant"}, 400)
        claims = {
            "iss": base,
            "aud": code.client_id,
            "sub": "hazel",
            "exp": int(time.time()) + TOKEN_S,
            "iat": int(time.time()),
            "nonce": code.nonce,
            "fhirUser": f"{base}/{PRESCRIBER['reference']}",
        }
        found: dict[str, Any] = {
            "access_token": secrets.token_urlsafe(24),
            "token_type": "Bearer",
            "expires_in": TOKEN_S,
            "scope": "launch openid fhirUser patient/*.cruds",
            "id_token": jwt.encode(claims, key, algorithm="HS256"),
            "patient": code.launch.patient,
            "encounter": code.launch.encounter,
        }
        if code.launch.app_context:
            found["appContext"] = code.launch.app_context
        if code.launch.order:
            found["fhirContext"] = [{"reference": code.launch.order}]
        return _json(found)

    return routes


def _is_for(code: Code, given: Any) -> bool:
    verifier = given.get("code_verifier", "")
    challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return (
        bool(code.challenge)
        and secrets.compare_digest(challenge, code.challenge)
        and given.get("redirect_uri") == code.redirect_uri
        and given.get("client_id") == code.client_id
        and time.monotonic() < code.until
    )


def _body() -> Resource:
    if request.mimetype != "application/json":  # which no form of another site can send
        return {}
    try:
        found = decode_json(request.get_data())
    except RefusedError:
        return {}
    return found if isinstance(found, dict) else {}


def _back(redirect_uri: str, query: dict[str, str]) -> Response:
    response: Any = redirect(f"{redirect_uri}?{urlencode(query)}")
    return response  # type: ignore[no-any-return]


def _json(value: Any, status: int = 200) -> Response:
    response = Response(encode_json(value), status, content_type="application/json; charset=utf-8")
    response.headers["Cache-Control"] = "no-store"
    return response
