"""The Parameters of `$questionnaire-package`, checked (DTR "Questionnaire Package Input Parameters")."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from cds_service.dtr.names import DtrVersion
from cds_service.dtr.refusal import RefusedError
from fhir_mappings.references import Json, child, children, own_reference, relative, word

ORDERS = frozenset(
    {
        "Appointment",
        "Claim",
        "CommunicationRequest",
        "DeviceRequest",
        "Encounter",
        "MedicationRequest",
        "NutritionOrder",
        "ServiceRequest",
        "SupplyRequest",
        "Task",
        "VisionPrescription",
    }
)
_CANONICAL = ("valueCanonical", "valueUri", "valueUrl", "valueString")


class PackageRequest(Struct, frozen=True):
    """What is asked for."""

    patient: str  # `Patient/x`
    coverages: tuple[Json, ...]
    orders: tuple[Json, ...]
    questionnaires: tuple[str, ...]
    referenced: tuple[Json, ...]
    context: str = ""
    changed_since: datetime | None = None


def parse_request(body: Any, version: DtrVersion, own_form: str = "") -> PackageRequest:
    """The request of a body. `own_form` is the canonical that the address itself names. Raises RefusedError."""
    parameters: dict[str, list[Json]] = {}
    for given in _parameters(body):
        if isinstance(name := given.get("name"), str):
            parameters.setdefault(name, []).append(given)
    coverages = tuple(_resources(parameters, "coverage", frozenset({"Coverage"})))
    if not coverages:
        raise _refused("required", "parameter `coverage`: expected one Coverage, found none")
    if len(coverages) > 1 and version != "2.0.1":
        raise _refused("structure", f"parameter `coverage`: expected one Coverage, found {len(coverages)}")
    orders = tuple(_resources(parameters, "order", ORDERS))
    questionnaires = tuple(_texts(parameters, "questionnaire", _CANONICAL))
    contexts = tuple(_texts(parameters, "context", ("valueString",)))
    since = tuple(_texts(parameters, "changedsince", ("valueInstant", "valueDateTime")))
    for name, found in (("context", contexts), ("changedsince", since)):
        if len(found) > 1:
            raise _refused("structure", f"parameter `{name}`: expected at most one, found {len(found)}")
    if own_form:
        questionnaires = (own_form, *(one for one in questionnaires if one != own_form))
    if not (orders or questionnaires or contexts):
        raise _refused("required", "expected at least one of the parameters `order`, `questionnaire` and `context`")
    return PackageRequest(
        _patient(coverages, orders),
        coverages,
        orders,
        questionnaires,
        tuple(_resources(parameters, "referenced", None)),
        contexts[0] if contexts else "",
        _instant(since[0]) if since else None,
    )


def _refused(code: str, diagnostics: str, status: int = 400) -> RefusedError:
    return RefusedError(status, code, diagnostics, "Parameters.parameter")


def _parameters(body: Any) -> list[Json]:
    if not isinstance(body, dict) or body.get("resourceType") != "Parameters":
        raise RefusedError(400, "structure", "expected a Parameters resource")
    given = body.get("parameter")
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise _refused("structure", "parameter: expected an array of objects")
    return given


def _resources(parameters: Mapping[str, list[Json]], name: str, kinds: frozenset[str] | None) -> Iterator[Json]:
    for found in parameters.get(name, ()):
        resource = found.get("resource")
        if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
            raise _refused("structure", f"parameter `{name}`: expected a resource")
        if kinds is not None and resource["resourceType"] not in kinds:
            raise _refused("structure", f"parameter `{name}`: expected {_listed(kinds)}, found another resource")
        yield resource


def _texts(parameters: Mapping[str, list[Json]], name: str, members: tuple[str, ...]) -> Iterator[str]:
    for found in parameters.get(name, ()):
        text = next((found[member] for member in members if isinstance(found.get(member), str)), "")
        if not text:
            raise _refused("structure", f"parameter `{name}`: expected {members[0]}")
        yield text


def _listed(kinds: frozenset[str]) -> str:
    *others, last = sorted(kinds)
    return f"one of {', '.join(others)} and {last}" if others else f"a {last}"


def _patient(coverages: tuple[Json, ...], orders: tuple[Json, ...]) -> str:
    """The one patient of all that was sent. Raises RefusedError."""
    for coverage in coverages:
        if own_reference(coverage) is None:
            raise _refused("required", "parameter `coverage`: expected a Coverage with an id")
    patients = {_name(word(child(coverage, "beneficiary"), "reference")) for coverage in coverages}
    if patients == {""} or "" in patients:
        raise _refused("required", "parameter `coverage`: expected a beneficiary that refers to a Patient")
    patients |= {subject for order in orders if (subject := _subject(order))}
    if len(patients) != 1:
        raise _refused("business-rule", "the coverage and the order are not of the same patient", 422)
    return patients.pop()


def _subject(order: Json) -> str:
    for member in ("subject", "patient", "for"):
        reference = word(child(order, member), "reference")
        if reference:
            return _name(reference) or "?"
    for participant in children(order, "participant"):
        name = _name(word(child(participant, "actor"), "reference"))
        if name:
            return name
    return ""


def _name(reference: str) -> str:
    """`Patient/x` of a relative or an absolute reference; empty for one to something else."""
    head, _, tail = reference.rpartition("Patient/")
    if head and not head.endswith("/"):
        return ""
    return relative(f"Patient/{tail}") or ""


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise _refused("value", "parameter `changedsince`: expected an instant like 2026-01-31T12:00:00Z") from None
    if found.tzinfo is None:
        raise _refused("value", "parameter `changedsince`: expected an instant with its time zone")
    return found
