"""One-click orders for the laboratory and imaging results that are missing: CRD "Identify Additional Orders"."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from msgspec import Struct

from cds_service.policy.determination import Determination
from cds_service.policy.reasons import Reason, Status

# What an order for a test shares with the order that it is for, and the type of each member.
SHARED: Mapping[str, type] = {
    "subject": dict,
    "encounter": dict,
    "requester": dict,
    "insurance": list,
    "reasonReference": list,
    "reasonCode": list,
}
PROFILE = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/profile-servicerequest"


class Orderable(Struct, frozen=True):
    """What to order for a missing result: a code where there is one, a text always."""

    test: str
    text: str
    system: str = ""  # URI
    code: str = ""
    display: str = ""

    @property
    def concept(self) -> dict[str, Any]:
        """The CodeableConcept."""
        if not self.code:
            return {"text": self.text}
        return {
            "coding": [{"system": self.system, "code": self.code, "display": self.display}],
            "text": self.text,
        }


_ORDERABLE_REASONS = frozenset(Reason) - {Reason.REVIEW, Reason.NOT_RETRIEVED}


def missing_tests(said: Determination) -> tuple[str, ...]:
    """The tests whose result is missing for a blocking criterion, in the policy's order."""
    open_findings = [f for f in said.blocking(Status.UNKNOWN) if f.reason in _ORDERABLE_REASONS]
    return tuple(dict.fromkeys(test for finding in open_findings for test in finding.tests))


def suggestions(
    said: Determination,
    context: Mapping[str, Any],
    orderables: Mapping[str, Orderable],
    ordered: Iterable[str],
    authored_on: str,
) -> list[dict[str, Any]]:
    """One suggestion for each missing test that can be ordered and is not among `ordered` already.

    `context` holds the members of SHARED that are known, `subject` always.
    """
    taken = frozenset(ordered)
    wanted = [orderables[test] for test in missing_tests(said) if test in orderables and test not in taken]
    return [_suggestion(orderable, said, context, authored_on) for orderable in wanted]


def _suggestion(
    orderable: Orderable, said: Determination, context: Mapping[str, Any], authored_on: str
) -> dict[str, Any]:
    request: dict[str, Any] = {
        "resourceType": "ServiceRequest",
        "id": str(uuid4()),
        "meta": {"profile": [PROFILE]},
        "status": "draft",
        "intent": "order",
        "code": orderable.concept,
        "subject": context["subject"],
        "authoredOn": authored_on,
    }
    for member in ("encounter", "requester", "insurance"):
        if member in context:
            request[member] = context[member]
    condition = _condition(said)
    if condition is not None:
        request["reasonReference"] = [{"reference": condition}]
    elif "reasonReference" in context:
        request["reasonReference"] = context["reasonReference"]
    elif "reasonCode" in context:
        request["reasonCode"] = context["reasonCode"]
    return {
        "label": f"Order: {orderable.text}",
        "uuid": str(uuid4()),
        "isRecommended": True,
        "actions": [{"type": "create", "description": f"Order {orderable.text}", "resource": request}],
    }


def _condition(said: Determination) -> str | None:
    for finding in said.findings:
        for fact in finding.evidence:
            if finding.status is Status.MET and fact.reference.startswith("Condition/"):
                return fact.reference
    return None
