"""`$log-questionnaire-errors`: what a DTR client had trouble with in a form (DTR)."""

from typing import Any

from msgspec import Struct

from cds_service.dtr.refusal import RefusedError
from fhir_mappings.references import children, word

# http://hl7.org/fhir/issue-type
_KINDS = frozenset(
    {
        "invalid",
        "structure",
        "required",
        "value",
        "invariant",
        "security",
        "login",
        "unknown",
        "expired",
        "forbidden",
        "suppressed",
        "processing",
        "not-supported",
        "duplicate",
        "multiple-matches",
        "not-found",
        "deleted",
        "too-long",
        "code-invalid",
        "extension",
        "too-costly",
        "business-rule",
        "conflict",
        "transient",
        "lock-error",
        "no-store",
        "exception",
        "timeout",
        "incomplete",
        "throttled",
        "informational",
    }
)


class ReportedErrors(Struct, frozen=True):
    """Which forms, and what kinds of trouble. No text of the report is kept: it may say what is in a chart."""

    questionnaires: tuple[str, ...]
    kinds: tuple[str, ...]


def parse_report(body: Any) -> ReportedErrors:
    """The report of a body. Raises RefusedError."""
    if not isinstance(body, dict) or body.get("resourceType") != "Parameters":
        raise RefusedError(400, "structure", "expected a Parameters resource")
    if not isinstance(body.get("parameter"), list):
        raise RefusedError(400, "structure", "parameter: expected an array of objects", "Parameters.parameter")
    forms: list[str] = []
    kinds: list[str] = []
    for found in children(body, "parameter"):
        name = word(found, "name").casefold()  # DTR 2.0.1 spells them with capitals as well
        if name == "questionnaire":
            forms.append(word(found, "valueCanonical") or word(found, "valueUri"))
        elif name == "operationoutcome":
            outcome = found.get("resource")
            if not isinstance(outcome, dict) or outcome.get("resourceType") != "OperationOutcome":
                raise RefusedError(400, "structure", "parameter `operationOutcome`: expected an OperationOutcome")
            issues = children(outcome, "issue")
            kinds += [code if (code := word(issue, "code")) in _KINDS else "unknown" for issue in issues]
    if not forms or not all(forms):
        raise RefusedError(400, "required", "parameter `questionnaire`: expected a canonical")
    if not kinds:
        raise RefusedError(400, "required", "parameter `operationOutcome`: expected an OperationOutcome with issues")
    return ReportedErrors(tuple(forms), tuple(kinds))
