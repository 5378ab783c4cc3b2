"""A CDS Hooks call: the body as sent, checked member by member (CDS Hooks 2.0.1 "Calling a CDS Service").

Unknown members are ignored wherever they stand (CRD found-33). Prefetch is not judged here: one broken resource in it
costs that resource, not the call.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from hooks.hook import Hook, Subjects
from hooks.members import object_, optional_object, text
from hooks.refusals import Refusal, missing, type_name, wrong_type
from hooks.wire import decode

_INSTANCE = re.compile(r"[A-Za-z0-9\-._:]{1,128}")
VERSIONS = ("2.2",)  # what discovery advertises


class Call(Struct, frozen=True):
    """One call of a hook."""

    instance: str
    patient_id: str
    user: str  # Practitioner/x, or empty where the hook names none
    encounter_id: str
    subjects: Subjects
    fhir_server: str  # base URL without a slash at the end, or empty
    token: str  # bearer token for that server alone
    prefetch: dict[str, Any]
    configuration: dict[str, Any]
    requested_version: str

    def __repr__(self) -> str:
        return f"Call({self.instance})"  # a token or a chart never reaches a log by way of repr


def parse_call(body: bytes, hook: Hook) -> Call:
    """The call in `body`, for the service of `hook`. Raises Refusal."""
    sent = decode(body)
    if not isinstance(sent, dict):
        raise Refusal(400, "structure", f"the body: expected an object, found {type_name(sent)}")
    found_hook = text(sent, "hook", "hook", "the hook's name")
    if found_hook != hook.name:
        shown = found_hook if re.fullmatch(r"[a-z\-]{1,40}", found_hook) else "another value"
        raise Refusal(400, "value", f"hook: expected {hook.name!r} at this service, found {shown!r}", "hook")
    instance = text(sent, "hookInstance", "hookInstance", "a UUID")
    if not _INSTANCE.fullmatch(instance):
        raise Refusal(400, "value", "hookInstance: expected a UUID", "hookInstance")
    context = hook.read(object_(sent, "context", "context"), body)
    fhir_server, token = _server(sent, context.patient_id)
    extension = optional_object(sent, "extension", "extension")
    return Call(
        instance=instance,
        patient_id=context.patient_id,
        user=context.user,
        encounter_id=context.encounter_id,
        subjects=context.subjects,
        fhir_server=fhir_server,
        token=token,
        prefetch=optional_object(sent, "prefetch", "prefetch"),
        configuration=_configuration(extension),
        requested_version=_requested_version(extension),
    )


def _server(sent: dict[str, Any], patient_id: str) -> tuple[str, str]:
    server = sent.get("fhirServer")
    if server is not None:
        if not isinstance(server, str):
            raise wrong_type("fhirServer", "a URL", server)
        _check_url(server)
    authorization = sent.get("fhirAuthorization")
    if authorization is None:
        return (server or "").rstrip("/"), ""
    if not isinstance(authorization, dict):
        raise wrong_type("fhirAuthorization", "an object", authorization)
    if server is None:
        raise missing("fhirServer", "the base URL that fhirAuthorization is for")
    path = "fhirAuthorization.access_token"
    token = text(authorization, "access_token", path, "a token")
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise Refusal(400, "value", f"{path}: expected printable ASCII without spaces", path)
    kind = authorization.get("token_type")
    if kind is not None and (not isinstance(kind, str) or kind.lower() != "bearer"):
        path = "fhirAuthorization.token_type"
        raise Refusal(400, "value", f"{path}: expected 'Bearer'", path)
    patient = authorization.get("patient")
    if patient is not None and patient != patient_id:
        path = "fhirAuthorization.patient"
        raise Refusal(400, "value", f"{path}: the token is for another patient than context.patientId", path)
    return server.rstrip("/"), token


def _check_url(server: str) -> None:
    try:
        parts = urlsplit(server)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and not parts.fragment
        _ = parts.port
    except ValueError:
        usable = False
    if not usable or re.search(r"[\s\x00-\x1f]", server):
        raise Refusal(400, "value", "fhirServer: expected an absolute http or https URL", "fhirServer")


def _configuration(extension: dict[str, Any]) -> dict[str, Any]:
    found = extension.get("davinci-crd.configuration")
    return found if isinstance(found, dict) else {}


def _requested_version(extension: dict[str, Any]) -> str:
    path = "extension['davinci-crd.requestedVersion']"
    version = extension.get("davinci-crd.requestedVersion")
    if version is None:
        return ""
    if not isinstance(version, str):
        raise wrong_type(path, "a version like 2.2", version)
    if version not in VERSIONS:
        shown = version if re.fullmatch(r"[0-9.]{1,12}", version) else "another value"
        raise Refusal(400, "not-supported", f"{path}: expected one of {', '.join(VERSIONS)}, found {shown}", path)
    return version
