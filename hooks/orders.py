"""The orders that a call asks about: those that came with it, those it names, and a patient's open ones."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from cds_service.policy.facts import NO_NAMES
from fhir_mappings.asked import Asked, Needs
from fhir_mappings.chart import collect
from fhir_mappings.order import ordered_products, unread_product
from fhir_mappings.prefetch import read_prefetch
from fhir_mappings.queries import Query
from fhir_mappings.record import Record
from fhir_mappings.references import child, own_reference, relative, word
from fhir_mappings.servers import Server
from hooks.bundles import ORDER_TYPES, DraftOrder, is_patient, patient_member
from hooks.call import Call
from hooks.refusals import Refusal
from hooks.service import Moment, Service
from hooks.wire import encode

MOST_ORDERS = 500  # of one call; an order takes about 2 ms
NOT_ORDERED = frozenset({"cancelled", "completed", "ended", "entered-in-error", "revoked", "stopped"})
_OPEN = frozenset({"active", "draft", "on-hold"})
_ORDERED = frozenset({"Medication", "MedicationRequest", "ServiceRequest"})
_GIVEN = frozenset({"MedicationAdministration"})


def is_order(resource: dict[str, Any]) -> bool:
    """True for an order that stands: not cancelled or done, and not an order to refrain."""
    return (
        resource.get("resourceType") in ORDER_TYPES
        and word(resource, "status") not in NOT_ORDERED
        and resource.get("doNotPerform") is not True
    )


class Orders(NamedTuple):
    """What a call asks about."""

    found: tuple[DraftOrder, ...]
    unread: tuple[str, ...] = ()  # named by the call, and neither sent nor to be read


def orders_of(call: Call, service: Service, server: Server | None, moment: Moment) -> Orders:
    """Every order that the call asks about.

    Raises Refusal (412) when it names orders and none of them can be had, or when a patient's open orders could not be
    looked for: an answer without orders would say that nothing is required.
    """
    subjects = call.subjects
    found = list(subjects.answered)
    _check_number(len(found) + len(subjects.named))
    unread: tuple[str, ...] = ()
    if subjects.named:
        named = _named(call, service, server, moment)
        unread = tuple(name for name in subjects.named if name not in named)
        if len(unread) == len(subjects.named) and not found:
            raise Refusal(412, "not-found", "the orders that the call names were neither sent nor could they be read")
        read = {own_reference(resource): resource for resource in named.values()}
        found += [_as_draft(resource, call) for resource in read.values()]
    if subjects.open_orders:
        found += _open_orders(call, service, server, moment)
        _check_number(len(found))
    return Orders(tuple(draft for draft in found if is_order(draft.resource)), unread)


def _check_number(count: int) -> None:
    """Raises Refusal where one call would keep others waiting, and its FHIR server busy, for long."""
    if count > MOST_ORDERS:
        raise Refusal(400, "too-costly", f"expected at most {MOST_ORDERS} orders in one call")


def _named(call: Call, service: Service, server: Server | None, moment: Moment) -> dict[str, dict[str, Any]]:
    """The orders that the call names, by the name it uses: sent in its Bundle or prefetch, or read."""
    wanted = {name: _local(name, call.fhir_server) for name in call.subjects.named}
    names = [name for name in dict.fromkeys(wanted.values()) if name is not None]
    sent = {own_reference(resource): resource for resource in _sent(call)}
    found = {name: sent[name] for name in names if name in sent}
    absent = [name for name in names if name not in found]
    if absent and server is not None:
        replies = service.reader.read_all(server, [Query(name) for name in absent], moment.deadline)
        for name, reply in zip(absent, replies, strict=True):
            read = next((one for one in reply.resources if isinstance(one, dict) and own_reference(one) == name), None)
            if read is not None:
                found[name] = read
    return {name: found[local] for name, local in wanted.items() if local is not None and local in found}


def _local(name: str, base: str) -> str | None:
    """`Type/id` of an order of this FHIR server; None for one of another, whose ids are none of this one's."""
    return relative(name, base) if base else relative("/".join(name.split("/")[-2:]))


def _sent(call: Call) -> Iterable[dict[str, Any]]:
    yield from (draft.resource for draft in call.subjects.drafts)
    yield from (resource for resource in read_prefetch(call.prefetch).resources if isinstance(resource, dict))


def _as_draft(resource: dict[str, Any], call: Call) -> DraftOrder:
    if not is_patient(child(resource, patient_member(resource)).get("reference"), call.patient_id):
        raise Refusal(400, "value", "an order that the call names is for another patient than context.patientId")
    return DraftOrder(own_reference(resource) or "", resource, encode(resource))


def _open_orders(call: Call, service: Service, server: Server | None, moment: Moment) -> list[DraftOrder]:
    """The patient's open orders for a governed drug that nothing says was given."""
    record = _collected(_ORDERED, call, service, server, moment)
    found = []
    for kind in ("MedicationRequest", "ServiceRequest"):
        for resource in record.of(kind):
            name = own_reference(resource)
            if name is None or word(resource, "status") not in _OPEN or not is_order(resource):
                continue
            if products_of(resource, record, service) & service.library.products:
                found.append(DraftOrder(name, resource, encode(resource)))
    if not found and ("treatments" in record.unread or "ServiceRequest" in record.failures):
        raise Refusal(412, "not-found", "the patient's open orders were neither sent nor could they be read")
    given = _given(_collected(_GIVEN, call, service, server, moment)) if found else frozenset()
    return [draft for draft in found if draft.reference not in given]


def _collected(types: frozenset[str], call: Call, service: Service, server: Server | None, moment: Moment) -> Record:
    asked = asked_of(call, (), moment)
    return collect(Needs({}, types), asked, service.vocabulary, service.reader, server, moment.deadline)


def _given(record: Record) -> frozenset[str | None]:
    """The orders whose drug was given."""
    return frozenset(
        record.name(child(administration, "request").get("reference"))
        for administration in record.of("MedicationAdministration")
        if word(administration, "status") == "completed"
    )


def products_of(order: dict[str, Any], record: Record, service: Service) -> frozenset[str]:
    """The governed products that the order may be for: all of them where its product is still to be read."""
    found = ordered_products(order, record, service.vocabulary.codes)
    if not found and unread_product(order, record):
        return service.library.products
    return found or NO_NAMES


def asked_of(call: Call, orders: tuple[DraftOrder, ...], moment: Moment) -> Asked:
    """The parts of the call that a record is gathered for."""
    own = {draft.reference for draft in call.subjects.drafts}
    others = tuple(order.resource for order in orders if order.reference not in own)
    return Asked(
        patient_id=call.patient_id,
        orders=tuple(order.resource for order in orders),
        day=moment.today,
        drafts=(*(draft.resource for draft in call.subjects.drafts), *others),
        beside={
            draft.full_url: draft.resource
            for draft in call.subjects.drafts
            if draft.full_url.startswith(("urn:", "http")) and draft.resource.get("resourceType") not in ORDER_TYPES
        },
        prefetch=call.prefetch,
        user=call.user or None,
        performer=call.subjects.performer or None,
        encounter_id=call.encounter_id or None,
        fhir_server=call.fhir_server or None,
    )
