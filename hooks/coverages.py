"""Which Coverage an answer points at, and what is said where there is no active one (CRD hook-13, resp-43 to resp-45).

A Coverage that the EHR side does not have is the caller's matter: a caller that speaks CRD 2.2 gets a 400. One that is
there and not active, unknown to the plan, or that cannot be read, gets a coded answer.
"""

from datetime import date
from typing import Any

from msgspec import Struct

from fhir_mappings.chart import Chart
from fhir_mappings.coverage import CoverageState
from fhir_mappings.membership import member_numbers
from fhir_mappings.references import children, own_reference, word
from hooks.bundles import DraftOrder
from hooks.coverage_information import Dialect, not_covered, technical
from hooks.plans import Enrolment, Member, Payers, Roster, ServedPayer
from hooks.refusals import Refusal
from hooks.wording import Trouble

NOT_CONFIRMED = "coverage not confirmed"
CAVEAT = "Coverage not confirmed: no usable coverage of this patient was sent or found."


class Standing(Struct, frozen=True):
    """The Coverage of one order."""

    reference: str | None  # None: there is none to point at
    fields: dict[str, Any] | None = None  # what is said instead of the policy's answer
    trouble: Trouble | None = None
    payer: ServedPayer | None = None
    member: Member | None = None


class Plans(Struct, frozen=True):
    """What the plan knows; None where it is not asked."""

    roster: Roster | None = None
    payers: Payers | None = None


def standing(draft: DraftOrder, chart: Chart, dialect: Dialect, plans: Plans, day: date, deadline: float) -> Standing:
    """The Coverage to point at. Raises Refusal for a 2.2 caller without a usable one."""
    choice = chart.coverage
    reference = own_reference(choice.resource) if choice.resource is not None else None
    match choice.state:
        case CoverageState.ACTIVE | CoverageState.INACTIVE if choice.resource is not None:
            return _found(reference, chart, dialect, plans, day, deadline)
        case CoverageState.UNREADABLE:
            named = _named_by_order(draft)
            text = "The patient's coverage could not be read."
            if named is not None:
                return Standing(named, technical(text), Trouble("coverage could not be read", text))
            if dialect == "2.2":
                text = f"the patient's Coverage was neither sent nor could it be read{_contained(draft)}"
                raise Refusal(412, "not-found", text)
            return Standing(None, None, Trouble(NOT_CONFIRMED, CAVEAT))
        case _:
            if dialect == "2.2":
                raise Refusal(400, "required", _WITHOUT_ONE[choice.state] + _contained(draft), "prefetch.coverage")
            return Standing(None, None, Trouble(NOT_CONFIRMED, CAVEAT))


_WITHOUT_ONE = {
    CoverageState.NONE: "expected a Coverage of the patient in prefetch or on the FHIR server, found none",
    CoverageState.SEVERAL: "expected one active Coverage or Coverage.order on each; found several",
}


def _contained(draft: DraftOrder) -> str:
    """Why a Coverage that is contained in the order is none (CRD, ext-coverage-information: `coverage`)."""
    if any(word(reference, "reference").startswith("#") for reference in children(draft.resource, "insurance")):
        return "; one that is contained in the order does not count: an answer names a Coverage of the FHIR server"
    return ""


def _found(reference: str | None, chart: Chart, dialect: Dialect, plans: Plans, day: date, deadline: float) -> Standing:
    if reference is None:
        if dialect == "2.2":
            raise Refusal(400, "required", "expected an id of the patient's Coverage, found none", "prefetch.coverage")
        return Standing(None, None, Trouble(NOT_CONFIRMED, CAVEAT))
    payers = chart.coverage.payers
    identifiers = tuple(identifier for payer in payers for identifier in payer.identifiers)
    if any(not payer.read for payer in payers) and not identifiers:
        text = "The payer of the patient's coverage could not be read."
        return Standing(reference, technical(text), Trouble("payer could not be read", text))
    if dialect == "2.2" and not identifiers:
        raise Refusal(400, "required", "expected an identifier of the Coverage's payer, found none", "Coverage.payor")
    payer = plans.payers.served(identifiers) if plans.payers is not None else None
    if plans.payers is not None and payer is None:
        if dialect == "2.2":
            raise Refusal(400, "value", "the payer of the patient's Coverage is not served here", "Coverage.payor")
        return Standing(None, None, Trouble(NOT_CONFIRMED, "Coverage not confirmed: its payer is not served here."))
    if chart.coverage.state is CoverageState.INACTIVE:
        text = "The coverage on file is not active on the day of the order."
        fields = not_covered(text, "no-active-coverage")
        return Standing(reference, fields, Trouble("coverage not active", text), payer)
    if plans.roster is None or chart.coverage.resource is None:
        return Standing(reference, None, None, payer)
    person = chart.facts.person
    numbers = member_numbers(chart.coverage.resource, chart.patient, person.birth if person is not None else None)
    member = plans.roster.member(numbers, day, deadline)
    said, trouble = _of_member(member)
    return Standing(reference, said, trouble, payer, member)


def _of_member(member: Member) -> tuple[dict[str, Any] | None, Trouble | None]:
    match member.enrolment:
        case Enrolment.ACTIVE:
            return None, None
        case Enrolment.INACTIVE:
            text = "The plan's records show no active coverage of this member on the day of the order."
            return not_covered(text, "no-active-coverage"), Trouble("no active coverage", text)
        case Enrolment.NOT_A_MEMBER:
            text = "The plan's records do not show this patient as a member."
            return not_covered(text, "no-member-found"), Trouble("not found as a member", text)
        case Enrolment.OTHER_COVERAGE:
            text = "The plan's records show this member with another coverage than the one on file."
            return not_covered(text, "coverage-not-found"), Trouble("coverage not found", text)
        case Enrolment.UNKNOWN:
            text = "The plan's records could not be asked about this member."
            return technical(text), Trouble("membership could not be checked", text)


def _named_by_order(draft: DraftOrder) -> str | None:
    for reference in children(draft.resource, "insurance"):
        literal = reference.get("reference")
        if isinstance(literal, str) and "Coverage/" in literal:
            return literal
    return None
