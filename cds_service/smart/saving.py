"""What happens to a form that was sent: saved, completed, shown again with what is wrong, or kept elsewhere."""

from collections.abc import Callable
from datetime import UTC, datetime
from secrets import token_hex

from flask import Response
from msgspec.structs import replace
from werkzeug.datastructures import FileStorage, MultiDict

from cds_service.smart.about import filing_view
from cds_service.smart.attachments import Report
from cds_service.smart.case import Case, member_of
from cds_service.smart.desk import Desk, title_of, to_form
from cds_service.smart.fields import Answers, text_of
from cds_service.smart.page import answer_view, groups_view, print_view, render
from cds_service.smart.posted import CHOSEN, REMOVE, Posted, read_posted
from cds_service.smart.session import Session
from cds_service.smart.writing import keep_reports, keep_response, response_of
from fhir_mappings.references import Json

Texts = MultiDict[str, str]
Files = MultiDict[str, FileStorage]
Step = Callable[[Desk, Case, Session, Texts, Files], Response]


def saved(desk: Desk, case: Case, session: Session, sent: Texts, files: Files) -> Response:
    """The form in the chart as it is so far, to go on with later. Raises ProblemError and SignedOutError."""
    posted, session, answers = _taken(desk, case, session, sent, files, completing=False)
    if posted.errors:
        return _with_errors(desk, case, session, posted, answers)
    now = datetime.now(UTC)
    response = response_of(case, session, answers, "in-progress", now, desk.version)
    written = keep_response(case, session, response, desk.ehr)
    if not written.reference:
        desk.service.log.warning("form not taken", status="in-progress")
        notice = "The record system takes no unfinished forms: nothing is saved. Your answers are still on this page."
        return desk.form_page(case, session, answers, notice=notice, status=502)
    note = f"Saved in the chart at {now:%H:%M} UTC. You can go on now or later."
    session = replace(session, begun_with=written.reference, note=note, reports={})
    return desk.with_session(to_form(session), session)


def completed(desk: Desk, case: Case, session: Session, sent: Texts, files: Files) -> Response:
    """The form in the chart, completed; or kept here or shown to print where the chart did not take it."""
    posted, session, answers = _taken(desk, case, session, sent, files, completing=True)
    if posted.errors:
        return _with_errors(desk, case, session, posted, answers)
    response = response_of(case, session, answers, "completed", datetime.now(UTC), desk.version)
    written = keep_response(case, session, response, desk.ehr)
    if written.reference:
        desk.service.log.info("form completed", drug=case.form.policy.source.drug)
        session = replace(session, begun_with=None, note="", reports={}, is_kept_here=False)
        return desk.with_session(to_form(session, "/done"), session)
    member = member_of(case, session, desk.service, desk.moment())
    here = desk.keep(session.iss, session.patient, member, {**response, "id": f"kept-{token_hex(8)}"})
    desk.service.log.warning("form not taken", status="completed", kept=here)
    if here:
        session = replace(session, begun_with=None, note="", is_kept_here=True, reports={})
        return desk.with_session(to_form(session, "/done"), session)
    return _to_print(desk, case, session, answers, response)


def as_typed(desk: Desk, case: Case, session: Session, sent: Texts, files: Files) -> Response:
    """What would be said with what is typed so far. Keeps nothing, and leaves the session as it is."""
    chosen = {name: {"valueAttachment": {"title": "chosen", "url": "about:blank"}} for name in sent.poplist(CHOSEN)}
    attached = {**attached_to(case, session), **chosen}
    today = datetime.now(UTC).date()
    posted = read_posted(case.form, sent, files, attached, today, desk.forms.public_url, completing=False)
    said = desk.said_with(case, session, posted.answers, posted.errors)
    groups = groups_view(case.form, case.said, said, posted.texts, {}, posted.errors, {})
    return Response(render("live.html", answer=answer_view(said), groups=groups), mimetype="text/html")


def _taken(
    desk: Desk, case: Case, session: Session, sent: Texts, files: Files, completing: bool
) -> tuple[Posted, Session, Answers]:
    """What was sent, checked, with its reports kept: also beside errors, so that no file is chosen twice."""
    today = datetime.now(UTC).date()
    posted = read_posted(case.form, sent, files, attached_to(case, session), today, desk.forms.public_url, completing)
    reports: dict[str, Report] = {name: one for name, one in posted.reports.items() if name not in posted.errors}
    kept = keep_reports(case, session, reports, desk.ehr, datetime.now(UTC))
    removed = {name.removeprefix(REMOVE) for name in sent if name.startswith(REMOVE)}
    in_chart = {name: found for name, found in session.reports.items() if name not in removed}
    for name, answer in kept.items():
        if "url" in answer["valueAttachment"]:
            in_chart[name] = answer["valueAttachment"]
        elif posted.errors:
            posted.errors[name] = "Choose the file again: the record system keeps it only with the whole form."
    return posted, replace(session, reports=in_chart, typed={}), {**posted.answers, **kept}


def attached_to(case: Case, session: Session) -> Answers:
    """The answers that are reports, in the form or in the chart for it."""
    earlier = {name: {"valueAttachment": found} for name, found in session.reports.items()}
    return {name: one for name, one in {**case.answers, **earlier}.items() if "valueAttachment" in one}


def _with_errors(desk: Desk, case: Case, session: Session, posted: Posted, answers: Answers) -> Response:
    return desk.form_page(case, session, answers, texts=posted.texts, errors=posted.errors, status=422)


def _to_print(desk: Desk, case: Case, session: Session, answers: Answers, response: Json) -> Response:
    texts = {name: text_of(answer) for name, answer in answers.items() if "valueAttachment" not in answer}
    author, filled = response.get("author", {}).get("display", ""), f"{datetime.now(UTC):%Y-%m-%d, %H:%M} UTC"
    page = render(
        "print.html",
        title=title_of(case),
        policy=case.form.policy.source,
        groups=print_view(case.form, answers, texts),
        about=[*filing_view(case, session), ("Filled in", ", ".join(part for part in (author, filled) if part))],
        texts=texts,
        sid=session.sid,
        csrf=session.csrf,
        canonical=case.form.canonical,
    )
    return desk.with_session(Response(page, status=502, mimetype="text/html"), session)
