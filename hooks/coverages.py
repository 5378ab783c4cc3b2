"""Which Coverage an answer points at, and what is said where there is no active one (CRD hook-13, resp-43 to resp-45).

A Coverage that the EHR side does not have is the caller's matter: a caller that speaks CRD 2.2 gets a 400. One that is
there and not active, or that cannot be read, gets a coded answer.
"""

from typing import Any

from msgspec import Struct

from fhir_mappings.chart import Chart
from fhir_mappings.coverage import CoverageState
from fhir_mappings.references import children, own_reference
from hooks.call import DraftOrder
from hooks.coverage_information import Dialect, not_covered, technical
from hooks.refusals import Refusal

CAVEAT = "Coverage not confirmed: no usable coverage of this patient was sent or found."


class Standing(Struct, frozen=True):
    """The Coverage of one order."""

    reference: str | None  # None: there is none to point at
    fields: dict[str, Any] | None = None  # what is said instead of the policy's answer
    caveats: tuple[str, ...] = ()


def standing(draft: DraftOrder, chart: Chart, dialect: Dialect) -> Standing:
    """The Coverage to point at. Raises Refusal for a 2.2 caller without a usable one."""
    choice = chart.coverage
    reference = own_reference(choice.resource) if choice.resource is not None else None
    match choice.state:
        case CoverageState.ACTIVE:
            return _active(reference, chart, dialect)
        case CoverageState.INACTIVE:
            text = "The coverage on file is not active on the day of the order."
            return Standing(reference, not_covered(text, "no-active-coverage"), (text,))
        case CoverageState.UNREADABLE:
            named = _named_by_order(draft)
            text = "The patient's coverage could not be read."
            if named is not None:
                return Standing(named, technical(text), (text,))
            if dialect == "2.2":
                raise Refusal(412, "not-found", "the patient's Coverage was neither sent nor could it be read")
            return Standing(None, None, (CAVEAT,))
        case CoverageState.NONE | CoverageState.SEVERAL:
            if dialect == "2.2":
                raise Refusal(400, "required", _WITHOUT_ONE[choice.state], "prefetch.coverage")
            return Standing(None, None, (CAVEAT,))


_WITHOUT_ONE = {
    CoverageState.NONE: "expected a Coverage of the patient in prefetch or on the FHIR server, found none",
    CoverageState.SEVERAL: "expected one active Coverage or Coverage.order on each; found several",
}


def _active(reference: str | None, chart: Chart, dialect: Dialect) -> Standing:
    payers = chart.coverage.payers
    if any(not payer.read for payer in payers):
        text = "The payer of the patient's coverage could not be read."
        return Standing(reference, technical(text), (text,))
    if dialect == "2.2" and not any(payer.identifiers for payer in payers):
        raise Refusal(400, "required", "expected an identifier of the Coverage's payer, found none", "Coverage.payor")
    return Standing(reference)


def _named_by_order(draft: DraftOrder) -> str | None:
    for reference in children(draft.resource, "insurance"):
        literal = reference.get("reference")
        if isinstance(literal, str) and "Coverage/" in literal:
            return literal
    return None
