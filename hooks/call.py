"""A CDS Hooks call: the body as sent, checked member by member (CDS Hooks 2.0.1 "Calling a CDS Service").

Unknown members are ignored wherever they stand (CRD found-33). Prefetch is not judged here: one broken resource in it
costs that resource, not the call.
"""

import re
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw, Struct

from hooks.refusals import Refusal, missing, type_name, wrong_type
from hooks.wire import decode

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")  # FHIR R4 id
_INSTANCE = re.compile(r"[A-Za-z0-9\-._:]{1,128}")
_USER_TYPES = ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson")
VERSIONS = ("2.2",)  # what discovery advertises


class DraftOrder(Struct, frozen=True):
    """One resource of the call's Bundle: decoded, and its bytes as they came in."""

    reference: str  # MedicationRequest/x, or the entry's fullUrl where it has no id
    resource: dict[str, Any]
    raw: bytes


class Call(Struct, frozen=True):
    """One call of an order hook."""

    hook: str
    instance: str
    patient_id: str
    user: str  # Practitioner/x
    encounter_id: str
    fhir_server: str  # base URL without a slash at the end, or empty
    token: str  # bearer token for that server alone
    drafts: tuple[DraftOrder, ...]
    prefetch: dict[str, Any]
    configuration: dict[str, Any]
    requested_version: str

    def __repr__(self) -> str:
        return f"Call({self.hook}, {self.instance})"  # a token or a chart never reaches a log by way of repr


class _Entry(Struct):
    resource: Raw


class _DraftOrders(Struct):
    entry: list[_Entry]


class _Context(Struct):
    draftOrders: _DraftOrders  # noqa: N815 - the specification's name


class _Raws(Struct):
    context: _Context


_RAWS = msgspec.json.Decoder(_Raws)


def parse_call(body: bytes, hook: str) -> Call:
    """The call in `body`, for the service of `hook`. Raises Refusal."""
    sent = decode(body)
    if not isinstance(sent, dict):
        raise Refusal(400, "structure", f"the body: expected an object, found {type_name(sent)}")
    found_hook = _text(sent, "hook", "hook", "the hook's name")
    if found_hook != hook:
        shown = found_hook if re.fullmatch(r"[a-z\-]{1,40}", found_hook) else "another value"
        raise Refusal(400, "value", f"hook: expected {hook!r} at this service, found {shown!r}", "hook")
    instance = _text(sent, "hookInstance", "hookInstance", "a UUID")
    if not _INSTANCE.fullmatch(instance):
        raise Refusal(400, "value", "hookInstance: expected a UUID", "hookInstance")
    context = _object(sent, "context", "context")
    patient_id = _id(_text(context, "patientId", "context.patientId", "an id"), "context.patientId")
    encounter_id = context.get("encounterId")
    if encounter_id is not None:
        if not isinstance(encounter_id, str):
            raise wrong_type("context.encounterId", "an id", encounter_id)
        _id(encounter_id, "context.encounterId")
    fhir_server, token = _server(sent, patient_id)
    extension = _optional_object(sent, "extension", "extension")
    return Call(
        hook=hook,
        instance=instance,
        patient_id=patient_id,
        user=_user(context),
        encounter_id=encounter_id or "",
        fhir_server=fhir_server,
        token=token,
        drafts=_drafts(context, body, patient_id),
        prefetch=_optional_object(sent, "prefetch", "prefetch"),
        configuration=_configuration(extension),
        requested_version=_requested_version(extension),
    )


def _text(holder: dict[str, Any], name: str, path: str, expected: str) -> str:
    value = holder.get(name)
    if value is None:
        raise missing(path, expected)
    if not isinstance(value, str):
        raise wrong_type(path, expected, value)
    if not value:
        raise Refusal(400, "value", f"{path}: expected {expected}, found an empty string", path)
    return value


def _object(holder: dict[str, Any], name: str, path: str) -> dict[str, Any]:
    value = holder.get(name)
    if value is None:
        raise missing(path, "an object")
    if not isinstance(value, dict):
        raise wrong_type(path, "an object", value)
    return value


def _optional_object(holder: dict[str, Any], name: str, path: str) -> dict[str, Any]:
    return _object(holder, name, path) if holder.get(name) is not None else {}


def _id(value: str, path: str) -> str:
    if not ID.fullmatch(value):
        raise Refusal(
            400, "value", f"{path}: expected an id (letters, digits, - and ., at most 64), without a type", path
        )
    return value


def _user(context: dict[str, Any]) -> str:
    path = "context.userId"
    user = _text(context, "userId", path, "a reference like Practitioner/123")
    kind, _, user_id = user.partition("/")
    if kind not in _USER_TYPES or not ID.fullmatch(user_id):
        raise Refusal(400, "value", f"{path}: expected Practitioner/<id> or PractitionerRole/<id>", path)
    return user


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
    token = _text(authorization, "access_token", path, "a token")
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


def _drafts(context: dict[str, Any], body: bytes, patient_id: str) -> tuple[DraftOrder, ...]:
    path = "context.draftOrders"
    bundle = _object(context, "draftOrders", path)
    if bundle.get("resourceType") != "Bundle":
        raise Refusal(400, "value", f"{path}.resourceType: expected 'Bundle'", f"{path}.resourceType")
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        raise wrong_type(f"{path}.entry", "an array", entries)
    checked = [_entry(entry, f"{path}.entry[{index}]", patient_id) for index, entry in enumerate(entries)]
    raws = _raw_entries(body) if checked else []
    seen: set[str] = set()
    drafts = []
    for index, ((reference, resource), raw) in enumerate(zip(checked, raws, strict=True)):
        if reference in seen:
            place = f"{path}.entry[{index}]"
            raise Refusal(400, "duplicate", f"{place}: another entry has the same resource type and id", place)
        seen.add(reference)
        drafts.append(DraftOrder(reference, resource, raw))
    return tuple(drafts)


def _entry(entry: Any, path: str, patient_id: str) -> tuple[str, dict[str, Any]]:
    if not isinstance(entry, dict):
        raise wrong_type(path, "an object", entry)
    resource = _object(entry, "resource", f"{path}.resource")
    kind = _text(resource, "resourceType", f"{path}.resource.resourceType", "a resource type")
    if not re.fullmatch(r"[A-Za-z]{1,64}", kind):
        place = f"{path}.resource.resourceType"
        raise Refusal(400, "value", f"{place}: expected a resource type", place)
    if kind in ORDER_TYPES:
        _check_order(resource, f"{path}.resource", patient_id)
    own_id, full_url = resource.get("id"), entry.get("fullUrl")
    if isinstance(own_id, str) and ID.fullmatch(own_id):
        return f"{kind}/{own_id}", resource
    if own_id is None and isinstance(full_url, str) and 0 < len(full_url) <= 256:
        return full_url, resource
    raise Refusal(400, "required", f"{path}.resource.id: expected an id, so that the answer can name it", path)


def _check_order(resource: dict[str, Any], path: str, patient_id: str) -> None:
    extension = resource.get("extension", [])
    if not isinstance(extension, list):  # the answer is added to it
        raise wrong_type(f"{path}.extension", "an array", extension)
    subject = resource.get("subject")
    reference = subject.get("reference") if isinstance(subject, dict) else None
    if reference is None:
        return
    if not isinstance(reference, str) or not f"/{reference}".endswith(f"/Patient/{patient_id}"):
        place = f"{path}.subject"
        raise Refusal(400, "value", f"{place}: the order is for another patient than context.patientId", place)


ORDER_TYPES = frozenset(
    {
        "Appointment",
        "CommunicationRequest",
        "DeviceRequest",
        "MedicationRequest",
        "NutritionOrder",
        "ServiceRequest",
        "VisionPrescription",
    }
)  # CRD 2.2.1, contexts of ext-coverage-information that are orders


def _raw_entries(body: bytes) -> list[bytes]:
    return [bytes(entry.resource) for entry in _RAWS.decode(body).context.draftOrders.entry]


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
