"""An EHR in miniature: loads charts into a FHIR server, answers prefetch templates from it, signs orders.

Decimals keep their digits on every way through here.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec
import requests
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

HOOK = "/cds-services/order-sign-crd"
PUBLIC_URL = "http://cds.example"  # of the service under test; the charts hold answers to its form
FHIR_JSON = "application/fhir+json"
MADE_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME_OF_DAY = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?")
TOKEN_IN_TEMPLATE = re.compile(r"\{\{(.*?)\}\}")

_to_json = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True)
class Server:
    """A FHIR server as this EHR reaches it: its base URL, and the bearer token that it asks for, if any."""

    base: str
    token: str | None = None

    def get(self, session: requests.Session, query: str) -> requests.Response:
        headers = {"Accept": FHIR_JSON}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        return session.get(f"{self.base}/{query}", headers=headers, timeout=60)


def load(base: str, resources: Iterable[Mapping[str, Any]]) -> None:
    """Puts the resources, under their own ids, into the server; raises when it refuses one."""
    with requests.Session() as session:
        for resource in resources:
            url = f"{base}/{resource['resourceType']}/{resource['id']}"
            response = session.put(url, data=_to_json(resource), headers={"Content-Type": FHIR_JSON}, timeout=60)
            if response.status_code not in (200, 201):
                raise AssertionError(f"PUT {url} got {response.status_code}: {response.text[:500]}")


def context_of(order: Mapping[str, Any]) -> dict[str, Any]:
    """The context of an order-sign call for one draft order."""
    requester = order.get("requester", {}).get("reference", "")
    return {
        "userId": requester if requester.startswith("Practitioner") else "Practitioner/nobody",
        "patientId": order["subject"]["reference"].removeprefix("Patient/"),
        "draftOrders": {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": order}]},
    }


def filled_in(template: str, context: Mapping[str, Any]) -> str | None:
    """The query that a prefetch template stands for, or None where the context lacks what it names."""
    kind, _, user = str(context["userId"]).partition("/")
    known = {f"context.{name}": value for name, value in context.items() if isinstance(value, str)}
    known[f"user{kind}Id"] = user
    names = [name.strip() for name in TOKEN_IN_TEMPLATE.findall(template)]
    if not all(name in known for name in names):
        return None
    return TOKEN_IN_TEMPLATE.sub(lambda token: known[token[1].strip()], template)


def templates(service: FlaskClient) -> dict[str, str]:
    """The prefetch templates that the service advertises for order-sign, by key."""
    found = [s for s in service.get("/cds-services").get_json()["services"] if s["id"] == HOOK.rpartition("/")[2]]
    return dict(found[0]["prefetch"])


def prefetched(server: Server, wanted: Mapping[str, str], context: Mapping[str, Any]) -> dict[str, msgspec.Raw]:
    """The server's own answer to each template, byte for byte; a key is left out where it gave none."""
    answers = {}
    with requests.Session() as session:
        for key, template in wanted.items():
            query = filled_in(template, context)
            response = None if query is None else server.get(session, query)
            if response is not None and response.status_code == 200:
                answers[key] = msgspec.Raw(response.content)
    return answers


def sign(
    service: FlaskClient, server: Server, order: Mapping[str, Any], prefetch: Mapping[str, msgspec.Raw]
) -> TestResponse:
    """The service's answer to the signing of one order, with this prefetch, from this server."""
    call: dict[str, Any] = {
        "hook": "order-sign",
        "hookInstance": str(uuid.uuid4()),
        "fhirServer": server.base,
        "context": context_of(order),
    }
    if prefetch:
        call["prefetch"] = prefetch
    if server.token is not None:
        call["fhirAuthorization"] = {
            "access_token": server.token,
            "token_type": "Bearer",
            "expires_in": 60,
            "scope": "patient/*.rs user/*.rs",
            "subject": "drug-coverage-cds",
        }
    return service.post(HOOK, data=_to_json(call), content_type="application/json")


def words(response: TestResponse, base: str, story_text: str) -> Any:
    """The answer without what differs between any two calls: ids made for it, the time of day, the server's address.

    An id or a time that the story itself holds stays: that one must be the same each time.
    """
    assert response.status_code == 200, response.get_data(as_text=True)
    text = response.get_data(as_text=True)
    for made, name in [
        *((made, "assertion") for made in assertion_ids(json.loads(text))),
        (base, "server"),
        (quote(base, ""), "server"),
    ]:
        text = text.replace(made, f"<{name}>")
    for pattern in (MADE_ID, TIME_OF_DAY):
        text = pattern.sub(lambda found: found[0] if found[0] in story_text else "<made>", text)
    return json.loads(text, parse_float=lambda digits: f"number {digits}")  # 0.80 is not 0.8


def assertion_ids(said: Any) -> Iterator[str]:
    """Each id that the answer gives its determinations, on cards and in coverage-information."""
    if isinstance(said, dict):
        if "assertionId" in said:
            yield said["assertionId"]
        if said.get("url") == "coverage-assertion-id":
            yield said["valueString"]
    for inner in said.values() if isinstance(said, dict) else said if isinstance(said, list) else ():
        yield from assertion_ids(inner)
