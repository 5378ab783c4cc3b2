"""The policy pages, and the same for machines: by `Accept`, or by `.json` at the end."""

from datetime import UTC, date, datetime

from flask import Blueprint, Response, request

from cds_service.pages import not_found_page, policies_page, policies_twin, policy_page, policy_twin
from cds_service.policy.compiled import CompiledPolicy
from cds_service.web import json_response, wants_json
from hooks.refusals import Refusal
from hooks.service import Service

_TWIN = ".json"


def pages_blueprint(service: Service) -> Blueprint:
    """`/policies` and below."""
    routes = Blueprint("policy_pages", __name__, static_folder="static", static_url_path="/pages")
    labs = service.vocabulary.labs

    @routes.get("/policies")
    @routes.get("/policies.json")
    def policies() -> Response:
        today = datetime.now(UTC).date()
        if wants_json() or request.path.endswith(_TWIN):
            return _varied(json_response(policies_twin(service.library, today)))
        return _varied(Response(policies_page(service.library, today), mimetype="text/html"))

    @routes.get("/policies/<policy>/<drug>")
    def one_policy(policy: str, drug: str) -> Response:
        today = datetime.now(UTC).date()
        found = _found(policy, drug.removesuffix(_TWIN), request.args.get("version", ""), today)
        as_json = wants_json() or drug.endswith(_TWIN)
        if found is None and not as_json and "text/html" in request.headers.get("Accept", ""):
            return _varied(Response(not_found_page(), 404, mimetype="text/html"))
        if found is None:
            raise Refusal(404, "not-found", "there is no such policy or version; see /policies")
        if as_json:
            return _varied(json_response(policy_twin(found, service.library, labs, today)))
        return _varied(Response(policy_page(found, service.library, labs, today), mimetype="text/html"))

    def _found(policy: str, drug: str, version: str, today: date) -> CompiledPolicy | None:
        """That version; the one in force where none is named."""
        policy, drug = policy.casefold(), drug.casefold()
        if version:
            try:
                return service.library.version(policy, drug, date.fromisoformat(version))
            except ValueError:
                return None
        in_force = (kept for kept in service.library.current(today) if kept.drug == drug)
        return next((service.library.ready(kept) for kept in in_force if kept.policy.casefold() == policy), None)

    return routes


def _varied(response: Response) -> Response:
    response.vary.add("Accept")
    return response
