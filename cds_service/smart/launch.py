"""SMART App Launch 2.2 as a public client: from an EHR's launch to a session, or a page that says why not.

Which servers: `iss` must be registered for some client (`fhir_servers`), or in `CDS_FHIR_SERVERS` where no client
needs a token. Its discovery document is read from there and nowhere else, and its two endpoints are used only where
they are https and on the same origin as `iss`, or below one of `CDS_SMART_AUTH_SERVERS`. http is for loopback.
"""

import hashlib
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt
from jwt.types import Options
from msgspec import Struct
from msgspec.structs import replace

from cds_service.smart.ehr import AwayError, EhrClient
from cds_service.smart.problems import LAUNCH_AGAIN, ProblemError
from cds_service.smart.session import Pending, Session, now_s
from fhir_mappings.needs import EVERYTHING
from fhir_mappings.references import Json, children, is_id, relative, word
from fhir_mappings.servers import Server, base_of, may_be_called, server_at
from hooks.bundles import ORDER_TYPES
from hooks.refusals import Refusal
from hooks.wire import decode

_LONGEST = 2000
_ASSERTION = re.compile(r"[A-Za-z0-9\-]{1,64}")
_NOT_OPENED = "The form could not be opened"
_UNREAD = "What the record system handed over with it cannot be read: its context"
_WRITTEN = {"QuestionnaireResponse": "cru", "DocumentReference": "c"}


class App(Struct, frozen=True):
    """What this app is, and whom it may be launched by."""

    client_id: str
    redirect_uri: str
    servers: tuple[str, ...]  # as `bases_of` gives them, and so the next
    auth_servers: tuple[str, ...]


def known_server(app: App, given: str, token: str = "") -> Server:
    """The server that launches, by its base. Raises ProblemError for one that is not registered."""
    server = server_at(given, app.servers, token)
    if server is None or not _is_safe(server.base):
        advice = "The plan answers only to record systems that it knows. Ask the plan to register this one."
        raise ProblemError(403, "This record system is not registered with the plan", advice)
    return server


def begin(
    app: App, ehr: EhrClient, given_iss: str, launch: str, again: Session | None = None, goes_on: bool = False
) -> tuple[Pending, str]:
    """The launch that now waits, and where the browser is sent to. Raises ProblemError."""
    iss = known_server(app, given_iss).base
    if not 0 < len(launch) <= _LONGEST:
        raise ProblemError(400, _NOT_OPENED, f"The record system did not say for which chart. {LAUNCH_AGAIN}")
    authorize, token_endpoint, scopes_v2 = _discovered(app, ehr, iss)
    pending = Pending(
        sid=again.sid if again is not None else secrets.token_hex(8),
        iss=iss,
        launch=launch,
        state=secrets.token_urlsafe(24),
        verifier=secrets.token_urlsafe(48),
        nonce=secrets.token_urlsafe(16),
        token_endpoint=token_endpoint,
        at=now_s(),
        before=replace(again, token="", note="") if again is not None else None,
        goes_on=goes_on,
    )
    challenge = urlsafe_b64encode(hashlib.sha256(pending.verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code",
        "client_id": app.client_id,
        "redirect_uri": app.redirect_uri,
        "launch": launch,
        "scope": " ".join(_scopes(scopes_v2)),
        "state": pending.state,
        "aud": given_iss,  # as the EHR wrote it: some compare it to the letter
        "nonce": pending.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return pending, f"{authorize}?{urlencode(query)}"


def finish(app: App, ehr: EhrClient, pending: Pending, code: str) -> Session:
    """The session that the code is exchanged for. Raises ProblemError."""
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": app.redirect_uri,
        "client_id": app.client_id,
        "code_verifier": pending.verifier,
    }
    try:
        answer = ehr.post_form(pending.token_endpoint, fields)
    except AwayError:
        raise _no_sign_in(502) from None
    given = answer.body
    token, patient = word(given, "access_token"), word(given, "patient")
    if answer.status != 200 or not token or word(given, "token_type").lower() != "bearer":
        raise _no_sign_in(502 if answer.status >= 500 else 403)
    if not is_id(patient):
        raise ProblemError(400, "No patient was chosen", "Open the form from an order in a patient's chart.")
    seconds = given.get("expires_in")
    lasts = seconds if isinstance(seconds, int) and not isinstance(seconds, bool) and seconds > 0 else 0
    encounter = word(given, "encounter")
    session = Session(
        sid=pending.sid,
        iss=pending.iss,
        token=token,
        csrf=secrets.token_urlsafe(16),
        patient=patient,
        seen=now_s(),
        until=now_s() + lasts if lasts else 0,
        user=_user(word(given, "id_token"), app, pending),
        encounter=encounter if is_id(encounter) else "",
        launch=pending.launch,
    )
    if pending.before is None:
        return _with_context(session, given)
    if pending.before.patient != patient:
        raise ProblemError(403, "Another patient is open in the record system now", LAUNCH_AGAIN)
    return replace(
        pending.before,
        token=session.token,
        seen=session.seen,
        until=session.until,
        user=session.user or pending.before.user,
    )


def _no_sign_in(status: int) -> ProblemError:
    return ProblemError(status, "The record system did not sign you in", LAUNCH_AGAIN)


def _discovered(app: App, ehr: EhrClient, iss: str) -> tuple[str, str, bool]:
    try:
        answer = ehr.read(f"{iss}/.well-known/smart-configuration")
    except AwayError:
        answer = None
    if answer is None or answer.status != 200:
        raise ProblemError(502, "The record system does not say how to sign in", "Try again in a moment.")
    endpoints = [word(answer.body, name) for name in ("authorization_endpoint", "token_endpoint")]
    if not all(_may_be_used(endpoint, iss, app.auth_servers) for endpoint in endpoints):
        advice = "Its sign-in is on another server, which the plan has to register first."
        raise ProblemError(502, "The record system's sign-in cannot be used", advice)
    capabilities = answer.body.get("capabilities")
    return endpoints[0], endpoints[1], isinstance(capabilities, list) and "permission-v2" in capabilities


def _may_be_used(endpoint: str, iss: str, others: tuple[str, ...]) -> bool:
    base = base_of(endpoint)
    if base is None or not _is_safe(base):
        return False
    return urlsplit(base)[:2] == urlsplit(iss)[:2] or may_be_called(base, others)


def _is_safe(base: str) -> bool:
    parts = urlsplit(base)
    if parts.scheme == "https":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname == "localhost"


def _scopes(version_2: bool) -> Iterator[str]:
    yield from ("launch", "openid", "fhirUser")
    for kind in sorted(EVERYTHING):
        yield f"patient/{kind}.{'rs' if version_2 else 'read'}"
    for kind, letters in _WRITTEN.items():
        yield f"patient/{kind}.{letters if version_2 else 'write'}"


def _user(id_token: str, app: App, pending: Pending) -> str:
    """`Practitioner/x` of the id token, which came over TLS from its issuer (OpenID Connect Core 3.1.3.7, 6)."""
    try:
        checks: Options = {"verify_signature": False, "verify_aud": True, "verify_exp": True}
        claims = jwt.decode(id_token, audience=app.client_id, options=checks)
    except (jwt.PyJWTError, ValueError):
        return ""
    if claims.get("nonce", pending.nonce) != pending.nonce:
        return ""
    found = relative(claims.get("fhirUser"), pending.iss)
    return found if found is not None and found.startswith(("Practitioner/", "PractitionerRole/")) else ""


def _with_context(session: Session, given: Json) -> Session:
    """The session with what it is about: the card's appContext, else the launch's fhirContext."""
    context = _app_context(given.get("appContext"))
    named = list(_named(given))
    order = context.get("order") or _first(named, ORDER_TYPES)
    coverage = context.get("coverage") or _first(named, frozenset({"Coverage"}))
    canonical = next((word(one, "canonical") for one in children(given, "fhirContext") if "canonical" in one), "")
    return replace(
        session,
        order=_reference(order, session.iss, ORDER_TYPES, "an order"),
        coverage=_reference(coverage, session.iss, frozenset({"Coverage"}), "a coverage"),
        questionnaire=(context.get("questionnaire") or canonical)[:_LONGEST],
        assertion=_assertion(context.get("assertionId", "")),
    )


def _assertion(given: str) -> str:
    """The id of the answer that the card came with; empty for what is none of ours."""
    return given if _ASSERTION.fullmatch(given) else ""


def _app_context(given: Any) -> dict[str, str]:
    if isinstance(given, str):
        try:
            given = decode(given.encode("utf-8", "surrogatepass"))
        except Refusal:
            raise ProblemError(400, _NOT_OPENED, f"{_UNREAD} is not JSON. {LAUNCH_AGAIN}") from None
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise ProblemError(400, _NOT_OPENED, f"{_UNREAD} is not as the card had it. {LAUNCH_AGAIN}")
    return given


def _named(given: Json) -> Iterator[str]:
    found = given.get("fhirContext")
    for one in found if isinstance(found, list) else []:
        reference = one.get("reference") if isinstance(one, dict) else one
        if isinstance(reference, str):
            yield reference


def _first(references: Iterable[str], kinds: frozenset[str]) -> str:
    return next((one for one in references if any(f"/{one}".rpartition("/")[0].endswith(f"/{k}") for k in kinds)), "")


def _reference(given: str, iss: str, kinds: frozenset[str], what: str) -> str:
    if not given:
        return ""
    found = relative(given, iss)
    if found is None or found.partition("/")[0] not in kinds:
        raise ProblemError(400, _NOT_OPENED, f"It was opened for {what} that is not one of this record. {LAUNCH_AGAIN}")
    return found
