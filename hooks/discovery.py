"""What the service offers: `GET /cds-services` (CDS Hooks 2.0.1 "Discovery", CRD 2.2.1 "Deviations")."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hooks.answer import Service

HOOK_OF: Mapping[str, str] = {"order-sign-crd": "order-sign"}

_OPTIONS = (
    ("coverage-info", "Coverage information", "Coverage, authorization and documentation, written onto each order."),
    ("guideline", "Policy answer", "A card with the plan's criteria and the fact in the chart that decided each."),
)


def discovery(service: "Service") -> dict[str, Any]:
    """The services, with what they would like to have prefetched."""
    return {
        "services": [
            {
                "hook": hook,
                "id": service_id,
                "title": f"{service.label}: drug coverage criteria",
                "description": (
                    "Judges drug orders that a coverage policy governs against the chart, criterion by criterion, and "
                    "says what is met, what is missing and what to do next."
                ),
                "usageRequirements": (
                    "Answers from prefetch alone. With a FHIR access token that can search the patient's record, what "
                    "prefetch lacks is read from the server."
                ),
                "prefetch": dict(service.templates),
                "extension": {
                    "davinci-crd.version": ["2.2"],
                    "davinci-crd.configuration-options": [
                        {"code": code, "type": "boolean", "name": name, "description": description, "default": True}
                        for code, name, description in _OPTIONS
                    ],
                },
            }
            for service_id, hook in HOOK_OF.items()
        ]
    }
