"""One patient's order from its choice to its infusion, told to a client of each dialect.

Each client is registered and signs its calls, gives a FHIR token and sends no prefetch; the chart is read from the
demo's store. Between the hooks the EHR does what the cards ask for.
"""

import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from copy import deepcopy
from pathlib import Path
from typing import Any

import jwt
import pytest
from crd_rules import broken_rules
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from flask.testing import FlaskClient
from jwt.algorithms import ECAlgorithm
from signing import BASE, BY_ID, EXTENSION, NAME, PUBLIC, TODAY, FhirServer, Json, context_of, parts_of

from cds_service.app import create_app, open_ledger
from cds_service.demo.store import Store
from cds_service.settings import Settings
from hooks.wire import decode, encode

Serving = Callable[[Store], AbstractContextManager[FhirServer]]
DIALECTS = ("2.2", "2.0.1", "plain")
STORY = BY_ID["demo-labs-missing"]
DONE = BY_ID["demo-hemgenix-met"]  # a chart in which the tests have been done
ORDER = f"MedicationRequest/{STORY.order['id']}"
USER = "Practitioner/demo-hazel"
ALTERNATE = "http://hl7.org/fhir/StructureDefinition/alternate-reference"
KEY = generate_private_key(SECP384R1())


def issuer(dialect: str) -> str:
    """The client that is registered with that dialect."""
    return f"https://ehr-{dialect.replace('.', '-')}.example"


@pytest.fixture
def own(settings: Settings, tmp_path: Path) -> Settings:
    """A service that asks for tokens, knows a client of each dialect, and issues numbers."""
    key = {**ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "one"}
    key.pop("key_ops", None)
    clients = [
        {"iss": issuer(one), "jwks": {"keys": [key]}, "fhir_servers": [BASE], "dialect": one} for one in DIALECTS
    ]
    file = tmp_path / "clients.json"
    file.write_text(json.dumps(clients))
    given = {"auth": "required", "trusted_clients": file, "data_dir": tmp_path / "data", "authorization": "issue"}
    (tmp_path / "data").mkdir()
    return settings.model_copy(update=given)


class Session:
    """A client's side: its calls, its orders, and what it does with the answers."""

    def __init__(self, client: FlaskClient, dialect: str, chart: Store) -> None:
        self.client, self.dialect, self.chart = client, dialect, chart
        self.order: Json = deepcopy(STORY.order)
        self.answers: list[Json] = []
        self.shown: list[str] = []  # what a user has read, for a reader of this test

    def post(self, path: str, body: Json) -> Any:
        """The response to a signed call."""
        now = int(time.time())
        claims = {"iss": issuer(self.dialect), "aud": PUBLIC + path, "iat": now, "exp": now + 300}
        token = jwt.encode({**claims, "jti": str(uuid.uuid4())}, KEY, algorithm="ES384", headers={"kid": "one"})
        headers = {"Authorization": f"Bearer {token}"}
        return self.client.post(path, data=encode(body), content_type="application/json", headers=headers)

    def call(self, hook: str, context: Json, **members: Any) -> Json:
        """The answer of a hook, which keeps the rules of the dialect; updates are applied to the client's order."""
        authorization = {"access_token": "for-this-call", "token_type": "Bearer", "expires_in": 30}
        body = {
            "hook": hook,
            "hookInstance": str(uuid.uuid4()),
            "fhirServer": BASE,
            "fhirAuthorization": {**authorization, "scope": "patient/*.rs", "subject": "cds"},
            "context": {"patientId": STORY.id, **context},
            **members,
        }
        response = self.post(f"/cds-services/{hook}-crd", body)
        assert response.status_code == 200, response.get_data(as_text=True)
        found: Json = decode(response.data)
        self.answers.append(found)
        self._show(hook, found)
        for action in found["systemActions"]:
            resource = action["resource"]
            for extension in resource["extension"]:
                if extension["url"] == EXTENSION:
                    assert broken_rules(extension, "2.0.1" if self.dialect == "2.0.1" else "2.2") == []
            assert {**resource, "extension": None} == {**self.order, "extension": None}
            self.order = resource
        return found

    def _show(self, hook: str, found: Json) -> None:
        self.shown.append(f"===== {hook}, {self.dialect}")
        for card in found["cards"]:
            self.shown.append(f"[{card['indicator']}] {card['summary']}\n{card['detail']}")
            self.shown += [f"  ( {suggestion['label']} )" for suggestion in card.get("suggestions", ())]
            self.shown += [f"  -> {link['label']}: {link['url']}" for link in card.get("links", ())]
        self.shown += [f"on the order: {action['description']}" for action in found["systemActions"]]

    @property
    def said(self) -> Json:
        """What stands on the client's order."""
        (found,) = [parts_of(one) for one in self.order["extension"] if one["url"] == EXTENSION]
        return found

    def put(self, *resources: Json) -> None:
        """Into the chart."""
        for resource in resources:
            self.chart.put(json.loads(encode(resource)))


def kinds(found: Json) -> list[str]:
    """The topics of the cards."""
    return [card["source"]["topic"]["code"] for card in found["cards"]]


def outcome(found: Json) -> str:
    """Of the one determination."""
    (told,) = [card["extension"][NAME]["outcome"] for card in found["cards"] if NAME in card["extension"]]
    return str(told)


def results() -> Iterator[Json]:
    """The missing tests, done."""
    wanted = ("hbsag", "anti-hbc", "anti-hcv", "hiv", "platelets", "liver")
    for resource in DONE.resources:
        if resource["resourceType"] == "Observation" and resource["id"].removeprefix(f"{DONE.id}-") in wanted:
            yield json.loads(encode(resource).replace(DONE.id.encode(), STORY.id.encode()))


@pytest.fixture
def held(own: Settings, client: FlaskClient, serving: Serving, request: pytest.FixtureRequest) -> Iterator[Session]:
    """The session of the dialect that a test is about."""
    chart = Store()
    chart.reset(deepcopy(STORY.resources))
    with serving(chart):
        session = Session(create_app(own).test_client(), request.param, chart)
        yield session
    if os.environ.get("CDS_TEST_SHOW"):
        print("\n\n".join(session.shown))


@pytest.mark.parametrize("held", DIALECTS, indirect=True)
def test_a_session_with_a_client_of_each_dialect(held: Session, own: Settings) -> None:
    """Chosen, signed, tests ordered and done, signed again, dispatched, booked, seen, given."""
    offered = held.client.get("/cds-services").get_json()["services"]
    assert len(offered) == 6

    drafts = {**context_of(held.order, patient_id=STORY.id), "encounterId": f"{STORY.id}-visit"}
    found = held.call("order-select", {**drafts, "selections": [ORDER]})
    assert (outcome(found), kinds(found)) == ("documentation-missing", ["guideline", "clinical-reminder"])
    assert "doc-needed" not in held.said
    first = held.said["coverage-assertion-id"]

    signing = context_of(held.order, patient_id=STORY.id)
    found = held.call("order-sign", signing)
    assert kinds(found) == ["guideline", "clinical-reminder", "claim"]
    assert (held.said["doc-needed"], held.said["coverage-assertion-id"]) == (["clinical"], first)
    assert held.call("order-sign", context_of(held.order, patient_id=STORY.id))["systemActions"] == []

    _, reminder, form = found["cards"]
    accepted = [suggestion["uuid"] for suggestion in reminder["suggestions"]]
    held.put(*(action["resource"] for one in reminder["suggestions"] for action in one["actions"]))
    now = f"{TODAY.isoformat()}T12:00:00Z"
    override = {"reason": {"system": "urn:drug-coverage:override-reason", "code": "done-elsewhere"}}
    feedback = [
        {
            "card": reminder["uuid"],
            "outcome": "accepted",
            "acceptedSuggestions": [{"id": one} for one in accepted],
            "outcomeTimestamp": now,
        },
        {"card": form["uuid"], "outcome": "overridden", "overrideReason": override, "outcomeTimestamp": now},
    ]
    for _ in range(2):  # sent again, it is the same
        assert held.post("/cds-services/order-sign-crd/feedback", {"feedback": feedback}).status_code == 200

    for order in held.chart.all_of("ServiceRequest"):
        held.put({**order, "status": "active"})
    found = held.call("order-sign", context_of(held.order, patient_id=STORY.id))
    assert kinds(found) == ["guideline", "claim"]  # what is ordered is not offered again
    for order in held.chart.all_of("ServiceRequest"):
        held.put({**order, "status": "completed"})
    held.put(*results())
    found = held.call("order-sign", context_of(held.order, patient_id=STORY.id))
    assert (outcome(found), kinds(found)) == ("criteria-met", ["guideline"])
    assert (held.said["covered"], held.said["pa-needed"]) == (["covered"], ["satisfied"])
    (number,) = held.said["satisfied-pa-id"]
    assert number in found["cards"][0]["detail"]

    held.order = {**held.order, "status": "active"}
    held.put(held.order)
    dispatched = {"order": ORDER} if held.dialect == "2.0.1" else {"dispatchedOrders": [ORDER]}
    found = held.call("order-dispatch", {**dispatched, "performer": "Organization/demo-center"})
    assert (outcome(found), found["systemActions"]) == ("criteria-met", [])
    assert number in found["cards"][0]["detail"]

    visit = {
        "resourceType": "Appointment",
        "id": "infusion",
        "status": "proposed",
        "basedOn": [{"extension": [{"url": ALTERNATE, "valueReference": {"reference": ORDER}}]}],
        "participant": [{"actor": {"reference": f"Patient/{STORY.id}"}, "status": "accepted"}],
    }
    booked = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": visit}]}
    found = held.call("appointment-book", {"userId": USER, "appointments": booked})
    assert (outcome(found), found["systemActions"]) == ("criteria-met", [])

    seen = {"userId": USER, "encounterId": f"{STORY.id}-visit"}
    found = held.call("encounter-start", seen)
    assert (outcome(found), found["systemActions"]) == ("criteria-met", [])
    assert "carries its authorization number. No request is needed." in found["cards"][0]["detail"]
    assert "Attach to the request" not in found["cards"][0]["detail"]
    held.put(
        {
            "resourceType": "MedicationAdministration",
            "id": "given",
            "status": "completed",
            "medicationCodeableConcept": held.order["medicationCodeableConcept"],
            "subject": held.order["subject"],
            "effectiveDateTime": TODAY.isoformat(),
            "request": {"reference": ORDER},
        }
    )
    assert held.call("encounter-discharge", seen) == {"cards": [], "systemActions": []}

    operator = open_ledger(own, logging.getLogger()).access("ada")
    table = [(row.kind, row.outcome, row.reason_code, row.count) for row in operator.feedback_table()]
    assert table == [("claim", "overridden", "done-elsewhere", 1), ("clinical-reminder", "accepted", "", 1)]
    assert {row["dialect"] for row in map(json.loads, operator.export())} == {held.dialect}
