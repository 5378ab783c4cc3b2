"""What the service offers: `GET /cds-services` (CDS Hooks 2.0.1 "Discovery", CRD 2.2.1 "Deviations")."""

from typing import Any

from hooks.call import VERSIONS
from hooks.hook import Hook
from hooks.options import OPTIONS
from hooks.registry import HOOKS
from hooks.service import Service


def discovery(service: Service) -> dict[str, Any]:
    """The services, with what they would like to have prefetched."""
    return {"services": [_service(hook, service) for hook in HOOKS]}


def _service(hook: Hook, service: Service) -> dict[str, Any]:
    members = {member.name for member in hook.members}
    return {
        "hook": hook.name,
        "id": hook.service_id,
        "title": f"{service.label}: drug coverage criteria",
        "description": hook.description,
        "usageRequirements": (
            "Judges what prefetch brings; with a FHIR access token that can search the patient's record, what prefetch "
            "lacks is read from the server. What cannot be read is said to be so."
        ),
        "prefetch": {
            key: template
            for key, template in service.templates.items()
            if _tokens_known(template, members, with_user="userId" in members)
        },
        "extension": {
            "davinci-crd.version": list(VERSIONS),
            "davinci-crd.configuration-options": [
                {
                    "code": option.code,
                    "type": option.type,
                    "name": option.name,
                    "description": option.description,
                    "default": option.default,
                }
                for option in OPTIONS
            ],
        },
    }


def _tokens_known(template: str, members: set[str], with_user: bool) -> bool:
    """True when the hook's context has what the template's tokens name."""
    if "{{userPractitionerId}}" in template and not with_user:
        return False
    return "{{context.encounterId}}" not in template or "encounterId" in members
