"""The order-entry page: its HTML, its static files, and the two small answers that it needs beside FHIR."""

import threading
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, render_template

from cds_service.demo.catalog import TESTS, WORDS
from cds_service.demo.directory import PRESCRIBER
from cds_service.demo.outcomes import Resource
from cds_service.demo.store import Store, encode_json
from cds_service.demo.stories import Story, load
from cds_service.page_headers import WITH_SCRIPT


def demo_blueprint(store: Store, stories_factory: Callable[[], tuple[Story, ...]]) -> Blueprint:
    """The blueprint of the page under /demo. It loads the stories into the store now, and again at each reset."""
    blueprint = Blueprint(
        "demo",
        __name__,
        url_prefix="/demo",
        template_folder="templates",
        static_folder="static",
        static_url_path="/static",
    )
    lock = threading.Lock()
    told = stories_factory()
    load(store, told)

    @blueprint.get("")
    @blueprint.get("/")
    def page() -> str:
        return render_template("demo.html")

    @blueprint.get("/api/patients")
    def patients() -> Response:
        return _json(_described(told))

    @blueprint.post("/api/reset")
    def reset() -> Response:
        nonlocal told
        with lock:
            told = stories_factory()
            load(store, told)
        return _json(_described(told))

    @blueprint.after_request
    def guarded(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = WITH_SCRIPT
        response.headers["Cache-Control"] = "no-cache"
        return response

    return blueprint


def _json(value: Any) -> Response:
    return Response(encode_json(value), content_type="application/json; charset=utf-8")


def _described(told: tuple[Story, ...]) -> dict[str, Any]:
    return {"patients": [_patient(story) for story in told], "tests": _tests()}


def _patient(story: Story) -> dict[str, Any]:
    person: Resource = next(one for one in story.resources if one["resourceType"] == "Patient")
    return {
        "id": story.id,
        "name": person["name"][0]["text"],
        "title": story.title,
        "text": story.text,
        "encounterId": f"{story.id}-visit",
        "userId": PRESCRIBER["reference"],
        "order": story.order,
    }


def _tests() -> list[dict[str, Any]]:
    """The tests that a result can be added of, as the page's form needs them."""
    described = []
    for name, test in TESTS.items():
        system, code, display = test.coding
        one: dict[str, Any] = {
            "name": name,
            "text": test.text,
            "category": test.category,
            "coding": {"system": system, "code": code, "display": display},
        }
        if test.unit:
            one["units"] = [{"printed": printed, "code": ucum} for printed, ucum in (test.unit, *test.other_units)]
        else:
            one["words"] = [
                {"text": word, "code": WORDS[word][0], "interpretation": WORDS[word][1]} for word in test.words or ()
            ]
        described.append(one)
    return described
