"""What CDS clients call: discovery, the services, feedback."""

import re
import time
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from flask import Blueprint, Response, g, request

from cds_service.callers import Callers
from cds_service.ledger.feedback import FeedbackItem
from cds_service.ledger.ledger import Ledger
from cds_service.metrics import Metrics
from cds_service.settings import Settings
from cds_service.web import body_of, json_response
from hooks.answer import answered
from hooks.call import parse_call
from hooks.discovery import discovery
from hooks.feedback import Feedback, parse_feedback
from hooks.hook import Hook
from hooks.refusals import Refusal
from hooks.registry import HOOK_OF
from hooks.service import Moment, Service
from hooks.wire import decode, encode

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MARGIN_S = 0.05  # of the deadline, kept for writing the answer
_SHARE, _MOST_S = 0.1, 0.3  # of the deadline, kept for judging: many callers of a silent server are judged at once
_DAY_S = 86_400


def cds_blueprint(
    service: Service, settings: Settings, callers: Callers, metrics: Metrics, ledger: Ledger | None
) -> Blueprint:
    """The CDS Hooks endpoints."""
    routes = Blueprint("cds", __name__)
    offered = encode(discovery(service))
    etag = f'"{blake2b(offered, digest_size=12).hexdigest()}"'
    judging_s = max(_MARGIN_S, min(_MOST_S, _SHARE * settings.deadline_s))

    @routes.get("/cds-services")
    def discover() -> Response:
        response = Response(offered, mimetype="application/json")
        response.headers["ETag"] = etag
        response.headers["Cache-Control"] = f"max-age={_DAY_S // 24}"
        response.make_conditional(request)
        return response

    @routes.post("/cds-services/<service_id>")
    def call(service_id: str) -> Response:
        started = time.monotonic()
        hook = _hook(service_id)
        g.hook, g.started, g.began = hook.name, started, datetime.now(UTC)
        caller = callers.identify(request.headers.get("Authorization"), request.path)
        found = parse_call(body_of(settings.max_body_bytes), hook)
        g.hook_instance = found.instance if _UUID.fullmatch(found.instance) else "other"
        moment = Moment(datetime.now(UTC).date(), started + settings.deadline_s - judging_s, judging_s - _MARGIN_S)
        result = answered(found, hook, service, caller, moment)
        _count(metrics, hook, result)
        g.outcomes = [said.outcome.value for said in result.said]
        g.metric = result.metric
        return json_response(result.response)

    @routes.post("/cds-services/<service_id>/feedback")
    def feedback(service_id: str) -> Response:
        deadline = time.monotonic() + settings.deadline_s - _MARGIN_S
        _hook(service_id)
        caller = callers.identify(request.headers.get("Authorization"), request.path)
        items = parse_feedback(body_of(settings.max_body_bytes))
        if ledger is None or not ledger.feedback(tuple(_kept(item, caller.name) for item in items), deadline):
            raise Refusal(503, "transient", "the feedback could not be kept; send it again")
        metrics.feedback(item.outcome for item in items)
        return Response(status=200)

    @routes.after_request
    def counted(response: Response) -> Response:
        if "hook" in g:
            seconds = time.monotonic() - g.started
            metrics.call(g.hook, response.status_code, seconds)
            service.log.info(
                "call",
                hook=g.hook,
                hook_instance=g.get("hook_instance", ""),
                status=response.status_code,
                outcomes=g.get("outcomes", []),
                duration_ms=round(seconds * 1000, 1),
                metric=_metric(response, seconds),
            )
        return response

    return routes


def _metric(response: Response, seconds: float) -> dict[str, Any]:
    """The call as CRDMetricData (CRD 2.2.1 metric-1)."""
    found = {
        "source": "payer-src",
        "hookInstance": g.get("hook_instance", ""),
        "hookType": g.hook,
        "requestTime": g.began.isoformat(timespec="milliseconds"),
        "responseTime": (g.began + timedelta(seconds=seconds)).isoformat(timespec="milliseconds"),
        "httpResponse": response.status_code,
        **g.get("metric", {}),
    }
    if response.status_code >= 400:
        found["issue"] = [{"code": issue["code"]} for issue in decode(response.data)["issue"]]
    return found


def _hook(service_id: str) -> Hook:
    hook = HOOK_OF.get(service_id)
    if hook is None:
        raise Refusal(404, "not-found", "there is no CDS service of this id; see /cds-services")
    return hook


def _count(metrics: Metrics, hook: Hook, result: Any) -> None:
    metrics.unrecorded(result.unrecorded)
    for said in result.said:
        metrics.answer(said.policy.policy, said.policy.drug, said.outcome.value)
        unread = sum(1 for finding in said.findings if finding.reason is not None and finding.reason == "not-retrieved")
        metrics.unread(hook.name, unread)


def _kept(item: Feedback, caller: str) -> FeedbackItem:
    return FeedbackItem(
        card=item.card,
        outcome=item.outcome,
        outcome_timestamp=item.at,
        accepted=item.suggestions,
        reason_code=item.reason_code,
        reason_system=item.reason_system,
        comment=item.comment,
        caller=caller,
    )
