"""`$questionnaire-package` (DTR): the forms that an order, a canonical or an assertion asks for, each with a draft."""

from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Any
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from cds_service.dtr.forms import Form, Forms, write
from cds_service.dtr.names import DTR, DtrVersion
from cds_service.dtr.refusal import RefusedError
from cds_service.dtr.request import PackageRequest
from cds_service.dtr.response import draft_response
from cds_service.policy.facts import Diagnosis, Facts
from cds_service.policy.reasons import Outcome
from fhir_mappings.codes import CodeIndex
from fhir_mappings.condition import read_reasons
from fhir_mappings.order import ordered_products, unread_product
from fhir_mappings.prefetch import read_prefetch
from fhir_mappings.record import Record
from fhir_mappings.references import Json, children, own_reference, word

_COVERAGE_INFORMATION = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"


class Known(Struct, frozen=True):
    """What stands behind an assertion id; `facts` where they were kept."""

    policy: str
    drug: str
    version: date
    outcome: Outcome
    facts: Facts | None = None


class UnknownJustNowError(Exception):
    """What stands behind an assertion id cannot be told at this moment."""


Lookup = Callable[[str], Known | None]  # raises UnknownJustNowError


class Packaging(Struct, frozen=True):
    """What every package is made from."""

    forms: Forms
    codes: CodeIndex
    built: datetime  # since when the forms are as they are


class Issue(Struct, frozen=True):
    """Something that could not be done as asked."""

    status: int  # what it would be refused with if nothing else were asked
    code: str
    text: str
    severity: str = "warning"


class Wanted(Struct):
    """One form that is asked for, and for which orders."""

    form: Form
    orders: list[Json]


def package(
    request: PackageRequest, packaging: Packaging, lookup: Lookup, moment: datetime, version: DtrVersion
) -> bytes:
    """The Parameters with a Bundle for each form, written. Raises RefusedError when nothing asked for is known."""
    issues: list[Issue] = []
    known = _known(request, lookup, issues)
    record = _record(request)
    wanted = _wanted(request, packaging, known, record, moment.date(), issues, lookup)
    if not wanted and issues and all(issue.severity == "warning" for issue in issues):
        first = issues[0]
        raise RefusedError(first.status, first.code, "; ".join(dict.fromkeys(issue.text for issue in issues)))
    if request.changed_since is not None and request.changed_since >= packaging.built:
        wanted = []
        issues.append(Issue(200, "informational", "nothing has changed since then", "information"))
    old = version == "2.0.1"
    name = b"PackageBundle" if old else b"packagebundle"
    pieces = [b'{"resourceType":"Parameters","parameter":[']
    for one in wanted:
        pieces += (b'{"name":"', name, b'","resource":')
        pieces += _bundle(one, request, packaging, known, record, moment, version)
        pieces += (b"}", b",")
    if issues:
        pieces.append(write({"name": "operationOutcome" if old else "outcome", "resource": _outcome(issues)}))
    elif wanted:
        pieces.pop()
    return b"".join((*pieces, b"]}"))  # joined once: a package is long, and most of it is the same each time


def _known(request: PackageRequest, lookup: Lookup, issues: list[Issue]) -> Known | None:
    if not request.context:
        return None
    known = _looked_up(request.context, lookup, issues)
    if known is None:
        if not issues:
            issues.append(Issue(404, "not-found", "the context is not known here"))
        return None
    if known.facts is None:
        return known
    if known.facts.person is None:  # whom they are about cannot be told
        return replace(known, facts=None)
    if known.facts.person.reference != request.patient:
        raise RefusedError(422, "business-rule", "the context and the coverage are not of the same patient")
    return known


def _looked_up(assertion_id: str, lookup: Lookup, issues: list[Issue]) -> Known | None:
    try:
        return lookup(assertion_id)
    except UnknownJustNowError:
        issues.append(Issue(503, "transient", "what was answered before cannot be looked up just now; try again"))
        return None


def _record(request: PackageRequest) -> Record:
    record = Record(request.patient.removeprefix("Patient/"), None, (), read_prefetch(None))
    record.add_all(request.referenced)
    return record


def _wanted(
    request: PackageRequest,
    packaging: Packaging,
    known: Known | None,
    record: Record,
    today: date,
    issues: list[Issue],
    lookup: Lookup,
) -> list[Wanted]:
    """Each form once: what is named, what the context stands for, what the orders are for."""
    forms, found = packaging.forms, dict[str, Wanted]()
    for canonical in request.questionnaires:
        form = forms.find(canonical, today)
        if form is None:
            issues.append(Issue(404, "not-found", "a questionnaire or version that was asked for is not known here"))
        else:
            found.setdefault(form.canonical, Wanted(form, []))
    if known is not None:
        _of_context(known, request, packaging, found, issues)
    for order in request.orders:
        form = _form_for(order, packaging, record, today) or _form_answered(order, packaging, lookup, issues)
        if form is None:
            issues.append(_unread(order) if unread_product(order, record) else _UNGOVERNED)
        else:
            _want(form, order, found)
    return list(found.values())


def _of_context(
    known: Known, request: PackageRequest, packaging: Packaging, found: dict[str, Wanted], issues: list[Issue]
) -> None:
    compiled = packaging.forms.library.version(known.policy, known.drug, known.version)
    form = packaging.forms.of(compiled) if compiled is not None else None
    if form is None:
        issues.append(Issue(404, "not-found", "the policy version behind the context is not known here any more"))
    elif known.outcome in (Outcome.CRITERIA_MET, Outcome.POLICY_NOT_APPLICABLE):
        text = "No documentation is asked for: the answer behind the context needs none."
        issues.append(Issue(200, "informational", text, "information"))
    else:
        found.setdefault(form.canonical, Wanted(form, []))


_UNGOVERNED = Issue(422, "business-rule", "an order is for no drug that a policy here governs, or for more than one")


def _unread(order: Json) -> Issue:
    found = "refers to a Medication that was not sent" if "medicationReference" in order else "names no drug"
    text = f"an order {found}: send it in the order's `contained`, or name the form in `questionnaire`"
    return Issue(422, "not-found", text)


def _form_for(order: Json, packaging: Packaging, record: Record, today: date) -> Form | None:
    """By the drug, else by what the order's own coverage-information names."""
    forms = packaging.forms
    policies = forms.library.governing(ordered_products(order, record, packaging.codes), today)
    form = forms.of(policies[0]) if len(policies) == 1 else None
    if form is not None:
        return form
    named = (forms.find(name, today) for name in _written(order, "questionnaire", "valueCanonical"))
    return next((one for one in named if one is not None), None)


def _form_answered(order: Json, packaging: Packaging, lookup: Lookup, issues: list[Issue]) -> Form | None:
    """By the assertion that stands on the order, for an order whose Medication is elsewhere."""
    for assertion_id in _written(order, "coverage-assertion-id", "valueString"):
        known = _looked_up(assertion_id, lookup, issues)
        compiled = packaging.forms.library.version(known.policy, known.drug, known.version) if known else None
        if compiled is not None:
            return packaging.forms.of(compiled)
    return None


def _want(form: Form, order: Json, found: dict[str, Wanted]) -> None:
    drug = form.policy.source.drug
    same = next((one for one in found.values() if one.form.policy.source.drug == drug), None)
    if same is None:
        same = found.setdefault(form.canonical, Wanted(form, []))
    same.orders.append(order)


def _written(order: Json, name: str, member: str) -> Iterable[str]:
    """What the order's own coverage-information says under this name."""
    for extension in children(order, "extension"):
        if extension.get("url") == _COVERAGE_INFORMATION:
            for part in children(extension, "extension"):
                if part.get("url") == name and word(part, member):
                    yield word(part, member)


def _bundle(
    wanted: Wanted,
    request: PackageRequest,
    packaging: Packaging,
    known: Known | None,
    record: Record,
    moment: datetime,
    version: DtrVersion,
) -> tuple[bytes, ...]:
    """The Bundle's pieces, in order."""
    form = wanted.form
    reasons = tuple(reason for order in wanted.orders for reason in _reasons(order, record, packaging.codes))
    facts = known.facts if known is not None and known.drug == form.policy.source.drug else None
    answers = form.filling.answers(facts, reasons)
    references = tuple(name for order in wanted.orders if (name := own_reference(order)) is not None)
    if not references and facts is not None:
        references = (facts.order.reference,)
    coverages = tuple(own_reference(coverage) or "" for coverage in request.coverages)
    response = draft_response(form, answers, request.patient, coverages, references, moment, version)
    bundle = {
        "resourceType": "Bundle",
        "meta": {"profile": [f"{DTR}/StructureDefinition/DTR-QPackageBundle"]},
        "type": "collection",
        "timestamp": moment.isoformat(timespec="seconds"),
    }
    draft = {"fullUrl": f"urn:uuid:{uuid4()}", "resource": response}
    before, after = form.packed[version]
    return write(bundle)[:-1], b',"entry":[', before, write(draft), after, b"]}"


def _reasons(order: Json, record: Record, codes: CodeIndex) -> tuple[Diagnosis, ...]:
    return read_reasons(order, own_reference(order) or word(order, "resourceType"), record, codes)


def _outcome(issues: list[Issue]) -> dict[str, Any]:
    unique = dict.fromkeys((issue.severity, issue.code, issue.text) for issue in issues)
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": severity, "code": code, "diagnostics": text} for severity, code, text in unique],
    }
