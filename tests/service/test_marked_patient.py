"""A marked patient, through everything that the service does: the mark is nowhere but in that patient's own answers."""

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.fernet import Fernet
from flask.testing import FlaskClient
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from signing import BASE, BY_ID, PUBLIC, Ehr, Json, bundle, whole_record
from werkzeug.test import TestResponse

from cds_service.app import create_app
from cds_service.demo.store import Store
from cds_service.log import FIELDS
from cds_service.settings import read_settings
from hooks.registry import HOOKS
from hooks.wire import encode

MARK = "mark7f3a"
BORN = "1971-03-17"  # a date that nothing else has
STORY = BY_ID["demo-hemgenix-met"]
FREE_TEXT = {"text", "display", "family", "given", "line", "city", "valueString", "comment", "description", "div"}
TOKEN = f"{MARK}.bearer.token"
UUID = "6f1e0a52-3c1b-4b0e-9a55-0d9c6a1f2b3c"


def marked(value: Any, name: str = "") -> Any:
    """The resource with the mark in every id, name, text, number of a person and note."""
    if isinstance(value, dict):
        return {member: marked(inner, member) for member, inner in value.items()}
    if isinstance(value, list):
        return [marked(inner, name) for inner in value]
    if not isinstance(value, str):
        return value
    found = value.replace(STORY.id, MARK)
    if name == "birthDate":
        return BORN
    if name in FREE_TEXT:
        return f"{found} {MARK}"
    return f"{MARK}-{found}" if name in ("subscriberId", "dependent") else found


def chart() -> list[Json]:
    """The story's chart, marked."""
    found: list[Json] = marked(deepcopy(list(STORY.resources)))
    for resource in found:
        resource["identifier"] = [*resource.get("identifier", []), {"system": "urn:mrn", "value": f"{MARK}-mrn"}]
        if resource["resourceType"] in ("Observation", "Condition", "MedicationStatement", "Procedure"):
            resource["note"] = [{"text": f"{MARK} note"}]
    return found


def order() -> Json:
    found: Json = marked(deepcopy(STORY.order))
    return {**found, "note": [{"text": f"{MARK} note"}], "dosageInstruction": [{"text": f"{MARK} dose"}]}


CONTEXTS: dict[str, Callable[[], Json]] = {
    "order-sign": lambda: {"draftOrders": bundle(order())},
    "order-select": lambda: {"draftOrders": bundle(order()), "selections": [f"MedicationRequest/{order()['id']}"]},
    "order-dispatch": lambda: {
        "dispatchedOrders": [f"MedicationRequest/{order()['id']}"],
        "order": f"MedicationRequest/{order()['id']}",
        "performer": f"Organization/{MARK}",
    },
    "appointment-book": lambda: {
        "appointments": bundle(
            {
                "resourceType": "Appointment",
                "id": f"{MARK}-a",
                "status": "proposed",
                "basedOn": [{"reference": f"MedicationRequest/{order()['id']}"}],
                "participant": [{"actor": {"reference": f"Patient/{MARK}"}, "status": "needs-action"}],
            }
        )
    },
    "encounter-start": dict,
    "encounter-discharge": dict,
}


def call(hook: str = "order-sign", sent: bool = True, **members: Any) -> Json:
    """A call about the marked patient."""
    context = {"userId": f"Practitioner/{MARK}", "patientId": MARK, "encounterId": f"{MARK}-visit"}
    return {
        "hook": hook,
        "hookInstance": UUID,
        "fhirServer": BASE,
        "fhirAuthorization": {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 300, "subject": MARK},
        "context": {**context, **CONTEXTS[hook]()},
        **({"prefetch": whole_record(chart())} if sent else {}),
        **members,
    }


class Watched:
    """A service of which every word is kept: logs, metrics, traces, and the bodies of errors."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self.logged = StringIO()
        monkeypatch.setattr("sys.stderr", self.logged)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        self._exporter = InMemorySpanExporter()
        monkeypatch.setattr("cds_service.traces.otlp_exporter", lambda: self._exporter)
        self.folder = folder / "data"
        given = {
            "public_url": PUBLIC,
            "auth": "off",
            "fhir_servers": (BASE,),
            "data_dir": self.folder,
            "traces": True,
            "authorization": "issue",
            "ledger_keys": Fernet.generate_key().decode(),
            "max_body_bytes": 2_000_000,
        }
        self.client: FlaskClient = create_app(read_settings({}, **{**given, **settings})).test_client()

    def post(self, path: str, body: Any, content_type: str = "application/json", **kwargs: Any) -> TestResponse:
        raw = body if isinstance(body, bytes) else encode(body)
        return self.client.post(path, data=raw, content_type=content_type, **kwargs)

    def hook(self, name: str, **kwargs: Any) -> TestResponse:
        return self.post(f"/cds-services/{name}-crd", call(name, **kwargs))

    def said(self) -> str:
        """Log lines, metrics, spans, after all of them came."""
        time.sleep(0.2)
        spans = "".join(span.to_json() for span in self._exporter.get_finished_spans())
        return self.logged.getvalue() + self.client.get("/metrics").get_data(as_text=True) + spans


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(tmp_path, monkeypatch)


@pytest.fixture
def store(ehr: Ehr) -> Store:
    """The FHIR server's store with the marked chart and order."""
    found = Store()
    found.reset([*chart(), order()], [])
    return found


def unmarked(text: str) -> None:
    """Nothing of the patient is in the text."""
    for word in (MARK, BORN, TOKEN, "Bearer", BORN.replace("-", "")):
        assert word not in text, text[max(0, text.index(word) - 200) : text.index(word) + 100]


@pytest.mark.parametrize("sent", [True, False], ids=["sent", "read"])
@pytest.mark.parametrize("hook", [hook.name for hook in HOOKS])
def test_an_answer_leaves_no_mark(hook: str, sent: bool, watched: Watched, store: Store, serving: Any) -> None:
    """Whichever hook, whether the chart was sent or read: logs, metrics and traces name no one."""
    with serving(store):
        response = watched.hook(hook, sent=sent)
    assert response.status_code == 200
    told = watched.said()
    assert UUID in told  # so that it is known to look at this call
    unmarked(told)


def test_the_mark_is_in_the_answer_itself(watched: Watched) -> None:
    """The search would find it: the prescriber's card does name what is in the chart."""
    assert MARK in watched.hook("order-sign").get_data(as_text=True)


ERRORS: dict[str, Any] = {
    "cut JSON": encode(call())[:-30],
    "not UTF-8": encode(call())[:-1] + b"\xff",
    "a member twice": b'{"hook": "%b", "hook": "order-sign"}' % MARK.encode(),
    "another hook": call() | {"hook": MARK},
    "no context": call() | {"context": MARK},
    "a patient that is none": {**call(), "context": {**call()["context"], "patientId": f"{MARK} {BORN}"}},
    "another patient's order": {**call(), "context": {**call()["context"], "patientId": f"{MARK}-other"}},
    "a user that is none": {**call(), "context": {**call()["context"], "userId": f"{MARK}/x y"}},
    "orders that are none": {**call(), "context": {**call()["context"], "draftOrders": {MARK: MARK}}},
    "an instance that is none": call() | {"hookInstance": {MARK: MARK}},
    "a server that is none": call() | {"fhirServer": [MARK]},
    "a token that is none": call() | {"fhirAuthorization": {"access_token": [TOKEN]}},
    "a token for another patient": call() | {"fhirAuthorization": {**call()["fhirAuthorization"], "patient": "other"}},
    "a version that is none": call() | {"extension": {"davinci-crd.requestedVersion": MARK}},
    "options that are none": call() | {"extension": {"davinci-crd.configuration": {MARK: MARK}}},
    "too deep": b"[" * 5000 + MARK.encode(),
    "too large": b'"' + MARK.encode() * 400_000 + b'"',
    "another type": (encode(call()), f"text/{MARK}"),
}


@pytest.mark.parametrize("body", ERRORS.values(), ids=ERRORS.keys())
def test_an_error_names_no_one(body: Any, watched: Watched) -> None:
    """Neither to the caller nor in what is kept; JSON, never a page."""
    raw, kind = body if isinstance(body, tuple) else (body, "application/json")
    response = watched.post("/cds-services/order-sign-crd", raw, kind)
    if response.status_code != 200:
        assert response.status_code in (400, 413, 415, 422)
        unmarked(response.get_data(as_text=True))
        assert response.is_json
    unmarked(watched.said())


@pytest.mark.parametrize(
    "path",
    [
        f"/cds-services/{MARK}",
        f"/{MARK}?patient={MARK}",
        f"/policies/{MARK}/{MARK}",
        f"/fhir/Questionnaire/{MARK}",
        f"/fhir/Questionnaire?url={MARK}&patient={MARK}",
        f"/fhir/ValueSet/{MARK}/$expand",
        f"/fhir/ValueSet/$expand?url={MARK}&count={MARK}",
        f"/fhir/token?client_assertion={MARK}",
        f"/smart/launch?iss=https://{MARK}.example&launch={MARK}",
        f"/smart/callback?state={MARK}&code={MARK}",
    ],
)
def test_a_path_and_its_query_are_not_logged(path: str, watched: Watched) -> None:
    """With whatever headers."""
    watched.client.get(path, headers={"User-Agent": MARK, "X-Request-Id": MARK, "Authorization": f"Bearer {TOKEN}"})
    watched.client.post(path, data=MARK)
    unmarked(watched.said())


def test_a_fault_of_the_service_names_no_one(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception with the chart in its message."""

    def broken(*_: object) -> None:
        raise ValueError(f"{MARK} {BORN}") from KeyError(MARK)

    monkeypatch.setattr("cds_service.routes.answered", broken)
    response = watched.hook("order-sign")
    assert response.status_code == 500
    unmarked(response.get_data(as_text=True))
    unmarked(watched.said())


FAULTS: dict[str, Any] = {
    "500": (500, {}, MARK.encode()),
    "an outcome": (400, {"X-Patient": MARK}, encode({"resourceType": "OperationOutcome", "text": MARK})),
    "a redirect": (302, {"Location": f"https://elsewhere.example/{MARK}"}, b""),
    "an exception": requests.ConnectionError(f"{BASE}/Patient/{MARK}"),
    "cut JSON": (200, {}, b'{"resourceType": "Bundle", "x": "' + MARK.encode()),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_failing_fhir_server_names_no_one(fault: Any, watched: Watched, store: Store, serving: Any) -> None:
    """What it says, and how it was asked, is nowhere; also when it is left alone."""
    with serving(store) as server:
        server.instead = dict.fromkeys(("Patient", "Observation", "Condition", "Coverage", "Procedure"), fault)
        for _ in range(5):
            response = watched.hook("order-sign", sent=False)
            if response.status_code != 200:
                unmarked(response.get_data(as_text=True))
    unmarked(watched.said())


@contextmanager
def badly_spoken() -> Iterator[str]:
    """A FHIR server whose headers are malformed, which a library is wont to report with the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(10_000)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nX: 1\r\nno header at all\r\nContent-Length: 2\r\n\r\n{}")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/fhir"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_what_a_library_reports_is_kept_without_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where and which library, and not the URL with the patient in it."""
    with badly_spoken() as base:
        watched = Watched(tmp_path, monkeypatch, fhir_servers=(base,))
        watched.hook("order-sign", sent=False, fhirServer=base)
        told = watched.said()
    assert '"library":"urllib3.connection"' in told
    unmarked(told)


def test_feedback_names_no_one(watched: Watched) -> None:
    """Comments are kept sealed; in no log, no metric, no error."""
    card = watched.hook("order-sign").get_json()["cards"][0]["uuid"]
    reason = {"reason": {"code": "urgent"}, "userComment": f"{MARK} {BORN}"}
    good = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-11-24T12:00:00Z", "overrideReason": reason}
    path = "/cds-services/order-sign-crd/feedback"
    assert watched.post(path, {"feedback": [good]}).status_code == 200
    for wrong in ({"outcome": MARK}, {"outcomeTimestamp": MARK}, {"card": {MARK: 1}}, {"overrideReason": MARK}):
        response = watched.post(path, {"feedback": [{**good, **wrong}]})
        assert response.status_code == 400
        unmarked(response.get_data(as_text=True))
    unmarked(watched.said())


def test_the_form_s_endpoint_names_no_one(watched: Watched) -> None:
    """Packages for the marked patient, reports of trouble, and what is refused of either."""
    coverage = next(one for one in chart() if one["resourceType"] == "Coverage")
    given = [
        {"name": "coverage", "resource": coverage},
        {"name": "order", "resource": order()},
        {"name": "context", "valueString": MARK},
        {"name": "questionnaire", "valueCanonical": f"{PUBLIC}/fhir/Questionnaire/pharmacy-109-hemgenix"},
    ]
    bodies = [given, given[1:], [*given, {"name": MARK, "valueString": MARK}], [{"name": "order", "resource": MARK}]]
    for parameters in bodies:
        body = {"resourceType": "Parameters", "parameter": parameters}
        response = watched.post("/fhir/Questionnaire/$questionnaire-package", body, "application/fhir+json")
        if response.status_code != 200:
            unmarked(response.get_data(as_text=True))
    outcome = {"resourceType": "OperationOutcome", "issue": [{"code": MARK, "diagnostics": MARK, "severity": "error"}]}
    report = [given[3], {"name": "operationOutcome", "resource": outcome}]
    body = {"resourceType": "Parameters", "parameter": report}
    response = watched.post("/fhir/Questionnaire/$log-questionnaire-errors", body, "application/fhir+json")
    assert response.status_code == 200
    unmarked(response.get_data(as_text=True))
    unmarked(watched.said())


def test_no_mark_and_no_token_is_on_disk(watched: Watched, store: Store, serving: Any) -> None:
    """With keys, what the ledger keeps of the chart is sealed; the token is kept nowhere."""
    with serving(store):
        for hook in HOOKS:
            assert watched.hook(hook.name, sent=False).status_code == 200
    files = [path for path in watched.folder.rglob("*") if path.is_file()]
    kept = b"".join(path.read_bytes() for path in files)
    assert b"hemgenix" in kept  # so that the search is known to find
    assert TOKEN.encode() not in kept
    assert BORN.encode() not in kept
    assert MARK.encode() not in kept


def test_only_listed_fields_are_logged(watched: Watched, store: Store, serving: Any) -> None:
    """Every line is one JSON object of fields from the list, whatever is logged."""
    with serving(store):
        watched.hook("order-sign")
    from cds_service.log import service_log

    service_log().info("probe", patient=MARK, hook="order-sign", note=MARK)
    lines = [json.loads(line) for line in watched.logged.getvalue().splitlines()]
    assert any(line["event"] == "call" for line in lines)
    assert {name for line in lines for name in line} <= FIELDS
    unmarked(watched.said())


def test_an_instance_that_is_no_uuid_is_not_logged(watched: Watched) -> None:
    """A caller could put anything there."""
    watched.hook("order-sign", hookInstance=MARK)
    told = watched.said()
    assert '"hook_instance":"other"' in told
    unmarked(told)


def test_a_type_of_resource_that_is_none_is_not_logged(watched: Watched) -> None:
    """What is counted of a call are the types that FHIR has, and no word of the caller's."""
    name = MARK.capitalize()
    prefetch = whole_record([*chart(), {"resourceType": name, "id": "x", "subject": {"reference": f"Patient/{MARK}"}}])
    prefetch["conditions"]["entry"].append({"resource": {"resourceType": name, "id": "y"}})
    prefetch[MARK] = {"resourceType": name, "id": "z"}
    orders = bundle(order(), {"resourceType": name, "id": "o", "status": "draft"})
    body = call(prefetch=prefetch)
    body["context"]["draftOrders"] = orders
    watched.post("/cds-services/order-sign-crd", body)
    assert name not in watched.said()


def test_metrics_have_labels_of_closed_sets(watched: Watched, store: Store, serving: Any) -> None:
    """Nothing that a caller sends becomes a label."""
    with serving(store):
        for hook in HOOKS:
            watched.hook(hook.name)
        watched.client.post(f"/cds-services/{MARK}", data=b"{}")
    told = watched.client.get("/metrics").get_data(as_text=True)
    names = set(re.findall(r"[{,](\w+)=\"", told))
    assert names <= {"hook", "status", "le", "policy", "drug", "outcome", "reason", "whose", "server"}
    assert set(re.findall(r'hook="([^"]*)"', told)) <= {hook.name for hook in HOOKS}
