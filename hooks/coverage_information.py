"""The coverage-information extension: what the plan says of one order, in the words of each CRD version.

`Assertion` holds what is said, free of any version; `to_extension` writes it in a dialect. The invariants crd-ci-q1 to
q9 hold by construction in `assertion_for`. Source: CRD 2.2.1 StructureDefinition ext-coverage-information, and the same
of 2.0.1.
"""

from datetime import date
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from cds_service.policy.dates import months_after
from cds_service.policy.determination import Determination
from cds_service.policy.reasons import Outcome, Status

URL = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"

Dialect = Literal["2.2", "2.0.1", "plain"]

_TEMP = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"
_DETAIL = "http://terminology.hl7.org/CodeSystem/crd-coverage-detail"


class Reason(Struct, frozen=True):
    """Why: a coded reason where the guide has one, and always a text."""

    text: str
    code: str = ""


class Detail(Struct, frozen=True):
    """One qualifier of the assertion."""

    category: str
    code: str
    value: tuple[str, Any]  # ("valueQuantity", {...})
    qualification: str = ""


class Assertion(Struct, frozen=True):
    """What is said of one order under one coverage."""

    coverage: str  # reference on the client's server
    covered: str
    assertion_id: str
    day: date
    pa_needed: str = ""
    doc_needed: str = ""
    doc_purpose: str = ""
    info_needed: str = ""
    billing: dict[str, str] | None = None
    reasons: tuple[Reason, ...] = ()
    details: tuple[Detail, ...] = ()
    dependencies: tuple[str, ...] = ()
    questionnaire: str = ""
    satisfied_pa_id: str = ""
    contact: dict[str, Any] | None = None  # ContactDetail
    expiry: date | None = None


class Links(Struct, frozen=True):
    """Where this service is seen from outside."""

    public_url: str

    def policy_page(self, determination: Determination) -> str:
        """The page of the policy, for people."""
        policy = determination.policy
        return f"{self.public_url}/policies/{policy.policy.lower()}/{policy.drug}"

    def criterion(self, determination: Determination, criterion_id: str) -> str:
        """Where the page of the judged version has that criterion."""
        version = determination.policy.version.isoformat()
        return f"{self.policy_page(determination)}?version={version}#criterion-{criterion_id}"

    @property
    def smart_launch(self) -> str:
        """Where the documentation form is launched as a SMART app."""
        return f"{self.public_url}/smart/launch"

    def questionnaire(self, determination: Determination) -> str:
        """The versioned canonical of the policy's form."""
        policy = determination.policy
        return f"{self.public_url}/fhir/Questionnaire/{policy.questionnaire}|{policy.version.isoformat()}"


def assertion_for(
    said: Determination,
    coverage: str,
    assertion_id: str,
    links: Links,
    hcpcs: str,
    documentation: bool = True,
    satisfied_pa_id: str = "",
    contact: dict[str, Any] | None = None,
    dependencies: tuple[str, ...] = (),
    issued_on: date | None = None,
) -> Assertion:
    """The assertion that follows from a determination.

    `documentation` is False on the secondary hooks, where nothing may ask for clinical documentation (CRD hook-19).
    `hcpcs` is the URI of the code system that drugs are billed under.
    """
    fields: dict[str, Any] = _fields(said, links, documentation, satisfied_pa_id, issued_on or said.day)
    fields.update(contact=contact, dependencies=dependencies)
    if said.outcome is not Outcome.POLICY_NOT_APPLICABLE:
        billing = said.policy.billing
        fields["billing"] = {"system": hcpcs, "code": billing.code, "display": billing.display}
        fields["details"] = _details(said, links)
    return Assertion(coverage=coverage, assertion_id=assertion_id, day=said.day, **fields)


def _fields(
    said: Determination, links: Links, documentation: bool, satisfied_pa_id: str, issued_on: date
) -> dict[str, Any]:
    name = said.policy.name
    match said.outcome:
        case Outcome.CRITERIA_MET if satisfied_pa_id:
            return {
                "covered": "covered",
                "pa_needed": "satisfied",
                "satisfied_pa_id": satisfied_pa_id,
                "expiry": months_after(issued_on, said.policy.authorization.months),
                "reasons": (Reason(f"All criteria of {said.policy.policy} for {name} are met from the record."),),
            }
        case Outcome.CRITERIA_MET:
            text = f"All criteria of {said.policy.policy} for {name} are met from the record."
            return {"covered": "covered", "pa_needed": "auth-needed", "reasons": (Reason(text),)}
        case Outcome.DOCUMENTATION_MISSING:
            labels = _labels(said, Status.UNKNOWN)
            text = f"Documentation is missing or does not decide for: {labels}."
            asked = {"covered": "covered", "pa_needed": "auth-needed", "reasons": (Reason(text),)}
            if not documentation:
                return asked
            form = links.questionnaire(said)
            return {**asked, "doc_needed": "clinical", "doc_purpose": "withpa", "questionnaire": form}
        case Outcome.NEEDS_REVIEW:
            text = f"The plan needs to review: {_labels(said, Status.UNKNOWN)}."
            return {"covered": "covered", "pa_needed": "auth-needed", "reasons": (Reason(text),)}
        case Outcome.CRITERIA_NOT_MET:
            text = f"Not met in the record: {_labels(said, Status.NOT_MET)}. The plan decides."
            return {"covered": "covered", "pa_needed": "auth-needed", "reasons": (Reason(text),)}
        case Outcome.UNDETERMINED:
            return technical("Part of the record could not be read, so the criteria could not be judged.")
        case Outcome.POLICY_NOT_APPLICABLE:
            return conditional(f"{said.policy.policy} does not apply to this line of business: {said.line}.")


def _labels(said: Determination, status: Status) -> str:
    return "; ".join(f"{finding.label} ({finding.id})" for finding in said.blocking(status))


def _details(said: Determination, links: Links) -> tuple[Detail, ...]:
    authorization = said.policy.authorization
    quantity = {"value": authorization.quantity, "unit": authorization.unit}
    until = months_after(said.day, authorization.months)
    period = {"start": said.day.isoformat(), "end": until.isoformat()}
    return (
        Detail("cat-limitation", "allowed-quantity", ("valueQuantity", quantity), "One administration"),
        Detail("cat-limitation", "allowed-period", ("valuePeriod", period)),
        Detail("cat-other", "policy-link", ("valueUrl", links.policy_page(said))),
    )


def technical(text: str) -> dict[str, Any]:
    """The fields that say "could not be told for a technical reason" (CRD resp-43)."""
    return {
        "covered": "indeterminate",
        "pa_needed": "indeterminate",
        "doc_needed": "indeterminate",
        "reasons": (Reason(text, "technical"),),
    }


def conditional(text: str) -> dict[str, Any]:
    """The fields that say "this service has no policy that answers": crd-ci-q3 and q6."""
    return {"covered": "conditional", "info_needed": "OTH", "reasons": (Reason(text),)}


def not_covered(text: str, code: str) -> dict[str, Any]:
    """The fields that say that there is no coverage: crd-ci-q2."""
    return {"covered": "not-covered", "reasons": (Reason(text, code),)}


def to_extension(said: Assertion, dialect: Dialect) -> dict[str, Any]:
    """The extension as that dialect writes it. `plain` callers are written to in the current dialect."""
    old = dialect == "2.0.1"
    if old:
        said = _for_2_0_1(said)
    parts: list[dict[str, Any]] = [
        {"url": "coverage", "valueReference": {"reference": said.coverage}},
        {"url": "covered", "valueCode": said.covered},
    ]
    for url, code in (
        ("pa-needed", said.pa_needed),
        ("doc-needed", said.doc_needed),
        ("doc-purpose", said.doc_purpose),
        ("info-needed", said.info_needed),
    ):
        if code:
            parts.append({"url": url, "valueCode": code})
    if said.billing:
        parts.append({"url": "billingCode", "valueCoding": said.billing})
    parts += [{"url": "reason", "valueCodeableConcept": _concept(reason, old)} for reason in said.reasons]
    parts += [{"url": "detail", "extension": _detail(detail, old)} for detail in said.details]
    parts += [{"url": "dependency", "valueReference": {"reference": other}} for other in said.dependencies]
    if said.questionnaire:
        parts.append({"url": "questionnaire", "valueCanonical": said.questionnaire})
    parts.append({"url": "date", "valueDate": said.day.isoformat()})
    parts.append({"url": "coverage-assertion-id", "valueString": said.assertion_id})
    if said.satisfied_pa_id:
        parts.append({"url": "satisfied-pa-id", "valueString": said.satisfied_pa_id})
    if said.contact:
        parts += _contact(said.contact, old)
    if said.expiry is not None and not old:
        parts.append({"url": "expiry-date", "valueDate": said.expiry.isoformat()})
    return {"url": URL, "extension": parts}


def _for_2_0_1(said: Assertion) -> Assertion:
    """The same in the codes of 2.0.1: no `indeterminate`, no coded reasons, and pa-needed always (crd-ci-q2 there)."""
    reasons = tuple(Reason(reason.text) for reason in said.reasons)
    said = replace(said, details=tuple(detail for detail in said.details if detail.code in _DETAILS_2_0_1))
    if said.covered in ("indeterminate", "conditional"):
        return replace(
            said, covered="conditional", pa_needed="conditional", doc_needed="", info_needed="OTH", reasons=reasons
        )
    if said.covered == "not-covered":
        return replace(said, pa_needed="no-auth", reasons=reasons)
    return replace(said, reasons=reasons)


_DETAILS_2_0_1 = frozenset({"allowed-quantity", "allowed-period"})  # of ours; it has no policy-link


def _concept(reason: Reason, old: bool) -> dict[str, Any]:
    if reason.code and not old:
        return {"coding": [{"system": _TEMP, "code": reason.code}], "text": reason.text}
    return {"text": reason.text}


def _detail(detail: Detail, old: bool) -> list[dict[str, Any]]:
    kind, value = detail.value
    system = _TEMP if old else _DETAIL
    parts: list[dict[str, Any]] = [] if old else [{"url": "category", "valueCode": detail.category}]
    parts.append({"url": "code", "valueCodeableConcept": {"coding": [{"system": system, "code": detail.code}]}})
    parts.append({"url": "value", kind: value})
    if detail.qualification:
        parts.append({"url": "qualification", "valueString": detail.qualification})
    return parts


def _contact(contact: dict[str, Any], old: bool) -> list[dict[str, Any]]:
    if not old:
        return [{"url": "contact", "valueContactDetail": contact}]
    return [{"url": "contact", "valueContactPoint": point} for point in contact.get("telecom", [])]
