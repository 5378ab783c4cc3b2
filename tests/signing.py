"""An EHR in miniature for the tests: sample charts, the calls that sign their orders, and a FHIR server to read."""

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from datetime import date
from typing import Any
from urllib.parse import urlsplit

import requests
import responses
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cds_service.demo import server
from cds_service.demo.store import Store, encode_json
from cds_service.demo.stories import Story, stories
from fhir_mappings.needs import EVERYTHING
from fhir_mappings.prefetch import ROW_OF
from hooks.wire import decode, encode

Json = dict[str, Any]

TODAY = date(2026, 11, 24)
PUBLIC = "https://plan.example"
BODY = 16 * 1024 * 1024  # the largest body that is read, as by default
BASE = "https://ehr.example/fhir"
HOOK = "/cds-services/order-sign-crd"
EXTENSION = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"
STORIES = stories(TODAY, PUBLIC)
BY_ID = {story.id: story for story in STORIES}
GOVERNED = [story for story in STORIES if story.expected_outcome is not None]
_TOKEN = re.compile(r"\{\{(.*?)\}\}")


def story_named(story_id: str) -> Story:
    """A story whose resources may be changed."""
    return deepcopy(BY_ID[story_id])


def order_of(story_id: str, **members: Any) -> Json:
    """The story's draft order with these members; None takes one away."""
    order = {**deepcopy(BY_ID[story_id].order), **members}
    return {name: value for name, value in order.items() if value is not None}


def chart(story: Story, *kinds: str) -> list[Json]:
    """The story's resources of those types."""
    return [resource for resource in story.resources if resource["resourceType"] in kinds]


def context_of(*orders: Json, patient_id: str = "") -> Json:
    """The context of an order-sign call."""
    patient = patient_id or orders[0]["subject"]["reference"].removeprefix("Patient/")
    return {
        "userId": "Practitioner/demo-hazel",
        "patientId": patient,
        "encounterId": f"{patient}-visit",
        "draftOrders": {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": o} for o in orders]},
    }


def prefetched(store: Store, templates: Mapping[str, str], context: Json) -> Json:
    """What this store answers to each template; a key is left out where it answered with an error."""
    known = {f"context.{name}": value for name, value in context.items() if isinstance(value, str)}
    known["userPractitionerId"] = context["userId"].partition("/")[2]
    found = {}
    for key, template in templates.items():
        path, _, query = _TOKEN.sub(lambda token: known[token[1]], template).partition("?")
        reply = server.answer(store, server.Call("GET", path, query, BASE))
        if reply.status == 200:
            found[key] = deepcopy(reply.resource)
    return found


def whole_record(resources: Iterable[Json], left_out: Iterable[str] = ()) -> Json:
    """Every type's resources under its own key, an empty Bundle where there is none."""
    by_type: dict[str, list[Json]] = {kind: [] for kind in EVERYTHING if kind not in set(left_out)}
    for resource in resources:
        if resource["resourceType"] in by_type:
            by_type[resource["resourceType"]].append(deepcopy(resource))
    return {ROW_OF[kind].key: bundle(*found) for kind, found in by_type.items()}


def bundle(*resources: Any) -> Json:
    """A searchset of these resources."""
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in resources]}


def call_of(context: Json, prefetch: Json | None = None, **members: Any) -> Json:
    """An order-sign call."""
    call: Json = {"hook": "order-sign", "hookInstance": str(uuid.uuid4()), "context": context, **members}
    return call if prefetch is None else {**call, "prefetch": prefetch}


class FhirServer:
    """Answers for BASE from a store, but for the paths that `instead` names: a response, an error, or a function."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.instead: dict[str, Any] = {}  # resource type or Type/id → what comes instead
        self.asked: list[str] = []

    def answer(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        """The response to one GET."""
        parts = urlsplit(str(request.url))
        path = parts.path.removeprefix(urlsplit(BASE).path).strip("/")
        self.asked.append(path + ("?" + parts.query if parts.query else ""))
        instead = self.instead.get(path, self.instead.get(path.partition("/")[0]))
        if callable(instead):
            instead = instead(request)
        if isinstance(instead, Exception):
            raise instead
        if instead is not None:
            return instead
        reply = server.answer(self.store, server.Call("GET", path, parts.query, BASE))
        return reply.status, {"Content-Type": server.FHIR_JSON}, encode_json(reply.resource)

    def serve(self) -> Iterator["FhirServer"]:
        """Stands in for the network until it is let go."""
        with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
            mock.add_callback(responses.GET, re.compile(re.escape(BASE) + ".*"), self.answer)
            yield self


def fhir(resource: Json) -> tuple[int, dict[str, str], bytes]:
    """A response of status 200 with this resource."""
    return 200, {"Content-Type": server.FHIR_JSON}, encode_json(resource)


class Ehr:
    """Signs orders at the service; `store` holds one chart, with no prefetch, half of it, or all of it sent along."""

    def __init__(self, client: FlaskClient, templates: Mapping[str, str]) -> None:
        self._client = client
        self.templates = templates

    def store(self, story: Story, *more: Json) -> Store:
        """A store with that chart."""
        found = Store()
        found.reset([*story.resources, *more], [(kind, story.id) for kind in story.failing])
        return found

    def prefetch(self, story: Story, sent: str = "whole", *more: Json, context: Json | None = None) -> Json | None:
        """The prefetch of a call that signs the story's order.

        `whole`: every resource of the chart under the key of its type. `advertised`: what the service's templates ask
        for; `half` and `other half` of those; `none`.
        """
        if sent == "none":
            return None
        if sent == "whole":
            return whole_record([*story.resources, *more], story.failing)
        wanted = list(self.templates.items())
        parts = {"advertised": wanted, "half": wanted[::2], "other half": wanted[1::2]}[sent]
        return prefetched(self.store(story, *more), dict(parts), context or context_of(story.order))

    def call(self, story: Story, *orders: Json, sent: str = "whole", **members: Any) -> Json:
        """The call that signs these orders, or the story's own, with the story's chart."""
        context = context_of(*deepcopy(orders or (story.order,)), patient_id=story.id)
        return call_of(context, self.prefetch(story, sent, context=context), **members)

    def post(self, body: Json | bytes, content_type: str = "application/json", **kwargs: Any) -> TestResponse:
        """The raw response to a call."""
        sent = body if isinstance(body, bytes) else encode(body)
        return self._client.post(HOOK, data=sent, content_type=content_type, **kwargs)

    def answer(self, call: Json | bytes) -> Json:
        """The answer to a call, which must be one."""
        response = self.post(call)
        assert response.status_code == 200, response.get_data(as_text=True)
        assert response.content_type == "application/json"
        found: Json = decode(response.data)
        return found

    def sign(self, story: Story | str, *orders: Json, sent: str = "whole", **members: Any) -> Json:
        """The answer to signing the story's order, or these orders, with the story's chart."""
        told = BY_ID[story] if isinstance(story, str) else story
        return self.answer(self.call(told, *orders, sent=sent, **members))


def determinations(answer: Json) -> list[Json]:
    """The determination of each guidance card."""
    cards = (card.get("extension", {}) for card in answer["cards"])
    return [extension[NAME] for extension in cards if NAME in extension]


NAME = "drug-coverage.determination"


def guidance(answer: Json) -> Json:
    """The one guidance card."""
    (card,) = [card for card in answer["cards"] if NAME in card["extension"]]
    return dict(card)


def outcomes(answer: Json) -> list[str]:
    """The outcome on each guidance card."""
    return [found["outcome"] for found in determinations(answer)]


def criterion(answer: Json, criterion_id: str) -> Json:
    """One criterion of the one determination."""
    (found,) = determinations(answer)
    return next(dict(one) for one in found["criteria"] if one["id"] == criterion_id)


def updated(answer: Json) -> list[Json]:
    """The orders as the update actions have them."""
    return [action["resource"] for action in answer["systemActions"]]


def stated(resource: Json) -> list[Json]:
    """Each coverage-information of an order: its parts by name, in lists."""
    return [parts_of(found) for found in resource.get("extension", []) if found["url"] == EXTENSION]


def parts_of(extension: Json) -> Json:
    """The values of a complex extension by the name of the part, in lists; a nested one is such a mapping itself."""
    found: Json = {}
    for part in extension["extension"]:
        value = parts_of(part) if "extension" in part else _value(part)
        found.setdefault(part["url"], []).append(value)
    return found


def _value(part: Json) -> Any:
    (value,) = [value for name, value in part.items() if name.startswith("value")]
    return value


def said_of(answer: Json) -> Json:
    """The one coverage-information of the one updated order."""
    (resource,) = updated(answer)
    (found,) = stated(resource)
    return found


def without(resources: Iterable[Json], *kinds: str) -> tuple[Json, ...]:
    """The resources of all other types."""
    return tuple(resource for resource in resources if resource["resourceType"] not in kinds)
