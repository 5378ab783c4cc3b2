"""One order: judged, kept in the book, and put into cards and coverage-information."""

from collections.abc import Mapping
from datetime import date
from hashlib import blake2b
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from cds_service.policy.determination import Determination
from cds_service.policy.facts import Facts
from cds_service.policy.reasons import Outcome, Status
from fhir_mappings.chart import Chart
from fhir_mappings.needs import facts_for
from hooks.beside import caveats, dependencies, has_died, ordered_tests, shared_with, which_order
from hooks.book import Entry, Receipt
from hooks.bundles import DraftOrder
from hooks.call import Call
from hooks.cards import documentation_card, guidance_card, missing_tests_card
from hooks.coverage_information import Assertion, Dialect, assertion_for
from hooks.coverages import Standing
from hooks.hook import Hook
from hooks.options import Choices
from hooks.service import Caller, Service
from hooks.suggestions import suggestions
from hooks.unjudged import card_of, instead_of_judging
from hooks.updates import carried_number, carries_number, update
from hooks.wording import Telling

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
    otherwise: Mapping[str, Any] = {}  # what is said of an order without a determination
    dependencies: tuple[str, ...] = ()  # orders of the same Bundle that the answer hangs on
    cards: tuple[tuple[str, dict[str, Any]], ...] = ()  # option code → card


def judge(asking: Asking, draft: DraftOrder, chart: Chart, covered: Standing) -> Judged:
    """What the one policy in force for the order says of it."""
    service, day = asking.service, chart.facts.day
    label = covered.payer.label if covered.payer is not None else service.label
    policies = service.library.governing(chart.facts.order.products, day)
    if len(policies) != 1:
        since = service.library.governed_since(chart.facts.order.products, asking.today)
        instead = instead_of_judging(draft, policies, chart, since)
        unjudged = Judged(draft, day, covered, label, chart, otherwise=instead.fields)
        return replace(unjudged, cards=tuple(_told(asking, unjudged, card_of(instead, draft, label, asking.dialect))))
    facts = _with_roster_lines(facts_for(policies[0], chart, service.vocabulary.labs), covered)
    # A draft may have no id yet: then its entry's fullUrl is the one name that the caller knows it by.
    facts = replace(facts, order=replace(facts.order, reference=draft.reference))
    said = service.determine(policies[0], facts)
    assertion_id = _assertion_id(service, draft, covered.reference, said)
    beside = dependencies(asking.call, service.vocabulary, draft, frozenset(policies[0].tests))
    judged = Judged(draft, day, covered, label, chart, facts, said, assertion_id, dependencies=beside)
    return replace(judged, cards=tuple(_cards(asking, judged, said)))


def _with_roster_lines(facts: Facts, covered: Standing) -> Facts:
    if covered.member is None or not covered.member.lines or facts.plan is None:
        return facts
    return replace(facts, plan=replace(facts.plan, lines=covered.member.lines))


def _cards(asking: Asking, judged: Judged, said: Determination) -> list[tuple[str, dict[str, Any]]]:
    service, dialect = asking.service, asking.dialect
    cards = [("guideline", _guidance(asking, judged, said))]
    if has_died(judged.chart):  # there is nothing to order and nothing to fill in
        return _told(asking, judged, cards)
    ordered = ordered_tests(asking.call, judged.chart, service.vocabulary.labs)
    context = shared_with(asking.call, judged.draft)
    offered = suggestions(said, context, service.orderables, ordered, asking.today.isoformat())
    if offered:
        card = missing_tests_card(said, service.links, judged.label, dialect, offered)
        cards.append(("clinical-reminder", card))
    coverage = judged.standing.reference
    if coverage is not None and judged.standing.fields is None and _asks_for_documentation(asking, said):
        card = documentation_card(said, service.links, judged.label, dialect, judged.assertion_id, coverage)
        cards.append(("claim", card))
    return _told(asking, judged, cards)


def _guidance(asking: Asking, judged: Judged, said: Determination, number: str = "", until: str = "") -> dict[str, Any]:
    months = said.policy.authorization.months
    carried = asking.service.issues_numbers and carries_number(
        judged.draft.resource, judged.assertion_id, asking.today, months
    )
    trouble, died = judged.standing.trouble, has_died(judged.chart)
    telling = Telling(asking.hook.again, trouble, caveats(judged.chart), died, carried, number, until)
    return guidance_card(said, asking.service.links, judged.label, asking.dialect, judged.assertion_id, telling)


def _told(asking: Asking, judged: Judged, cards: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """The cards that are wanted, each with the order it is about where that is not plain."""
    which = which_order(asking.call, judged.draft, judged.chart.facts.order.display)
    return [
        (code, {**card, "detail": f"{card['detail']}\n\n{which}"} if which else card)
        for code, card in cards
        if code in asking.choices.cards
    ]


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
    assertion = _assertion(asking, judged, None) if asking.choices.coverage_information else None
    return Entry(
        hook=asking.hook.name,
        hook_instance=asking.call.instance,
        caller=asking.caller.name,
        dialect=asking.dialect,
        member=member_key(asking, judged),
        order=f"{asking.home} {judged.draft.reference}",
        coverage=judged.standing.reference or "",
        assertion_id=judged.assertion_id,
        said=said,
        facts=facts,
        covered=assertion.covered if assertion is not None else "",
        cards=tuple((card["uuid"], code) for code, card in judged.cards),
        suggestions=tuple(
            (suggestion["uuid"], card["uuid"], suggestion["label"])
            for _, card in judged.cards
            for suggestion in card.get("suggestions", ())
        ),
        wants_number=_wants_number(asking, judged, said),
        carried=_carried(asking, judged, said),
        user=f"{asking.home} {asking.call.user}" if asking.call.user else "",
        policy_digest=_digest_of(asking, said),
        vocabulary_digest=asking.service.library.vocabulary_digest,
    )


def _carried(asking: Asking, judged: Judged, said: Determination) -> str:
    if judged.standing.reference is None:
        return ""
    months, base = said.policy.authorization.months, asking.call.fhir_server
    return carried_number(judged.draft.resource, judged.standing.reference, base, asking.today, months)


def _digest_of(asking: Asking, said: Determination) -> str:
    policy = asking.service.library.version(said.policy.policy, said.policy.drug, said.policy.version)
    return policy.digest if policy is not None else ""


def _wants_number(asking: Asking, judged: Judged, said: Determination) -> bool:
    return (
        asking.service.issues_numbers
        and asking.hook.numbers
        and asking.choices.unsolicited_determination
        and asking.choices.coverage_information
        and said.outcome is Outcome.CRITERIA_MET
        and judged.standing.reference is not None
        and judged.standing.fields is None
        and not has_died(judged.chart)
    )


def member_key(asking: Asking, judged: Judged) -> str:
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
            return f"payer {min(payers)} {known[0]}"  # the order of identifiers says nothing
    return f"patient {asking.home} {asking.call.patient_id}"


class Written(Struct, frozen=True):
    """What is said of an order."""

    cards: list[tuple[str, dict[str, Any]]]  # option code → card
    action: dict[str, Any] | None = None  # None: there is nothing new to write on it
    assertion: Assertion | None = None


def written(asking: Asking, judged: Judged, receipt: Receipt | None) -> Written:
    """The order's cards and its update action."""
    cards = list(judged.cards)
    if receipt is not None and not receipt.recorded:
        cards = [
            (code, {**card, "detail": f"{card['detail']}\n\n*{NOT_RECORDED}*"} if code == "guideline" else card)
            for code, card in cards
        ]
    assertion = _assertion(asking, judged, receipt)
    if assertion is not None and assertion.satisfied_pa_id:
        cards = _authorized(asking, judged, cards, assertion)
    if _keeps_its_number(asking, judged):
        return Written(cards, None, assertion)
    action = update(judged.draft, assertion, judged.label, asking.dialect, asking.call.fhir_server)
    return Written(cards, action, assertion)


def _keeps_its_number(asking: Asking, judged: Judged) -> bool:
    """True where the order has its number and nothing is against it: a hook that gives none takes none away."""
    said = judged.said
    return (
        said is not None
        and said.outcome is Outcome.CRITERIA_MET
        and judged.standing.fields is None
        and asking.service.issues_numbers
        and not asking.hook.numbers
        and bool(_carried(asking, judged, said))
    )


def _authorized(
    asking: Asking, judged: Judged, cards: list[tuple[str, dict[str, Any]]], assertion: Assertion
) -> list[tuple[str, dict[str, Any]]]:
    """The cards with the number on the guidance: who reads the card alone must not ask for what is there."""
    if judged.said is None or assertion.expiry is None:
        return cards
    number, until = assertion.satisfied_pa_id, assertion.expiry.isoformat()
    told = dict(_told(asking, judged, [("guideline", _guidance(asking, judged, judged.said, number, until))]))
    return [(code, {**told[code], "uuid": card["uuid"]} if code in told else card) for code, card in cards]


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


def _assertion_id(service: Service, draft: DraftOrder, coverage: str | None, said: Determination) -> str:
    """The same for the same answer to the same order under the same coverage, and not to be guessed."""
    parts = [draft.reference, coverage or "", said.policy.policy, said.policy.version.isoformat(), said.outcome.value]
    for finding in said.findings:
        parts += (finding.id, finding.status.value, finding.reason.value if finding.reason is not None else "")
        parts += (fact.reference for fact in finding.evidence)
    return _id_of(service, "\n".join(parts))


def _id_of(service: Service, said: str) -> str:
    return "ca-" + blake2b(said.encode(), key=service.secret(), digest_size=16).hexdigest()
