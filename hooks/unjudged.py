"""An order that no one policy judges: what is said of it, and the card where it may be governed all the same."""

from typing import Any

from cds_service.policy.compiled import CompiledPolicy
from fhir_mappings.chart import Chart
from hooks.bundles import DraftOrder
from hooks.cards import unjudged_card
from hooks.coverage_information import Dialect, conditional, technical


def said_instead(draft: DraftOrder, policies: tuple[CompiledPolicy, ...], chart: Chart) -> dict[str, Any]:
    """The fields of its assertion. What may be a governed drug is never said to be covered by no policy."""
    if policies:
        names = " and ".join(policy.source.name for policy in policies)
        return conditional(f"The order names both {names}; order one of them to get an answer.")
    if "order" in chart.facts.unread:
        return technical("The ordered drug could not be read.")
    if draft.resource["resourceType"] == "Appointment":
        return conditional(
            "The appointment names no order, so it is not known whether a drug policy covers it; book it on the order, "
            "or ask the plan."
        )
    if chart.uncoded and not chart.facts.order.products:
        return conditional(
            "The drug could not be identified: the order has no RxNorm, NDC or HCPCS code that tells which it is, and "
            "no name that is known here. Add one, or ask the plan."
        )
    return conditional("No drug policy of this service covers this order; ask the plan.")


def card_instead(
    draft: DraftOrder, policies: tuple[CompiledPolicy, ...], chart: Chart, label: str, dialect: Dialect
) -> list[tuple[str, dict[str, Any]]]:
    """None for an order that no policy governs; a card where it might be governed and could not be judged."""
    if policies:
        summary, do = "The order names two drugs, so the plan has not judged it", ""
    elif "order" in chart.facts.unread:
        summary = "The ordered drug could not be read, so the plan has not judged the order"
        do = " Name the drug on the order, or ask the plan."
    else:
        return []
    reason = said_instead(draft, policies, chart)["reasons"][0].text
    detail = f"{reason}{do} The plan's answer is open until then."
    return [("guideline", unjudged_card(draft.reference, summary, detail, label, dialect))]
