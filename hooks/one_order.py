"""One order: judged, kept in the book, and put into cards and coverage-information."""

from datetime import date
from hashlib import blake2b
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.determination import Determination
from cds_service.policy.facts import Facts
from cds_service.policy.reasons import Outcome, Status
from fhir_mappings.chart import Chart
from fhir_mappings.labs import LabTable
from fhir_mappings.needs import facts_for
from fhir_mappings.references import child, children, with_date, word
from hooks.book import Entry, Receipt
from hooks.bundles import DraftOrder
from hooks.call import Call
from hooks.cards import documentation_card, guidance_card, missing_tests_card
from hooks.coverage_information import Assertion, Dialect, assertion_for, conditional, technical
from hooks.coverages import Standing
from hooks.hook import Hook
from hooks.options import Choices
from hooks.orders import is_order
from hooks.service import Caller, Service
from hooks.suggestions import SHARED, suggestions
from hooks.updates import update
from hooks.wording import escaped

NOT_RECORDED = "The plan could not record this answer; ask again before relying on it."


class Asking(Struct, frozen=True):
    """What is the same for every order of a call."""

    call: Call
    hook: Hook
    caller: Caller
    service: Service
    dialect: Dialect
    choices: Choices
    today: date
    # The FHIR server that order and patient live on. One that the caller may not have read is its own word alone, and
    # stands under its name: else any client could name another's server and be told what was issued there.
    home: str = ""


class Judged(Struct, frozen=True):
    """An order with what the policy says of it."""

    draft: DraftOrder
    day: date
    standing: Standing
    label: str
    chart: Chart
    facts: Facts | None = None
    said: Determination | None = None  # None: no policy governs it, or more than one
    assertion_id: str = ""
    otherwise: dict[str, Any] = {}  # what is said of an order without a determination
    dependencies: tuple[str, ...] = ()  # orders of the same Bundle that the answer hangs on
    cards: tuple[tuple[str, dict[str, Any]], ...] = ()  # option code → card


def judge(asking: Asking, draft: DraftOrder, chart: Chart, covered: Standing) -> Judged:
    """What the one policy in force for the order says of it."""
    service, day = asking.service, chart.facts.day
    label = covered.payer.label if covered.payer is not None else service.label
    policies = service.library.governing(chart.facts.order.products, day)
    if len(policies) != 1:
        return Judged(draft, day, covered, label, chart, otherwise=_ungoverned(policies, chart))
    facts = _with_roster_lines(facts_for(policies[0], chart, service.vocabulary.labs), covered)
    # A draft may have no id yet: then its entry's fullUrl is the one name that the caller knows it by.
    facts = replace(facts, order=replace(facts.order, reference=draft.reference))
    said = service.determine(policies[0], facts)
    assertion_id = _assertion_id(service, draft, covered.reference, said)
    beside = _dependencies(asking, draft, frozenset(policies[0].tests))
    judged = Judged(draft, day, covered, label, chart, facts, said, assertion_id, dependencies=beside)
    return replace(judged, cards=tuple(_cards(asking, judged, said)))


def _with_roster_lines(facts: Facts, covered: Standing) -> Facts:
    if covered.member is None or not covered.member.lines or facts.plan is None:
        return facts
    return replace(facts, plan=replace(facts.plan, lines=covered.member.lines))


def _cards(asking: Asking, judged: Judged, said: Determination) -> list[tuple[str, dict[str, Any]]]:
    service, dialect = asking.service, asking.dialect
    caveats = (*judged.standing.caveats, *_caveats(judged.chart))
    cards = [("guideline", guidance_card(said, service.links, judged.label, dialect, judged.assertion_id, caveats))]
    ordered = _ordered_tests(asking.call, judged.chart, service.vocabulary.labs)
    context = _context(asking.call, judged.draft)
    offered = suggestions(said, context, service.orderables, ordered, asking.today.isoformat())
    if offered:
        card = missing_tests_card(said, service.links, judged.label, dialect, offered)
        cards.append(("clinical-reminder", card))
    coverage = judged.standing.reference
    if coverage is not None and judged.standing.fields is None and _asks_for_documentation(asking, said):
        card = documentation_card(said, service.links, judged.label, dialect, judged.assertion_id, coverage)
        cards.append(("claim", card))
    which = _which(asking.call, judged)
    return [
        (code, {**card, "detail": f"{card['detail']}\n\n{which}"} if which else card)
        for code, card in cards
        if code in asking.choices.cards
    ]


def _which(call: Call, judged: Judged) -> str:
    """Where the call is about several orders, or about none that is before the user: which one this is (CRD dev-24)."""
    asked = call.subjects
    if not asked.open_orders and len(asked.drafts) + len(asked.named) < 2:
        return ""
    order = judged.draft.resource
    doses = [text for dosage in children(order, "dosageInstruction") if (text := word(dosage, "text"))]
    told = ", ".join(escaped(text) for text in (judged.chart.facts.order.display, *doses[:1]))
    return f"Order: {with_date(told, 'written on', order.get('authoredOn'))}."


def _asks_for_documentation(asking: Asking, said: Determination) -> bool:
    """True on a hook that may ask (CRD hook-19), where the form is there and has a question for what is open."""
    return (
        asking.service.form_app
        and asking.hook.documentation
        and said.outcome is Outcome.DOCUMENTATION_MISSING
        and any(finding.questions for finding in said.blocking(Status.UNKNOWN))
    )


def entry_of(asking: Asking, judged: Judged) -> Entry | None:
    """What is kept of the order; None where there is no determination to keep."""
    said, facts = judged.said, judged.facts
    if said is None or facts is None:
        return None
    covered = judged.standing.fields["covered"] if judged.standing.fields else ""
    return Entry(
        hook=asking.hook.name,
        hook_instance=asking.call.instance,
        caller=asking.caller.name,
        dialect=asking.dialect,
        member=_member_key(asking, judged),
        order=f"{asking.home} {judged.draft.reference}",
        coverage=judged.standing.reference or "",
        assertion_id=judged.assertion_id,
        said=said,
        facts=facts,
        covered=covered,
        cards=tuple((card["uuid"], code) for code, card in judged.cards),
        suggestions=tuple(
            (suggestion["uuid"], card["uuid"]) for _, card in judged.cards for suggestion in card.get("suggestions", ())
        ),
        wants_number=_wants_number(asking, judged, said),
    )


def _wants_number(asking: Asking, judged: Judged, said: Determination) -> bool:
    return (
        asking.service.issues_numbers
        and asking.hook.numbers
        and asking.choices.unsolicited_determination
        and asking.choices.coverage_information
        and said.outcome is Outcome.CRITERIA_MET
        and judged.standing.reference is not None
        and judged.standing.fields is None
    )


def _member_key(asking: Asking, judged: Judged) -> str:
    """Who the member is: the roster's id, else payer with member number, else the beneficiary on that FHIR server."""
    member, chart = judged.standing.member, judged.chart
    if member is not None and member.member_id:
        return f"roster {member.member_id}"
    if chart.coverage.resource is not None:
        from fhir_mappings.membership import member_numbers

        numbers = member_numbers(chart.coverage.resource, chart.patient, None)
        known = (*numbers.of_coverage, *numbers.of_patient)
        payers = [f"{system}|{value}" for payer in chart.coverage.payers for system, value in payer.identifiers]
        if known and payers:
            return f"payer {payers[0]} {known[0]}"
    return f"patient {asking.home} {asking.call.patient_id}"


def written(
    asking: Asking, judged: Judged, receipt: Receipt | None
) -> tuple[list[tuple[str, dict[str, Any]]], dict[str, Any] | None]:
    """The order's cards by option code, and its update action."""
    cards = list(judged.cards)
    if receipt is not None and not receipt.recorded:
        cards = [
            (code, {**card, "detail": f"{card['detail']}\n\n*{NOT_RECORDED}*"} if code == "guideline" else card)
            for code, card in cards
        ]
    return cards, update(judged.draft, _assertion(asking, judged, receipt), judged.label, asking.dialect)


def _assertion(asking: Asking, judged: Judged, receipt: Receipt | None) -> Assertion | None:
    reference = judged.standing.reference
    if reference is None:
        return None
    fields = judged.standing.fields or judged.otherwise
    if judged.said is None or judged.standing.fields is not None:
        stated = f"{judged.draft.reference} {reference} {fields['covered']} {fields['reasons']}"
        assertion_id = _id_of(asking.service, stated)
        return Assertion(coverage=reference, assertion_id=assertion_id, day=judged.day, **fields)
    payer = judged.standing.payer
    return assertion_for(
        judged.said,
        reference,
        judged.assertion_id,
        asking.service.links,
        asking.service.hcpcs,
        documentation=asking.hook.documentation,
        satisfied_pa_id=receipt.number if receipt is not None and receipt.recorded else "",
        issued_on=receipt.issued_on if receipt is not None else None,
        contact=dict(payer.contact) if payer is not None and payer.contact else None,
        dependencies=judged.dependencies,
    )


def _ungoverned(policies: tuple[CompiledPolicy, ...], chart: Chart) -> dict[str, Any]:
    if policies:
        names = " and ".join(policy.source.name for policy in policies)
        return conditional(f"The order names both {names}; order one of them to get an answer.")
    if "order" in chart.facts.unread:
        return technical("The ordered drug could not be read.")
    return conditional("No drug policy of this service covers this order; ask the plan.")


def _caveats(chart: Chart) -> tuple[str, ...]:
    count = sum(len(names) for names in chart.broken.values())
    if not count:
        return ()
    kinds = sorted({name.partition("/")[0] for names in chart.broken.values() for name in names})
    what = "1 entry of the chart" if count == 1 else f"{count} entries of the chart"
    return (f"{what} could not be read ({', '.join(_ENTRIES.get(kind, 'entry') for kind in kinds)}).",)


_ENTRIES = {
    "Condition": "problem list",
    "Coverage": "coverage",
    "DiagnosticReport": "reports",
    "DocumentReference": "documents",
    "MedicationAdministration": "medications",
    "MedicationDispense": "medications",
    "MedicationRequest": "medications",
    "MedicationStatement": "medications",
    "Observation": "results",
    "Patient": "patient",
    "Practitioner": "clinicians",
    "PractitionerRole": "clinicians",
    "Procedure": "procedures",
    "QuestionnaireResponse": "forms",
}


def _ordered_tests(call: Call, chart: Chart, labs: LabTable) -> frozenset[str]:
    """The tests that are under way already: active orders, and those in the call's own Bundle."""
    drafted = [d.resource for d in call.subjects.drafts if d.resource["resourceType"] == "ServiceRequest"]
    return frozenset(
        match.test.name
        for request in (*chart.ordered, *drafted)
        if is_order(request)
        for match in labs.matches(request.get("code"))
    )


def _dependencies(asking: Asking, draft: DraftOrder, tests: frozenset[str]) -> tuple[str, ...]:
    """The ServiceRequests of the call's Bundle that belong to this order.

    They order one of the policy's tests, or an infusion, or say that they stand on this order.
    """
    vocabulary = asking.service.vocabulary
    found = []
    for other in asking.call.subjects.drafts:
        request = other.resource
        if other.reference == draft.reference or request["resourceType"] != "ServiceRequest" or not is_order(request):
            continue
        code = child(request, "code")
        if (
            not tests.isdisjoint(match.test.name for match in vocabulary.labs.matches(code))
            or INFUSION in vocabulary.codes.names(code, "product")
            or any(
                found_there.get("reference") == draft.reference
                for member in _STANDS_ON
                for found_there in children(request, member)
            )
        ):
            found.append(other.reference)
    return tuple(found)


INFUSION = "procedure.infusion"  # its codes: policies/value_sets
_STANDS_ON = ("basedOn", "reasonReference", "supportingInfo")


def _context(call: Call, draft: DraftOrder) -> dict[str, Any]:
    """What a further order shares with the draft; whom and from whom, where the draft does not say, as in the call."""
    subject, requester = {"reference": f"Patient/{call.patient_id}"}, {"reference": call.user}
    given = {
        name: value for name, value in draft.resource.items() if name in SHARED and isinstance(value, SHARED[name])
    }
    return {"subject": subject, **({"requester": requester} if call.user else {}), **given}


def _assertion_id(service: Service, draft: DraftOrder, coverage: str | None, said: Determination) -> str:
    """The same for the same answer to the same order under the same coverage, and not to be guessed."""
    parts = [draft.reference, coverage or "", said.policy.policy, said.policy.version.isoformat(), said.outcome.value]
    for finding in said.findings:
        parts += (finding.id, finding.status.value, finding.reason.value if finding.reason is not None else "")
        parts += (fact.reference for fact in finding.evidence)
    return _id_of(service, "\n".join(parts))


def _id_of(service: Service, said: str) -> str:
    return "ca-" + blake2b(said.encode(), key=service.secret(), digest_size=16).hexdigest()
