"""What operators call: health and metrics. Nothing private in either."""

from typing import Any

from flask import Blueprint, Response

from cds_service.callers import Callers
from cds_service.ledger.ledger import Ledger
from cds_service.metrics import CONTENT_TYPE, Metrics
from cds_service.web import json_response


def operations_blueprint(
    callers: Callers, metrics: Metrics, ledger: Ledger | None, interface: dict[str, Any]
) -> Blueprint:
    """Health, metrics and the interface description."""
    routes = Blueprint("operations", __name__)

    @routes.get("/health/live")
    def live() -> Response:
        return json_response({"status": "ok"})

    @routes.get("/health/ready")
    def ready() -> Response:
        parts = {"callers": callers.ready(), "ledger": ledger is not None and ledger.ready()}
        well = all(parts.values())
        return json_response({"status": "ok" if well else "not ready", "parts": parts}, 200 if well else 503)

    @routes.get("/openapi.json")
    def described() -> Response:
        return json_response(interface)

    @routes.get("/metrics")
    def counted() -> Response:
        return Response(metrics.text(), content_type=CONTENT_TYPE)

    return routes
