"""The filled form as a DTR QuestionnaireResponse, and its way into the chart."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from cds_service.dtr.names import DtrVersion
from cds_service.dtr.response import draft_response
from cds_service.smart.attachments import Report, attachment, document
from cds_service.smart.case import Case, name_of, version_of
from cds_service.smart.ehr import Answer, AwayError, EhrClient
from cds_service.smart.fields import Answers, asked_only, same
from cds_service.smart.origins import source_of
from cds_service.smart.problems import SignedOutError
from cds_service.smart.session import Session
from fhir_mappings.references import Json, child, children, is_id, own_reference, relative, word

_ORIGIN = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin"


class Written(Struct, frozen=True):
    """What became of a form: its reference in the chart, or empty where the chart did not take it."""

    reference: str
    response: Json


def author_of(case: Case, session: Session) -> Json | None:
    """Who answers for the form: whoever is signed in, else who ordered; None where neither is known."""
    reference = session.user or relative(child(case.order.resource, "requester").get("reference"), session.iss) or ""
    if not reference:
        return None
    name = name_of(case.record, reference)
    return {"reference": reference, **({"display": name} if name else {})}


def response_of(
    case: Case, session: Session, answers: Answers, status: str, moment: datetime, version: DtrVersion
) -> Json:
    """The response with these answers. Items that the form does not ask are left out."""
    answers = without_restated(case, answers)
    coverage = session.coverage if case.record.at(session.coverage) is not None else own_coverage(case)
    response = draft_response(
        case.form,
        answers,
        f"Patient/{session.patient}",
        (coverage,) if coverage else (),
        (case.order.reference,) if case.is_order_read or session.order else (),
        moment,
        version,
    )
    author = author_of(case, session)
    response["status"] = status
    if session.assertion:
        response["identifier"] = {"type": {"text": "coverage-assertion-id"}, "value": session.assertion}
    if author is not None:
        response["author"] = author
    given = asked_only(case.items, answers)
    for group in response["item"]:
        for item in children(group, "item"):
            for answer in children(item, "answer"):
                source = source_of(item["linkId"], given, case.filled)
                answer["extension"] = [_origin(source, author, version)]
    return response


def without_restated(case: Case, answers: Answers) -> Answers:
    """Without results that stand in the chart and that nobody has changed or attached a report to.

    Said again on a form, without its report, a result would count for less than it does in the chart.
    """
    restated: set[str] = set()
    laboratory = case.form.policy.laboratory_questions
    for group in dict.fromkeys(question.result_of or question.id for question in laboratory):
        own = [one.id for one in laboratory if group in (one.id, one.result_of)]
        members = {name for name in case.items for one in (*own, group) if name == one or name.startswith(f"{one}.")}
        given = {name for name in members if name in answers}
        if all(same(answers[name], case.filled.get(name)) for name in given):
            restated |= given
    return {name: answer for name, answer in answers.items() if name not in restated}


def own_coverage(case: Case) -> str:
    """The coverage that the determination points at; empty where there is none."""
    return case.chart_alone.standing.reference or ""


def _origin(source: str, author: Json | None, version: DtrVersion) -> Json:
    code = "auto-server" if source == "auto" and version != "2.0.1" else source
    parts: list[Json] = [{"url": "source", "valueCode": code}]
    if source != "auto" and author is not None:
        who = {"url": "practitioner", "valueReference": author}
        if author["reference"].startswith("PractitionerRole/"):
            who = {"url": "role", "valueReference": author}
        parts.append({"url": "author", "extension": [who]})
    return {"url": _ORIGIN, "extension": parts}


def keep_reports(
    case: Case, session: Session, reports: Mapping[str, Report], ehr: EhrClient, moment: datetime
) -> Answers:
    """The answers for these files: each kept in the chart, or in the answer itself where the chart does not take it.

    Raises SignedOutError.
    """
    author = author_of(case, session)
    found: Answers = {}
    for link_id, report in reports.items():
        written = _written(ehr, case, document(report, session.patient, author, moment))
        found[link_id] = {"valueAttachment": attachment(report, moment, written)}
    return found


def keep_response(case: Case, session: Session, response: Json, ehr: EhrClient) -> Written:
    """Writes the response to the chart, over the draft that it goes on with. Raises SignedOutError.

    A draft that has changed since the page was shown, in another tab or by a colleague, is left as it is.
    """
    latest = case.latest
    is_draft = latest is not None and word(latest, "status") == "in-progress" and is_id(latest.get("id"))
    if latest is not None and is_draft and version_of(latest) == session.begun_version:
        response = {**response, "id": latest["id"]}
    reference = _written(ehr, case, response)
    if not reference and "id" in response:  # an EHR that takes new forms need not let them be changed
        response = {name: value for name, value in response.items() if name != "id"}
        reference = _written(ehr, case, response)
    return Written(reference, response)


def _written(ehr: EhrClient, case: Case, resource: Json) -> str:
    """`Type/id` of what the chart kept; empty where it did not."""
    try:
        answer = ehr.write(case.server, resource)
    except AwayError:
        return ""
    if answer.status == 401:
        raise SignedOutError
    if answer.status not in (200, 201):
        return ""
    return _reference(answer, resource, case.server.base)


def _reference(answer: Answer, resource: Json, base: str) -> str:
    kind = resource["resourceType"]
    own = own_reference(answer.body)
    if own is not None and own.startswith(f"{kind}/"):
        return own
    if "id" in resource:
        return f"{kind}/{resource['id']}"
    located = relative(answer.location.partition("/_history")[0], base) or ""
    return located if located.startswith(f"{kind}/") else ""
