"""The policy pages, and the same for machines."""

from datetime import UTC, datetime

from flask import Blueprint, Response

from cds_service.pages import policies_page, policies_twin, policy_page, policy_twin
from cds_service.web import json_response, wants_json
from hooks.refusals import Refusal
from hooks.service import Service


def pages_blueprint(service: Service) -> Blueprint:
    """`/policies` and below."""
    routes = Blueprint("policy_pages", __name__, static_folder="static", static_url_path="/pages")

    @routes.get("/policies")
    def policies() -> Response:
        today = datetime.now(UTC).date()
        if wants_json():
            return json_response(policies_twin(service.library, today))
        return Response(policies_page(service.library, today), mimetype="text/html")

    @routes.get("/policies/<policy>/<drug>")
    def one_policy(policy: str, drug: str) -> Response:
        today = datetime.now(UTC).date()
        names = (policy, drug)
        in_force = service.library.current(today)
        found = next((p for p in in_force if (p.source.policy.lower(), p.source.drug) == names), None)
        if found is None:
            raise Refusal(404, "not-found", "there is no such policy; see /policies")
        if wants_json():
            return json_response(policy_twin(found, service.library, service.vocabulary.labs))
        return Response(policy_page(found, service.library, service.vocabulary.labs), mimetype="text/html")

    return routes
