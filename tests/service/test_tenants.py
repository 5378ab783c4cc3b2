"""Two registered clients with patients and orders of the same names: nothing of one reaches the other."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from cryptography.fernet import Fernet
from flask import Flask
from issuing import elliptic, key_set, signed
from signing import (
    BY_ID,
    HOOK,
    PUBLIC,
    FhirServer,
    Json,
    call_of,
    context_of,
    determinations,
    outcomes,
    said_of,
    whole_record,
)

from cds_service.app import create_app
from cds_service.demo.store import Store
from cds_service.ledger.ledger import Ledger
from cds_service.settings import read_settings
from hooks.wire import decode, encode

MET, LOW = BY_ID["demo-hemgenix-met"], BY_ID["demo-platelets-low"]
PATIENT = MET.id  # of that name at both


class Tenant:
    """A registered client with its FHIR server and its one patient."""

    def __init__(self, name: str, story: Any, mark: str) -> None:
        self.name, self.mark = name, mark
        self.iss, self.base = f"https://{name}.example", f"https://fhir.{name}.example/fhir"
        self.token = f"token-{mark}"
        text = encode([*story.resources, story.order]).decode().replace(story.id, PATIENT)
        disease = "Hereditary factor IX deficiency disease"
        *self.chart, self.order = decode(text.replace(disease, f"{disease} {mark}").encode())
        store = Store()
        store.reset([*self.chart], [])
        self.server = FhirServer(store)
        self.headers: list[dict[str, str]] = []

    def answer(self, request: requests.PreparedRequest) -> Any:
        self.headers.append(dict(request.headers))
        there = str(request.url).replace(self.base, "https://ehr.example/fhir")
        return self.server.answer(requests.Request("GET", there).prepare())

    def registration(self) -> Json:
        return {"iss": self.iss, "jwks": key_set(ec=elliptic(self.name)), "fhir_servers": [self.base]}

    def call(self, sent: bool = False, **members: Any) -> Json:
        authorization = {"access_token": self.token, "token_type": "Bearer", "expires_in": 300}
        prefetch = whole_record(self.chart) if sent else None
        named = {"fhirServer": self.base, "fhirAuthorization": authorization, **members}
        return call_of(context_of(deepcopy(self.order)), prefetch, **named)


class Pair:
    """Both clients, and the service that they call."""

    def __init__(self, folder: Path, stream: StringIO, two: Any) -> None:
        self.logged, self.keys = stream, Fernet.generate_key().decode()
        self.one, self.two = Tenant("one", MET, "onesmark"), Tenant("two", two, "twosmark")
        (folder / "clients.json").write_text(json.dumps([self.one.registration(), self.two.registration()]))
        self.folder = folder / "data"
        settings = read_settings(
            {},
            public_url=PUBLIC,
            trusted_clients=folder / "clients.json",
            data_dir=self.folder,
            ledger_keys=self.keys,
            authorization="issue",
        )
        self.app: Flask = create_app(settings)

    @contextmanager
    def network(self) -> Iterator[None]:
        with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
            for tenant in (self.one, self.two):
                mock.add_callback(responses.GET, re.compile(re.escape(tenant.base) + ".*"), tenant.answer)
            yield

    def post(self, tenant: Tenant, body: Json, path: str = HOOK) -> Any:
        now = int(time.time())
        jti = str(time.monotonic_ns())
        token = signed(elliptic(tenant.name), iss=tenant.iss, aud=PUBLIC + path, iat=now, exp=now + 60, jti=jti)
        kind = "application/json" if path == HOOK else "application/fhir+json"
        sent = {"data": encode(body), "content_type": kind, "headers": {"Authorization": token}}
        with self.network():
            return self.app.test_client().post(path, **sent)

    def sign(self, tenant: Tenant, **members: Any) -> Json:
        response = self.post(tenant, tenant.call(**members))
        assert response.status_code == 200, response.get_data(as_text=True)
        return dict(response.get_json())


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_noon: None) -> Pair:
    stream = StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    return Pair(tmp_path, stream, LOW)


@pytest.fixture
def twins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_noon: None) -> Pair:
    """Two clients whose patients meet every criterion."""
    monkeypatch.setattr("sys.stderr", StringIO())
    return Pair(tmp_path, StringIO(), MET)


def test_each_is_answered_from_its_own_chart(pair: Pair) -> None:
    """Patient, order and every resource have the same ids at both; the answers differ as the charts do."""
    for _ in range(2):
        ones, twos = pair.sign(pair.one), pair.sign(pair.two)
        assert outcomes(ones) == ["criteria-met"]
        assert outcomes(twos) == [LOW.expected_outcome]
        assert pair.two.mark not in json.dumps(ones)
        assert pair.one.mark not in json.dumps(twos)


def test_a_token_goes_to_its_own_server_alone(pair: Pair) -> None:
    """And every request to a server has the token that came for it."""
    pair.sign(pair.one)
    pair.sign(pair.two)
    for tenant in (pair.one, pair.two):
        assert {headers["Authorization"] for headers in tenant.headers} == {f"Bearer {tenant.token}"}


def test_another_s_server_is_not_read(pair: Pair) -> None:
    """Named in a call with whatever token: no request goes there, and nothing of the other's chart is in the answer."""
    answer = pair.post(pair.two, pair.two.call(sent=True, fhirServer=pair.one.base))
    assert pair.one.headers == []
    assert pair.one.mark not in answer.get_data(as_text=True)
    assert pair.one.mark not in pair.post(pair.two, pair.two.call(fhirServer=pair.one.base)).get_data(as_text=True)
    assert pair.one.headers == []


def test_a_key_of_one_does_not_speak_for_the_other(pair: Pair) -> None:
    """Nor does a token for the one URL at another."""
    now = int(time.time())
    forged = signed(elliptic("two"), iss=pair.one.iss, aud=PUBLIC + HOOK, iat=now, exp=now + 60, jti="forged")
    body = encode(pair.two.call(sent=True))
    answer = pair.app.test_client().post(
        HOOK, data=body, content_type="application/json", headers={"Authorization": forged}
    )
    assert answer.status_code == 401


def number(answer: Json) -> str:
    return str(said_of(answer)["satisfied-pa-id"][0])


def test_two_orders_of_the_same_name_have_two_numbers(twins: Pair) -> None:
    """Same member, drug, order id and coverage id, each at its own EHR; asked again, each gets its own."""
    ones, twos = number(twins.sign(twins.one)), number(twins.sign(twins.two))
    assert ones != twos
    assert (number(twins.sign(twins.one)), number(twins.sign(twins.two))) == (ones, twos)


def test_another_s_number_is_not_told_to_who_names_its_server(twins: Pair) -> None:
    """A client that makes up the other's member, order and server is not told what was issued there."""
    issued = number(twins.sign(twins.one))
    answer = twins.post(twins.two, twins.two.call(sent=True, fhirServer=twins.one.base))
    assert issued not in answer.get_data(as_text=True)
    answer = twins.post(twins.two, twins.two.call(sent=True, fhirServer=None) | {"fhirAuthorization": None})
    assert issued not in answer.get_data(as_text=True)


def test_calls_without_a_server_are_kept_apart_by_client(twins: Pair) -> None:
    """Where only the chart was sent, the order is that of the client."""
    bare = [
        {name: value for name, value in tenant.call(sent=True).items() if not name.startswith("fhir")}
        for tenant in (twins.one, twins.two)
    ]
    first, second = (
        twins.post(tenant, body).get_json() for tenant, body in zip((twins.one, twins.two), bare, strict=True)
    )
    assert number(first) != number(second)


def test_the_same_order_has_one_number_however_its_server_is_spelled(twins: Pair) -> None:
    """A slash, capitals, the default port."""
    spelled = [twins.one.base, twins.one.base + "/", twins.one.base.replace("https://fhir", "HTTPS://FHIR")]
    spelled.append(twins.one.base.replace(".example/", ".example:443/"))
    assert len({number(twins.sign(twins.one, sent=True, fhirServer=base)) for base in spelled}) == 1


def test_a_form_that_was_kept_for_one_is_not_the_other_s(pair: Pair) -> None:
    """Kept forms are those of a patient at an EHR: neither the same id elsewhere, nor a call that names that EHR."""
    form = {
        "resourceType": "QuestionnaireResponse",
        "id": "kept",
        "status": "completed",
        "questionnaire": f"{PUBLIC}/fhir/Questionnaire/pharmacy-109-hemgenix|2025-11-20",
        "subject": {"reference": f"Patient/{PATIENT}"},
        "authored": "2026-11-23T00:00:00Z",
        "item": [{"linkId": "q.convenience", "answer": [{"valueBoolean": True}]}],
    }
    ledger = Ledger(f"sqlite:///{pair.folder / 'ledger.db'}", service_version="0.0", seal_keys=pair.keys)
    assert ledger.start(5.0)
    assert ledger.forms.keep(pair.one.base, PATIENT, "member", form)
    ledger.close()
    ones = pair.sign(pair.one)
    assert outcomes(ones) == ["criteria-not-met"]
    assert "QuestionnaireResponse/kept" in json.dumps(determinations(ones))
    for answer in (pair.sign(pair.two), pair.sign(pair.two, sent=True, fhirServer=pair.one.base)):
        told = determinations(answer)[0]["criteria"]
        assert "QuestionnaireResponse/kept" not in json.dumps(told)


def test_no_log_line_of_one_speaks_of_the_other(pair: Pair) -> None:
    """Nor of either's patient; the clients' own names are not in the lines of calls at all."""
    pair.sign(pair.one)
    pair.sign(pair.two)
    events = [json.loads(line)["event"] for line in pair.logged.getvalue().splitlines()]
    assert events.count("call") == 2
    for word in ("onesmark", "twosmark", PATIENT, "one.example", "two.example", "token-"):
        assert word not in pair.logged.getvalue()


def test_a_context_of_one_tells_the_other_nothing(pair: Pair) -> None:
    """The assertion id of another's answer, asked for at the form's endpoint."""
    theirs = determinations(pair.sign(pair.one))[0]["assertionId"]
    path = "/fhir/Questionnaire/$questionnaire-package"
    coverage = next(one for one in pair.two.chart if one["resourceType"] == "Coverage")
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": "coverage", "resource": coverage}, {"name": "context", "valueString": theirs}],
    }
    answer = pair.post(pair.two, body, path)
    assert pair.one.mark not in answer.get_data(as_text=True)
