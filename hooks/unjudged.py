"""An order that no one policy judges: what is said of it, and the card where it may be governed all the same."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from msgspec import Struct

from cds_service.policy.compiled import CompiledPolicy
from fhir_mappings.chart import Chart
from hooks.bundles import DraftOrder
from hooks.cards import unjudged_card
from hooks.coverage_information import Dialect, conditional, technical


class Instead(Struct, frozen=True):
    """What is said in place of a determination."""

    fields: Mapping[str, Any]  # of its assertion
    summary: str = ""  # of its card; empty: no policy governs it, and there is none
    do: str = ""


def instead_of_judging(
    draft: DraftOrder, policies: tuple[CompiledPolicy, ...], chart: Chart, since: date | None
) -> Instead:
    """What may be a governed drug is never said to be covered by no policy.

    `since`: the first day in force of the drug's policy, where that has come.
    """
    if policies:
        names = " and ".join(policy.source.name for policy in policies)
        reason = conditional(f"The order names both {names}; order one of them to get an answer.")
        return Instead(reason, "The order names two drugs, so the plan has not judged it")
    if "order" in chart.facts.unread:
        summary = "The ordered drug could not be read, so the plan has not judged the order"
        return Instead(
            technical("The ordered drug could not be read."), summary, " Name the drug on the order, or ask the plan."
        )
    if since is not None:
        reason = conditional(
            f"The plan's policy for this drug is in force from {since}, and the order was written on {chart.facts.day};"
            " order it anew to get an answer."
        )
        return Instead(reason, "The order is older than the plan's policy, so the plan has not judged it")
    if draft.resource["resourceType"] == "Appointment":
        return Instead(
            conditional(
                "The appointment names no order, so it is not known whether a drug policy covers it; "
                "book it on the order, or ask the plan."
            )
        )
    if chart.unidentified:
        return Instead(
            conditional(
                "The drug could not be identified: the order has no RxNorm, NDC or HCPCS code that tells which it is, "
                "and no name that is known here. Add one, or ask the plan."
            )
        )
    return Instead(conditional("No drug policy of this service covers this order; ask the plan."))


def card_of(said: Instead, draft: DraftOrder, label: str, dialect: Dialect) -> list[tuple[str, dict[str, Any]]]:
    """Its card, with the option that asks for it."""
    if not said.summary:
        return []
    detail = f"{said.fields['reasons'][0].text}{said.do} The plan's answer is open until then."
    return [("guideline", unjudged_card(draft.reference, said.summary, detail, label, dialect))]
