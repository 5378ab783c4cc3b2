"""Calls of the other hooks than order-sign, for the tests."""

import uuid
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from flask.testing import FlaskClient
from signing import Ehr, Json, bundle
from werkzeug.test import TestResponse

from cds_service.demo.stories import Story
from hooks.wire import decode, encode

NOTHING: Json = {"cards": [], "systemActions": []}
USER = "Practitioner/demo-hazel"


def hook_call(hook: str, context: Json, prefetch: Json | None = None, **members: Any) -> Json:
    """A call of that hook."""
    call: Json = {"hook": hook, "hookInstance": str(uuid.uuid4()), "context": context, **members}
    return call if prefetch is None else {**call, "prefetch": prefetch}


def post(client: FlaskClient, call: Json) -> TestResponse:
    """The raw response of the service of the call's hook."""
    path = f"/cds-services/{call['hook']}-crd"
    return client.post(path, data=encode(call), content_type="application/json")


def answer(client: FlaskClient, call: Json) -> Json:
    """The answer, which must be one."""
    response = post(client, call)
    assert response.status_code == 200, response.get_data(as_text=True)
    found: Json = decode(response.data)
    return found


def refused(client: FlaskClient, call: Json, status: int) -> str:
    """What the OperationOutcome of a refused call says."""
    response = post(client, call)
    assert response.status_code == status, response.get_data(as_text=True)
    assert response.content_type == "application/fhir+json"
    (issue,) = decode(response.data)["issue"]
    return str(issue["diagnostics"])


def select_context(story: Story, orders: Iterable[Json], selections: Iterable[str]) -> Json:
    """The context of an order-select call."""
    drafts = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": order} for order in orders]}
    return {"userId": USER, "patientId": story.id, "draftOrders": deepcopy(drafts), "selections": list(selections)}


def visit_context(story: Story) -> Json:
    """The context of an encounter hook."""
    return {"userId": USER, "patientId": story.id, "encounterId": f"{story.id}-visit"}


def book_context(story: Story, *appointments: Json) -> Json:
    """The context of an appointment-book call."""
    entries = [{"resource": appointment} for appointment in appointments]
    booked = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    return {"userId": USER, "patientId": story.id, "appointments": booked}


def with_orders(ehr: Ehr, story: Story, *orders: Json) -> Json:
    """The whole record as prefetch, with these orders among the medication or service requests."""
    return ehr.prefetch(story, "whole", *orders) or {}


def under_key(key: str, *resources: Json) -> Json:
    """A prefetch of these resources under a key of the client's own."""
    return {key: bundle(*resources)}
