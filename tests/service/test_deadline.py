"""A FHIR server that fails in any way, over real connections: the answer comes by the deadline, with what was read."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from signing import BY_ID, HOOK, PUBLIC, Ehr, bundle, call_of, context_of, criterion, outcomes

from cds_service.app import create_app
from cds_service.demo import server
from cds_service.demo.store import Store, encode_json
from cds_service.settings import read_settings
from hooks.wire import encode

MET = BY_ID["demo-hemgenix-met"]
DEADLINE_S = 1.0
Over = threading.Event
Fault = Callable[[socket.socket, Over, str], None]  # what is done instead of an answer


def head(status: str = "200 OK", length: int | None = None, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/fhir+json", *headers]
    lines += [] if length is None else [f"Content-Length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode()


def after_the_request(connection: socket.socket, over: Over, path: str) -> None:
    over.wait(20)


def after_the_headers(connection: socket.socket, over: Over, path: str) -> None:
    connection.sendall(head(length=1000))
    over.wait(20)


def drip(connection: socket.socket, over: Over, path: str) -> None:
    connection.sendall(head(length=100_000))
    while not over.wait(0.05):
        connection.sendall(b" ")


def drip_headers(connection: socket.socket, over: Over, path: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while not over.wait(0.05):
        connection.sendall(b"x")


def flood(connection: socket.socket, over: Over, path: str) -> None:
    connection.sendall(head("200 OK", None, "Transfer-Encoding: chunked"))
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    for _ in range(200):
        if over.is_set():
            return
        connection.sendall(chunk)


def bomb(connection: socket.socket, over: Over, path: str) -> None:
    connection.sendall(head("200 OK", len(BOMB), "Content-Encoding: gzip") + BOMB)


BOMB = gzip.compress(b'{"resourceType": "Bundle", "x": "' + b" " * 200_000_000 + b'"}', 9)


def cut(connection: socket.socket, over: Over, path: str) -> None:
    body = encode(bundle())[:-3]
    connection.sendall(head("200 OK", len(body)) + body)


def hang_up(connection: socket.socket, over: Over, path: str) -> None:
    connection.sendall(head(length=1000) + b'{"resourceType"')
    connection.shutdown(socket.SHUT_RDWR)


def endless(connection: socket.socket, over: Over, path: str) -> None:
    here = path.partition("?")[0]
    body = encode({**bundle(), "link": [{"relation": "next", "url": f"{here}?page={time.monotonic_ns()}"}]})
    connection.sendall(head("200 OK", len(body)) + body)


def slow_endless(connection: socket.socket, over: Over, path: str) -> None:
    over.wait(0.15)
    endless(connection, over, path)


def busy(connection: socket.socket, over: Over, path: str) -> None:
    connection.sendall(head("429 Too Many Requests", 0, "Retry-After: 3600"))


def error(connection: socket.socket, over: Over, path: str) -> None:
    connection.sendall(head("500 Internal Server Error", 0))


FAULTS: dict[str, Fault] = {
    "hangs after the request": after_the_request,
    "hangs after the headers": after_the_headers,
    "drips its body": drip,
    "drips its headers": drip_headers,
    "sends 200 MB": flood,
    "sends a gzip bomb": bomb,
    "sends cut JSON": cut,
    "hangs up in the middle": hang_up,
    "has endless pages": endless,
    "has endless slow pages": slow_endless,
    "is busy for an hour": busy,
    "fails always": error,
}


class Fhir:
    """A FHIR server on the loopback that answers from the story's chart, and fails for Observations."""

    def __init__(self, store: Store, fault: Fault | None) -> None:
        self._store, self._fault = store, fault
        self.over = Over()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.base = f"http://127.0.0.1:{self._listener.getsockname()[1]}/fhir"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while asked := connection.recv(20_000).decode():
                    self._answer(connection, asked.split(" ")[1])
            except OSError:
                return

    def _answer(self, connection: socket.socket, path: str) -> None:
        if self._fault is not None and path.startswith("/fhir/Observation"):
            self._fault(connection, self.over, path)
            return
        place, _, query = path.removeprefix("/fhir/").partition("?")
        reply = server.answer(self._store, server.Call("GET", place, query, self.base))
        body = encode_json(reply.resource)
        connection.sendall(head(f"{reply.status} -", len(body)) + body)


@contextmanager
def serving(store: Store, fault: Fault | None) -> Iterator[str]:
    fhir = Fhir(store, fault)
    try:
        yield fhir.base
    finally:
        fhir.close()


@pytest.fixture
def reading(tmp_path: Path) -> Callable[[str], FlaskClient]:
    """A function: a service that may read that server."""

    def build(base: str) -> FlaskClient:
        given = {"public_url": PUBLIC, "auth": "off", "fhir_servers": (base,), "data_dir": tmp_path}
        return create_app(read_settings({}, **given, deadline_s=DEADLINE_S)).test_client()

    return build


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_the_answer_comes_by_the_deadline_with_what_was_read(
    fault: Fault, reading: Callable[[str], FlaskClient], ehr: Ehr
) -> None:
    """At most 50 ms late; results are not retrieved, and whatever else was read counts. Nothing was sent along."""
    with serving(ehr.store(MET), fault) as base:
        client, slowest = reading(base), []
        for _ in range(3):
            call = encode(call_of(context_of(MET.order), None, fhirServer=base))
            began = time.monotonic()
            response = client.post(HOOK, data=call, content_type="application/json")
            slowest.append(time.monotonic() - began)
            assert response.status_code == 200
            answer = response.get_json()
            assert outcomes(answer) == ["undetermined"]
            assert criterion(answer, "8c")["reason"] == "not-retrieved"
            assert criterion(answer, "2")["status"] == "met"
            if slowest[-1] <= DEADLINE_S + 0.05:
                return
    raise AssertionError(slowest)  # other programs take the processor at times: three times in a row is no accident


def test_a_server_that_takes_no_connection_does_not_hold_up_the_answer(
    reading: Callable[[str], FlaskClient], ehr: Ehr
) -> None:
    """Its queue is full: connecting hangs."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        base = f"http://127.0.0.1:{port}/fhir"
        call = ehr.call(MET, fhirServer=base)
        del call["prefetch"]["observations"]
        client = reading(base)
        began = time.monotonic()
        answer = client.post(HOOK, data=encode(call), content_type="application/json").get_json()
        took = time.monotonic() - began
        for filler in fillers:
            filler.close()
    assert outcomes(answer) == ["undetermined"]
    assert criterion(answer, "2")["status"] == "met"
    assert took < DEADLINE_S + 1.5  # connecting alone would take minutes


def test_503_once_costs_nothing(reading: Callable[[str], FlaskClient], ehr: Ehr) -> None:
    """The read is repeated, and the answer is whole."""
    seen: set[str] = set()

    def once(connection: socket.socket, over: Over, path: str) -> None:
        if path not in seen:
            seen.add(path)
            connection.sendall(head("503 Service Unavailable", 0))
            return
        place, _, query = path.removeprefix("/fhir/").partition("?")
        reply = server.answer(store, server.Call("GET", place, query, base))
        body = encode_json(reply.resource)
        connection.sendall(head("200 OK", len(body)) + body)

    store = ehr.store(MET)
    with serving(store, once) as base:
        call = encode(call_of(context_of(MET.order), None, fhirServer=base))
        answer = reading(base).post(HOOK, data=call, content_type="application/json").get_json()
    assert outcomes(answer) == ["criteria-met"]
    assert seen
