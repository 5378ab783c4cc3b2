"""THE LINE: a call in, an answer out.

for each draft order of the call
    policy   in_force(what is ordered, day)
    chart    what was sent, and what could be read of the rest     the only reading
    said     determine(policy, facts)                              pure
    cards and coverage-information
"""

from collections.abc import Callable, Mapping
from datetime import date
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Raw, Struct

from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.determination import Determination, determine
from cds_service.policy.library import Library
from fhir_mappings.chart import Asked, Chart, Vocabulary, chart_of, complete_record, open_record
from fhir_mappings.fhir_dates import parse_date
from fhir_mappings.labs import LabTable
from fhir_mappings.needs import facts_for, needs_of
from fhir_mappings.order import read_order, unread_product
from fhir_mappings.reads import Reader
from fhir_mappings.record import Record
from fhir_mappings.references import child, children, word
from fhir_mappings.servers import Server
from hooks.call import ORDER_TYPES, Call, DraftOrder
from hooks.cards import guidance_card, missing_tests_card
from hooks.coverage_information import (
    URL,
    Assertion,
    Dialect,
    Links,
    assertion_for,
    conditional,
    technical,
    to_extension,
)
from hooks.coverages import standing
from hooks.suggestions import SHARED, Orderable, suggestions
from hooks.wire import encode

NOT_ORDERED = frozenset({"cancelled", "completed", "ended", "entered-in-error", "revoked", "stopped"})


class Moment(Struct, frozen=True):
    """When a call is answered: the day, and by when (monotonic seconds)."""

    today: date
    deadline: float


class Service(Struct, frozen=True):
    """What every call is answered with, built once."""

    library: Library
    vocabulary: Vocabulary
    reader: Reader
    server_for: Callable[[str, str], Server | None]  # fhirServer and token → a server that may be called
    links: Links
    label: str  # the payer's name on cards
    hcpcs: str
    orderables: Mapping[str, Orderable]
    templates: Mapping[str, str]
    default_dialect: Dialect
    secret: bytes  # what assertion ids are derived with
    log: Any


class OrderAnswer(Struct, frozen=True):
    """What one order gets."""

    cards: list[dict[str, Any]]
    action: dict[str, Any] | None


def answer(call: Call, service: Service, moment: Moment) -> dict[str, Any]:
    """The CDS Hooks response. Raises Refusal."""
    dialect: Dialect = "2.2" if call.requested_version else service.default_dialect
    drafts = [draft for draft in call.drafts if _is_order(draft.resource)]
    if not drafts:
        return {"cards": [], "systemActions": []}
    asked = Asked(
        patient_id=call.patient_id,
        orders=tuple(draft.resource for draft in drafts),
        day=moment.today,
        drafts=tuple(draft.resource for draft in call.drafts),
        prefetch=call.prefetch,
        user=call.user,
        encounter_id=call.encounter_id or None,
        fhir_server=call.fhir_server or None,
    )
    server = service.server_for(call.fhir_server, call.token) if call.fhir_server else None
    sent = open_record(asked, server)
    needs = needs_of(_policies_at_stake(sent.record, asked, service), asked)
    complete_record(sent, needs, asked, service.vocabulary, service.reader, server, moment.deadline)
    answers = []
    for draft in drafts:
        day = _day_of(draft.resource, moment.today)
        chart = chart_of(sent.record, draft.resource, needs, asked, service.vocabulary, day)
        answers.append(_one_order(call, draft, chart, service, dialect))
    options = call.configuration
    cards = [card for found in answers for card in found.cards] if options.get("guideline") is not False else []
    actions = [found.action for found in answers if found.action is not None]
    return {"cards": cards, "systemActions": actions if options.get("coverage-info") is not False else []}


def _is_order(resource: dict[str, Any]) -> bool:
    return (
        resource["resourceType"] in ORDER_TYPES
        and word(resource, "status") not in NOT_ORDERED
        and resource.get("doNotPerform") is not True
    )


def _day_of(order: Mapping[str, Any], today: date) -> date:
    """The evaluation date: the day the order was written, unless that is unknown or to come."""
    written = parse_date(order.get("authoredOn"))
    return written.first if written is not None and written.exact and written.first <= today else today


def _policies_at_stake(record: Record, asked: Asked, service: Service) -> tuple[CompiledPolicy, ...]:
    """The policies that may govern one of the orders; all of them where a product is still to be read."""
    products: set[str] = set()
    for order in asked.orders:
        found = read_order(order, record, service.vocabulary.codes).products
        if not found and unread_product(order, record):
            found = service.library.products
        products |= found
    return service.library.governing(frozenset(products), asked.day)


def _one_order(call: Call, draft: DraftOrder, chart: Chart, service: Service, dialect: Dialect) -> OrderAnswer:
    day = chart.facts.day
    policies = service.library.governing(chart.facts.order.products, day)
    covered = standing(draft, chart, dialect)
    if len(policies) != 1:
        fields = covered.fields or _ungoverned(policies, chart)
        return OrderAnswer(
            [], _update(draft, _stated(covered.reference, fields, day, draft, service), service, dialect)
        )
    policy = policies[0]
    said = determine(policy, facts_for(policy, chart, service.vocabulary.labs))
    assertion_id = _assertion_id(service, draft, covered.reference, said)
    caveats = (*covered.caveats, *_caveats(chart))
    cards = [guidance_card(said, service.links, service.label, dialect, assertion_id, caveats)]
    ordered = _ordered_tests(call, chart, service.vocabulary.labs)
    offered = suggestions(said, _context(call, draft), service.orderables, ordered, day.isoformat())
    if offered:
        cards.append(missing_tests_card(said, service.links, service.label, dialect, offered))
    if covered.reference is None:
        return OrderAnswer(cards, None)
    if covered.fields is not None:
        assertion: Assertion | None = _stated(covered.reference, covered.fields, day, draft, service)
    else:
        assertion = assertion_for(said, covered.reference, assertion_id, service.links, service.hcpcs)
    return OrderAnswer(cards, _update(draft, assertion, service, dialect))


def _ungoverned(policies: tuple[CompiledPolicy, ...], chart: Chart) -> dict[str, Any]:
    if policies:
        names = " and ".join(policy.source.name for policy in policies)
        return conditional(f"The order names both {names}; order one of them to get an answer.")
    if "order" in chart.facts.unread:
        return technical("The ordered drug could not be read.")
    return conditional("No drug policy of this service covers this order; ask the plan.")


def _stated(
    coverage: str | None, fields: dict[str, Any], day: date, draft: DraftOrder, service: Service
) -> Assertion | None:
    """An assertion that does not follow from a determination."""
    if coverage is None:
        return None
    said = f"{draft.reference} {coverage} {fields['covered']} {fields['reasons']}"
    return Assertion(coverage=coverage, assertion_id=_id_of(service, said), day=day, **fields)


def _caveats(chart: Chart) -> tuple[str, ...]:
    names = [name for broken in chart.broken.values() for name in broken]
    if not names:
        return ()
    what = "1 entry of the chart" if len(names) == 1 else f"{len(names)} entries of the chart"
    return (f"{what} could not be read: {', '.join(names[:5])}.",)


def _ordered_tests(call: Call, chart: Chart, labs: LabTable) -> frozenset[str]:
    """The tests that are under way already: active orders, and those in the call's own Bundle."""
    drafted = [draft.resource for draft in call.drafts if draft.resource["resourceType"] == "ServiceRequest"]
    return frozenset(
        match.test.name
        for request in (*chart.ordered, *drafted)
        if _is_order(request)
        for match in labs.matches(request.get("code"))
    )


def _context(call: Call, draft: DraftOrder) -> dict[str, Any]:
    """What a further order shares with the draft; whom and from whom, where the draft does not say, as in the call."""
    subject, requester = {"reference": f"Patient/{call.patient_id}"}, {"reference": call.user}
    given = {
        name: value for name, value in draft.resource.items() if name in SHARED and isinstance(value, SHARED[name])
    }
    return {"subject": subject, **({"requester": requester} if call.user else {}), **given}


def _assertion_id(service: Service, draft: DraftOrder, coverage: str | None, said: Determination) -> str:
    """The same for the same answer to the same order under the same coverage, and not to be guessed."""
    findings = [(f.id, f.status, f.reason, tuple(fact.reference for fact in f.evidence)) for f in said.findings]
    version = said.policy.version.isoformat()
    return _id_of(service, f"{draft.reference} {coverage} {said.policy.policy} {version} {said.outcome} {findings}")


def _id_of(service: Service, said: str) -> str:
    return "ca-" + blake2b(said.encode(), key=service.secret, digest_size=16).hexdigest()


def _update(
    draft: DraftOrder, assertion: Assertion | None, service: Service, dialect: Dialect
) -> dict[str, Any] | None:
    """The update action: the order as it came in, byte for byte, with this assertion in place of our earlier one.

    None where there is nothing to point at, or the order already carries this assertion (CRD resp-35).
    """
    if assertion is None:
        return None
    found_there = draft.resource.get("extension")
    extensions = found_there if isinstance(found_there, list) else []
    kept = [found for found in extensions if not _is_about(found, assertion.coverage)]
    if len(kept) < len(extensions) and any(_carries(found, assertion.assertion_id) for found in extensions):
        return None
    members = msgspec.json.decode(draft.raw, type=dict[str, Raw])
    raws = msgspec.json.decode(members["extension"], type=list[Raw]) if extensions else []
    others = [raw for raw, found in zip(raws, extensions, strict=True) if found in kept]
    own = Raw(encode(to_extension(assertion, dialect)))
    members["extension"] = Raw(encode([*others, own]))
    return {
        "type": "update",
        "description": f"{service.label}: {assertion.reasons[0].text}",
        "resource": members,
    }


def _is_about(extension: Any, coverage: str) -> bool:
    """True for a coverage-information of ours or another's about this very Coverage, which the new one replaces."""
    return (
        isinstance(extension, dict)
        and extension.get("url") == URL
        and any(
            part.get("url") == "coverage" and child(part, "valueReference").get("reference") == coverage
            for part in children(extension, "extension")
        )
    )


def _carries(extension: Any, assertion_id: str) -> bool:
    parts = children(extension, "extension") if isinstance(extension, dict) else []
    return any(part.get("valueString") == assertion_id for part in parts)
