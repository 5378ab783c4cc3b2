"""The cards of an order hook: guidance, missing tests, documentation. Each is one CRD response type (CRD "Cards")."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from cds_service.policy.determination import Determination
from cds_service.policy.reasons import Outcome, Status
from hooks import wording
from hooks.coverage_information import Dialect, Links
from hooks.wire import encode
from hooks.wording import PLAIN, Telling

DETERMINATION = "drug-coverage.determination"  # the card extension with what was found, criterion by criterion
_TOPICS = {
    "2.2": "http://terminology.hl7.org/CodeSystem/cdshooks-card-type",
    "plain": "http://terminology.hl7.org/CodeSystem/cdshooks-card-type",
    "2.0.1": "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp",
}
OVERRIDE_SYSTEM = "urn:drug-coverage:override-reason"
_OVERRIDES = (
    ("done-elsewhere", "Done elsewhere, result to follow"),
    ("already-ordered", "Already ordered"),
    ("not-indicated", "Not indicated for this patient"),
    ("urgent", "Urgent, cannot wait"),
)


def guidance_card(
    said: Determination, links: Links, label: str, dialect: Dialect, assertion_id: str, telling: Telling = PLAIN
) -> dict[str, Any]:
    """The answer with every criterion: an External Reference to the policy page."""
    calm = said.outcome in (Outcome.CRITERIA_MET, Outcome.POLICY_NOT_APPLICABLE)
    page = links.policy_page(said)
    return {
        "uuid": str(uuid4()),
        "summary": wording.summary(said, telling),
        "detail": wording.detail(said, telling),
        "indicator": "info" if calm else "warning",
        "source": _source(label, dialect, "guideline", page),
        "links": [
            {"label": f"{said.policy.policy}: {said.policy.name}", "url": page, "type": "absolute"},
            *_criterion_links(said, links),
        ],
        "extension": {
            **_about(said.order, dialect),
            DETERMINATION: determination_extension(said, assertion_id),
        },
    }


def _criterion_links(said: Determination, links: Links) -> list[dict[str, str]]:
    """A link to each criterion that is not met or open: to the very place (CRD resp-21)."""
    if said.outcome is Outcome.POLICY_NOT_APPLICABLE:
        return []
    return [
        {"label": f"{one.id}: {one.label}", "url": links.criterion(said, one.id), "type": "absolute"}
        for one in (*said.blocking(Status.NOT_MET), *said.blocking(Status.UNKNOWN))
    ]


def missing_tests_card(
    said: Determination, links: Links, label: str, dialect: Dialect, suggestions: list[dict[str, Any]]
) -> dict[str, Any]:
    """One-click orders for the missing results: Identify Additional Orders."""
    count = len(suggestions)
    what = "1 test is missing" if count == 1 else f"{count} tests are missing"
    each = "It" if count == 1 else "Each"
    names = "; ".join(suggestion["label"].removeprefix("Order: ") for suggestion in suggestions)
    return {
        "uuid": str(uuid4()),
        "summary": f"{said.policy.name}: {what}, order {'it' if count == 1 else 'them'} here",
        "detail": f"For {said.policy.name} the plan still needs: {names}. {each} can be ordered with one click.",
        "indicator": "info",
        "source": _source(label, dialect, "clinical-reminder", links.policy_page(said)),
        "suggestions": suggestions,
        "selectionBehavior": "any",
        "overrideReasons": [
            {"code": code, "system": OVERRIDE_SYSTEM, "display": display} for code, display in _OVERRIDES
        ],
        "extension": _about(said.order, dialect),
    }


def unread_order_card(order: str, label: str, dialect: Dialect) -> dict[str, Any]:
    """That an order of the call could not be read."""
    summary = "One of the orders could not be read, so the plan has not judged it"
    name = wording.escaped(order)
    detail = f"{name} was neither sent nor could it be read from the chart. Ask again before relying on it."
    return unjudged_card(order, summary, detail, label, dialect)


def unjudged_card(order: str, summary: str, detail: str, label: str, dialect: Dialect) -> dict[str, Any]:
    """Why an order was not judged: Instructions, so that silence does not pass for an answer."""
    return {
        "uuid": str(uuid4()),
        "summary": summary,
        "detail": detail,
        "indicator": "warning",
        "source": {name: value for name, value in _source(label, dialect, "guideline", "").items() if value},
        "extension": _about(order, dialect),
    }


def documentation_card(
    said: Determination, links: Links, label: str, dialect: Dialect, assertion_id: str, coverage: str
) -> dict[str, Any]:
    """The form for what the chart does not show: Launch SMART Application.

    CRD asks for a suggestion here; it has no actions, and accepting it says that the form has been filled in.
    """
    name, form = said.policy.name, links.questionnaire(said)
    context = {"assertionId": assertion_id, "order": said.order, "coverage": coverage, "questionnaire": form}
    asked = [finding.label for finding in said.blocking(Status.UNKNOWN) if finding.questions]
    return {
        "uuid": str(uuid4()),
        "summary": f"{name}: complete the documentation here",
        "detail": (
            f"The form holds what the chart shows already and asks for the rest: {'; '.join(asked)}. "
            "The answers count the next time the plan looks at the order."
        ),
        "indicator": "info",
        "source": _source(label, dialect, "claim", links.policy_page(said)),
        "links": [
            {
                "label": f"Documentation for {name}",
                "url": links.smart_launch,
                "type": "smart",
                "appContext": encode(context).decode(),
            }
        ],
        "suggestions": [{"label": "Documentation completed", "uuid": str(uuid4())}],
        "selectionBehavior": "any",
        "extension": _about(said.order, dialect),
    }


def _source(label: str, dialect: Dialect, topic: str, url: str) -> dict[str, Any]:
    display = {"guideline": "Guideline", "clinical-reminder": "Clinical reminder", "claim": "Claim"}[topic]
    return {"label": label, "url": url, "topic": {"system": _TOPICS[dialect], "code": topic, "display": display}}


def _about(order: str, dialect: Dialect) -> dict[str, Any]:
    about: list[Any] = [order] if dialect == "2.0.1" else [{"reference": order}]
    return {"davinci-crd.associated-resource": about}


def determination_extension(said: Determination, assertion_id: str) -> dict[str, Any]:
    """The determination, criterion by criterion, for machines."""
    return {
        "policy": said.policy.policy,
        "policyVersion": said.policy.version.isoformat(),
        "drug": said.policy.drug,
        "order": said.order,
        "evaluatedOn": said.day.isoformat(),
        "outcome": said.outcome.value,
        "assertionId": assertion_id,
        "criteria": [_criterion(finding) for finding in said.findings],
    }


def _criterion(finding: Any) -> Mapping[str, Any]:
    found: dict[str, Any] = {
        "id": finding.id,
        "label": finding.label,
        "status": finding.status.value,
        "kind": finding.kind,
        "blocking": finding.blocking,
        "evidence": [{"reference": fact.reference, "display": fact.display} for fact in finding.evidence],
    }
    if finding.reason is not None:
        found["reason"] = finding.reason.value
    if finding.needed and finding.status is Status.UNKNOWN:
        found["needed"] = "; ".join(finding.needed)
    return found
