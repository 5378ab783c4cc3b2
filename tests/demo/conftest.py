"""The demo with a stand-in for the plan's service: a canned answer that changes when a platelet count is added."""

import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, request
from werkzeug.serving import make_server

from cds_service.demo.page import demo_blueprint
from cds_service.demo.server import fhir_blueprint
from cds_service.demo.store import Store, encode_json
from cds_service.demo.stories import stories

TODAY = date(2026, 11, 24)
EXTENSION = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"
Json = dict[str, Any]


def _written(order: Json) -> Json:
    parts = [
        {"url": "coverage", "valueReference": {"reference": "Coverage/x"}},
        {"url": "covered", "valueCode": "covered"},
        {"url": "pa-needed", "valueCode": "auth-needed"},
        {"url": "date", "valueDate": "2026-11-24"},
    ]
    return {**order, "extension": [{"url": EXTENSION, "extension": parts}]}


def _cards(patient_id: str, complete: bool) -> list[Json]:
    if complete:
        return [{"uuid": "c1", "summary": "All criteria are met", "indicator": "info", "source": {"label": "Plan"}}]
    test = {
        "resourceType": "ServiceRequest",
        "id": "new",
        "status": "draft",
        "intent": "order",
        "code": {"text": "Platelet count"},
        "subject": {"reference": f"Patient/{patient_id}"},
    }
    action = {"type": "create", "description": "Platelet count", "resource": test}
    return [
        {
            "uuid": "c1",
            "summary": "A platelet count is missing",
            "detail": "**Order it**, then sign again. <img src=x>",
            "indicator": "warning",
            "source": {"label": "Plan"},
            "selectionBehavior": "any",
            "suggestions": [{"uuid": "s1", "label": "Order a platelet count", "actions": [action]}],
        }
    ]


@pytest.fixture
def store() -> Store:
    """The store behind the demo."""
    return Store()


@pytest.fixture
def calls() -> list[Json]:
    """What the stand-in was sent, calls and feedback, in order."""
    return []


@pytest.fixture
def app(store: Store, calls: list[Json]) -> Flask:
    """The demo and the stand-in in one application."""
    app = Flask(__name__)
    app.register_blueprint(fhir_blueprint(store))
    app.register_blueprint(demo_blueprint(store, lambda: stories(TODAY, "http://127.0.0.1")))

    @app.get("/cds-services")
    def discovery() -> Json:
        patient, results = "Patient/{{context.patientId}}", "Observation?patient={{context.patientId}}&_count=100"
        prefetch = {"patient": patient, "results": results, "drug": "Medication?_id={{context.unknown}}"}
        return {"services": [{"id": "order-sign-crd", "hook": "order-sign", "prefetch": prefetch}]}

    @app.post("/cds-services/order-sign-crd")
    def sign() -> Response:
        call: Json = request.get_json()
        calls.append(call)
        order = call["context"]["draftOrders"]["entry"][0]["resource"]
        patient_id = call["context"]["patientId"]
        counted = [one for one in store.all_of("Observation") if "demo-" not in one["id"]]
        answer = {
            "cards": _cards(patient_id, bool(counted)),
            "systemActions": [{"type": "update", "description": "Coverage", "resource": _written(order)}],
        }
        return Response(encode_json(answer), content_type="application/json")

    @app.post("/cds-services/order-sign-crd/feedback")
    def feedback() -> str:
        calls.append(request.get_json())
        return ""

    @app.get("/check/<name>")
    def check(name: str) -> Response:
        if name.endswith(".js"):
            return Response((Path(__file__).parent / name).read_bytes(), content_type="text/javascript")
        page = f'<!doctype html><title>check</title><body><script type="module" src="/check/{name}.js"></script>'
        return Response(page, content_type="text/html")

    return app


@pytest.fixture
def origin(app: Flask) -> Iterator[str]:
    """The demo on a loopback port."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
