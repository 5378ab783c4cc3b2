"""The form's pages: launch, sign-in, the form itself, and what happens next. Every error is a page for a person."""

import hmac
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from flask import Blueprint, Response, g, redirect, request
from werkzeug.exceptions import HTTPException

from cds_service.auth.clients import read_trusted_clients
from cds_service.auth.replay import ReplayStoreError, SeenTokens, SeenTokensFile
from cds_service.auth.replay_redis import SeenTokensRedis
from cds_service.dtr.forms import Forms
from cds_service.policy.reasons import Status
from cds_service.settings import Settings
from cds_service.sieve import LEFT_OUT
from cds_service.smart.case import Case, begun, read_case
from cds_service.smart.desk import Desk, Keep, title_of, to_form
from cds_service.smart.ehr import EhrClient
from cds_service.smart.frames import ancestors, ask, asked_already, is_framed, keeps_cookies, own_window
from cds_service.smart.launch import App, begin, finish, known_server
from cds_service.smart.page import answer_view, render
from cds_service.smart.posted import read_form
from cds_service.smart.problems import LAUNCH_AGAIN, ProblemError, SignedOutError
from cds_service.smart.saving import as_typed, completed, saved
from cds_service.smart.session import (
    LAUNCH_S,
    Pending,
    Session,
    TooLargeError,
    cookie_of,
    is_past,
    now_s,
    sealer,
    set_cookie,
)
from cds_service.smart.typed_again import typed_again, typed_before
from cds_service.web import where_of
from fhir_mappings.servers import bases_of
from hooks.refusals import Refusal
from hooks.service import Service

_STATE = re.compile(r"[A-Za-z0-9_\-]{20,100}")
_READING_S = 8.0
_TRY_AGAIN = "Try again in a moment."
FILES_TOO_LARGE = (
    "The files are too large together",
    "None was taken. The form says how large each may be: choose smaller ones, or go on without.",
)
_TOO_LARGE = (
    "None of it was taken, and your browser does not keep what you typed since the form was last saved. "
    "Open the form again from the order; it says how large each report may be."
)
_NO_COOKIES = (
    "The form needs a window of its own",
    "Inside the record system’s page, your browser keeps nothing for the form, so it could not stay signed in.",
)


def desk_of(service: Service, forms: Forms, settings: Settings, keep: Keep) -> Desk:
    """What the pages are served with, by the settings. Raises ClientsFileError."""
    public_url = service.links.public_url
    servers: Iterable[str] = settings.fhir_servers
    if settings.auth == "required":
        path = settings.trusted_clients
        servers = read_trusted_clients(path).fhir_servers if path is not None else ()
    app = App(
        settings.smart_client_id,
        f"{public_url}/smart/callback",
        bases_of(servers),
        bases_of(settings.smart_auth_servers),
    )
    redis, data_dir = settings.redis_url, settings.data_dir
    seen: SeenTokens = SeenTokensRedis(redis) if redis else SeenTokensFile(data_dir / "used-tokens.sqlite3")
    keys = settings.ledger_keys.get_secret_value()
    sealing = sealer(data_dir, keys)
    ehr = EhrClient(verify=settings.verify)
    return Desk(service, forms, app, ehr, sealing, seen, keep, max(_READING_S, settings.deadline_s))


def smart_blueprint(desk: Desk, settings: Settings) -> Blueprint:
    """`/smart` and below."""
    routes = Blueprint("smart", __name__, url_prefix="/smart", static_folder="static")

    @routes.get("/launch")
    def launch() -> Response:
        iss, launch = request.args.get("iss", ""), request.args.get("launch", "")
        if is_framed():
            g.frame = known_server(desk.app, iss).base
            if not asked_already():
                return ask(iss, launch, desk.is_secure)
            if not keeps_cookies():
                return _page(200, *_NO_COOKIES, own_window=own_window(iss, launch))
        return _away(desk, iss, launch)

    @routes.get("/callback")
    def callback() -> Response:
        pending = _pending(desk, request.args.get("state", ""))
        known_server(desk.app, pending.iss)
        code = request.args.get("code", "")
        if "error" in request.args or not code or len(code) > 4000:
            raise ProblemError(403, "The record system did not sign you in", LAUNCH_AGAIN)
        session = finish(desk.app, desk.ehr, pending, code)
        if pending.before is None or pending.goes_on:
            response = to_form(session)
        else:
            response = Response(render("again.html", title="Signed in again", sid=session.sid), mimetype="text/html")
        _forget(response, pending, desk)
        return desk.with_session(response, session)

    @routes.get("/form")
    def without_session() -> Response:
        raise ProblemError(400, "No form is open here", LAUNCH_AGAIN)

    @routes.get("/form/<sid>")
    def form(sid: str) -> Response:
        session = _at_work(desk, sid)
        case = _case(desk, session)
        if session.typed:
            return typed_before(desk, case, session)
        return desk.form_page(case, begun(case, session), {**case.answers, **_reports(session)})

    @routes.post("/form/<sid>")
    def filled(sid: str) -> Response:
        session = desk.session(sid)
        sent, files = read_form(settings.max_body_bytes)
        if session is None or session.is_over(now_s()):
            return typed_again(desk, session, sent, files)
        _check_own(session, sent)
        g.sent = session, sent, files
        if LEFT_OUT in request.headers:
            raise ProblemError(413, *FILES_TOO_LARGE)
        try:
            case = _case(desk, session)
            step = completed if sent.get("action") == "complete" else saved
            return step(desk, case, session, sent, files)
        except SignedOutError:
            return typed_again(desk, session, sent, files)

    @routes.post("/form/<sid>/answer")
    def answer(sid: str) -> Response:
        session = _at_work(desk, sid)
        sent, files = read_form(settings.max_body_bytes)
        _check_own(session, sent)
        return as_typed(desk, _case(desk, session), session, sent, files)

    @routes.get("/form/<sid>/again")
    def again(sid: str) -> Response:
        session = desk.session(sid)
        if session is None:
            raise ProblemError(403, "This form is not open in this browser any more", LAUNCH_AGAIN)
        return _away(desk, session.iss, session.launch, session, goes_on="here" in request.args)

    @routes.get("/form/<sid>/done")
    def done(sid: str) -> Response:
        session = _at_work(desk, sid)
        case = _case(desk, session)
        is_open = case.said.blocking(Status.NOT_MET) or case.said.blocking(Status.UNKNOWN)
        attached = {name for name, answer in case.answers.items() if "valueAttachment" in answer}
        page = render(
            "done.html",
            title=title_of(case) if is_open else "The documentation is complete",
            policy=case.form.policy.source,
            answer=answer_view(case.said, attached),
            has_reports=bool(attached),
            is_kept_here=session.is_kept_here,
            sid=sid,
        )
        return desk.with_session(Response(page, mimetype="text/html"), session)

    @routes.errorhandler(ProblemError)
    def problem(error: ProblemError) -> Response:
        if (error.status >= 500 or error.status in (413, 429)) and "sent" in g:
            session, sent, files = g.sent
            return typed_again(desk, session, sent, files, error)
        return _page(error.status, error.title, error.advice)

    @routes.errorhandler(Refusal)
    def refused(refusal: Refusal) -> Response:
        if refusal.status != 429:
            return problem(ProblemError(502, "Part of the chart could not be used", _TRY_AGAIN))
        if request.endpoint == "smart.filled":
            keep_typed()
        return problem(ProblemError(429, "Too much was asked for at once", "Wait a minute, and try again."))

    def keep_typed() -> None:
        with suppress(HTTPException, ProblemError):
            session, (sent, files) = desk.session((request.view_args or {})["sid"]), read_form(settings.max_body_bytes)
            if session is not None:
                _check_own(session, sent)
            g.sent = session, sent, files

    @routes.errorhandler(SignedOutError)
    def signed_out(_: SignedOutError) -> Response:
        return _page(401, "You are signed out", "Nothing that was saved is lost.", (request.view_args or {}).get("sid"))

    @routes.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        if error.code == 413:
            return _page(413, "What was sent is too large", _TOO_LARGE)
        return _page(error.code or 500, error.name, LAUNCH_AGAIN)

    @routes.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        desk.service.log.error("unexpected", kind=type(error).__name__, where=where_of(error))
        return problem(ProblemError(500, "This did not work", _TRY_AGAIN))

    @routes.after_request
    def guarded(response: Response) -> Response:
        framing = ancestors(g.get("frame", ""), settings.smart_frames)
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
            f"form-action 'self'; base-uri 'none'; frame-ancestors {framing}"
        )
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        if request.endpoint != "smart.static":
            response.headers["Cache-Control"] = "no-store"
        return response

    return routes


def _page(status: int, title: str, advice: str, again: str | None = None, own_window: str = "") -> Response:
    page = render("problem.html", title=title, advice=advice, again=again or "", own_window=own_window)
    return Response(page, status=status, mimetype="text/html")


def _away(desk: Desk, iss: str, launch: str, before: Session | None = None, goes_on: bool = False) -> Response:
    """Sends the browser to the EHR's sign-in, and has it keep what is needed when it comes back."""
    pending, url = begin(desk.app, desk.ehr, iss, launch, before, goes_on)
    response: Any = redirect(url)
    try:
        sealed = desk.sealer.seal(pending)
        set_cookie(response, _name(pending), sealed, "/smart/callback", desk.is_secure, LAUNCH_S)
    except TooLargeError:
        advice = f"It is longer than a browser keeps. {LAUNCH_AGAIN}"
        raise ProblemError(502, "The sign-in cannot be kept", advice) from None
    return response  # type: ignore[no-any-return]


def _name(pending: Pending) -> str:
    return f"launch-{pending.state[:12]}-"


def _pending(desk: Desk, state: str) -> Pending:
    """The launch of this state, which counts once. Raises ProblemError."""
    sealed = cookie_of(request.cookies, f"launch-{state[:12]}-") if _STATE.fullmatch(state) else ""
    pending = desk.sealer.open(sealed, Pending)
    if pending is None or not hmac.compare_digest(pending.state, state) or is_past(pending.at, LAUNCH_S, now_s()):
        raise ProblemError(403, "This sign-in was not begun here, or too long ago", LAUNCH_AGAIN)
    g.frame = pending.iss
    try:
        is_first = desk.seen.first_use("smart-launch", state, pending.at + LAUNCH_S)
    except ReplayStoreError:
        raise ProblemError(503, "Signing in does not work just now", _TRY_AGAIN) from None
    if not is_first:
        raise ProblemError(403, "This sign-in was used before", LAUNCH_AGAIN)
    return pending


def _forget(response: Response, pending: Pending, desk: Desk) -> None:
    for place in range(2):
        response.delete_cookie(
            f"{_name(pending)}{place}",
            path="/smart/callback",
            secure=desk.is_secure,
            partitioned=desk.is_secure and is_framed(),
        )


def _at_work(desk: Desk, sid: str) -> Session:
    session = desk.session(sid)
    if session is None:
        raise ProblemError(403, "This form is not open in this browser", LAUNCH_AGAIN)
    if session.is_over(now_s()):
        raise SignedOutError
    return session


def _check_own(session: Session, sent: Mapping[str, str]) -> None:
    if not hmac.compare_digest(sent.get("csrf", "").encode(), session.csrf.encode()):
        raise ProblemError(403, "The form did not come from this page", "Go back, load the page again, and save.")


def _case(desk: Desk, session: Session) -> Case:
    # Asked anew for each page: a session may be older than the list of servers.
    server = known_server(desk.app, session.iss, session.token)
    return read_case(session, server, desk.service, desk.forms, desk.moment())


def _reports(session: Session) -> dict[str, Any]:
    return {link_id: {"valueAttachment": found} for link_id, found in session.reports.items()}
