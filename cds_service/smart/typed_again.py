"""A form that could not be taken: what was typed is shown again, since browsers keep nothing of such a page.

Who was signed out saves it after the next sign-in.

In a tab, the sign-in goes on in another one, and this page stays. In a frame of an EHR another tab has other cookies,
so the sign-in goes on in the frame, and what was typed waits in the sealed session.
"""

import hmac
from datetime import UTC, datetime

from flask import Response
from msgspec.structs import replace
from werkzeug.datastructures import MultiDict

from cds_service.dtr.reports import MEGABYTE
from cds_service.smart.attachments import too_large
from cds_service.smart.case import Case
from cds_service.smart.desk import Desk, listed
from cds_service.smart.fields import FieldError, items_of, parse_text
from cds_service.smart.frames import is_framed
from cds_service.smart.page import groups_view, render
from cds_service.smart.posted import read_posted
from cds_service.smart.problems import LAUNCH_AGAIN, ProblemError
from cds_service.smart.saving import Files, Texts, attached_to
from cds_service.smart.session import Session

_BACK = "You are signed in again. Your answers are as you typed them, and not saved yet. Files have to be chosen again."


def typed_again(
    desk: Desk, session: Session | None, sent: Texts, files: Files, trouble: ProblemError | None = None
) -> Response:
    """The page with all that was typed: for whoever was signed out, or else with what the trouble was.

    Nothing of the chart is on it. Raises ProblemError.
    """
    today = datetime.now(UTC).date()
    canonical = session.questionnaire if session is not None and session.questionnaire else sent.get("form", "")
    form = desk.forms.find(canonical, today)
    if form is None:
        raise ProblemError(403, "This form is not open in this browser any more", LAUNCH_AGAIN)
    items = items_of(form)
    texts = {name: sent[name] for name in items if name in sent}
    errors: dict[str, str] = {}
    for name, text in texts.items():
        try:
            parse_text(form, form.policy.questions[name], text, today, desk.forms.public_url)
        except FieldError as error:
            errors[name] = str(error)
    largest = form.largest_report_mb * MEGABYTE
    for name, file in files.items():
        if name in items and file.filename:
            is_large = file.content_length > largest
            errors[name] = too_large(form.largest_report_mb) if is_large else "Choose the file again: it was not taken."

    def shown(sid: str, goes_on: bool) -> Response:
        page = render(
            "typed_again.html",
            title=f"Documentation for {form.policy.source.name}",
            policy=form.policy.source,
            errors=listed(form.policy.questions, errors),
            groups=groups_view(form, None, None, texts, {}, errors, {}),
            sid=sid,
            goes_on=goes_on,
            csrf=session.csrf if session is not None else "",
            canonical=form.canonical,
            today=today.isoformat(),
            trouble=trouble,
        )
        return Response(page, status=trouble.status if trouble is not None else 401, mimetype="text/html")

    if session is None or trouble is not None or not is_framed():
        return shown(session.sid if session is not None else "", False)
    if not hmac.compare_digest(sent.get("csrf", "").encode(), session.csrf.encode()):
        return shown("", False)
    try:
        return desk.with_session_over(shown(session.sid, True), replace(session, typed=texts))
    except ProblemError:  # more than a browser keeps
        return shown("", False)


def typed_before(desk: Desk, case: Case, session: Session) -> Response:
    """The form with what was typed before the sign-in ran out. Raises ProblemError."""
    sent: Texts = MultiDict(session.typed)
    today, attached = datetime.now(UTC).date(), attached_to(case, session)
    posted = read_posted(case.form, sent, MultiDict(), attached, today, desk.forms.public_url, completing=False)
    return desk.form_page(case, session, posted.answers, posted.texts, posted.errors, notice=_BACK)
