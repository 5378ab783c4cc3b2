"""What the form's pages are served with: everything that is built once, and the steps that several pages share."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Response, g, redirect, request
from msgspec import Struct
from msgspec.structs import replace

from cds_service.auth.replay import SeenTokens
from cds_service.dtr.forms import Forms
from cds_service.dtr.names import DtrVersion
from cds_service.policy.determination import Determination
from cds_service.policy.policy import Question
from cds_service.smart.about import about_view
from cds_service.smart.case import Case, answer_now
from cds_service.smart.ehr import EhrClient
from cds_service.smart.fields import Answers, text_of
from cds_service.smart.launch import App
from cds_service.smart.origins import origins_of
from cds_service.smart.page import answer_view, groups_view, render
from cds_service.smart.problems import ProblemError
from cds_service.smart.session import Sealer, Session, TooLargeError, cookie_of, now_s, set_cookie
from cds_service.smart.writing import author_of, response_of
from fhir_mappings.references import Json
from hooks.service import Moment, Service

_COOKIE = "form"
# EHR, patient, member and completed form that the EHR did not take → whether the plan keeps it
Keep = Callable[[str, str, str, Json], bool]


class Desk(Struct, frozen=True):
    """What every page of the form is made with."""

    service: Service
    forms: Forms
    app: App
    ehr: EhrClient
    sealer: Sealer
    seen: SeenTokens
    keep: Keep
    reading_s: float  # for reading a chart

    @property
    def version(self) -> DtrVersion:
        """The DTR version that responses are written in."""
        return "2.0.1" if self.service.default_dialect == "2.0.1" else "2.2"

    @property
    def is_secure(self) -> bool:
        """True when browsers come by https."""
        return self.app.redirect_uri.startswith("https:")

    def moment(self) -> Moment:
        """Now, and until when a chart may be read."""
        return Moment(datetime.now(UTC).date(), time.monotonic() + self.reading_s)

    def session(self, sid: str) -> Session | None:
        """The open form of that id, also one that has run out; None for what this browser has not."""
        found = self.sealer.open(cookie_of(request.cookies, _COOKIE), Session)
        if found is None or found.sid != sid:
            return None
        g.frame = found.iss
        return found

    def with_session(self, response: Response, session: Session) -> Response:
        """The response, with the session in the browser's keeping. Raises ProblemError."""
        return self.with_session_over(response, replace(session, seen=now_s()))

    def with_session_over(self, response: Response, session: Session) -> Response:
        """The same for a session that has run out, and stays so. Raises ProblemError."""
        try:
            sealed = self.sealer.seal(session)
            path = f"/smart/form/{session.sid}"
            set_cookie(response, _COOKIE, sealed, path, self.is_secure, None)
        except TooLargeError:
            advice = "Its token is longer than a browser keeps. Ask the plan to look at it."
            raise ProblemError(502, "The record system's sign-in cannot be kept", advice) from None
        return response

    def said_with(self, case: Case, session: Session, answers: Answers, errors: Mapping[str, str]) -> Determination:
        """What would be said of the order with these answers in the chart, completed; wrong ones are left out."""
        right = {name: answer for name, answer in answers.items() if name not in errors}
        response = response_of(case, session, right, "completed", datetime.now(UTC), self.version)
        return answer_now(case, response, session, self.service, self.moment())

    def form_page(
        self,
        case: Case,
        session: Session,
        answers: Answers,
        texts: dict[str, str] | None = None,
        errors: dict[str, str] | None = None,
        notice: str = "",
        status: int = 200,
    ) -> Response:
        """The form with these answers, and what would be said of the order with them."""
        errors = errors or {}
        said = self.said_with(case, session, answers, errors)
        shown = texts if texts is not None else {name: text_of(answer) for name, answer in answers.items()}
        origins = origins_of(case.form, case.facts, case.filled, case.answers, case.latest)
        author = author_of(case, session)
        page = render(
            "form.html",
            title=title_of(case),
            policy=case.form.policy.source,
            policy_page=self.service.links.policy_page(case.said),
            about=about_view(case, session),
            author=(author or {}).get("display", ""),
            answer=answer_view(said),
            groups=groups_view(
                case.form, case.said, said, shown, _unchanged(origins, shown, case.answers), errors, _attached(answers)
            ),
            errors=listed(case.form.policy.questions, errors),
            notice=notice or session.note,
            is_trouble=status >= 400,
            sid=session.sid,
            csrf=session.csrf,
            canonical=case.form.canonical,
            today=datetime.now(UTC).date().isoformat(),
        )
        return self.with_session(Response(page, status=status, mimetype="text/html"), replace(session, note=""))


def title_of(case: Case) -> str:
    """What the form is called."""
    return f"Documentation for {case.form.policy.source.name}"


def _attached(answers: Answers) -> dict[str, Json]:
    return {name: answer for name, answer in answers.items() if "valueAttachment" in answer}


def _unchanged(origins: dict[str, str], texts: dict[str, str], filled: Answers) -> dict[str, str]:
    """The origins of what still stands as it was filled in."""
    return {
        name: text
        for name, text in origins.items()
        if "valueAttachment" in filled[name] or texts.get(name) == text_of(filled[name])
    }


def listed(questions: Mapping[str, Question], errors: dict[str, str]) -> list[tuple[str, str, str]]:
    """The errors in the form's order: linkId, question, what is wrong."""
    return [(name, questions[name].text, errors[name]) for name in questions if name in errors]


def to_form(session: Session, page: str = "") -> Response:
    """On to a page of this form."""
    response: Any = redirect(f"/smart/form/{session.sid}{page}", code=303)
    return response  # type: ignore[no-any-return]
