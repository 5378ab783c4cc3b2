"""What is no HTTP: refused with a status alone, and nothing of it is repeated or logged."""

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Served, served

MARK = b"mark7f3a"
REFUSED = {
    "no request line": (MARK + b"\r\n\r\n", b"400"),
    "the rest of a body": (b'"birthDate": "' + MARK + b'", "name"\r\n\r\n', b"400"),
    "another version": (b"GET /?patient=" + MARK + b" HTTP/9.9\r\n\r\n", b"400"),
    "a control character in the path": (b"GET /" + MARK + b"\x00 HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
    "a space in a header's name": (b"GET / HTTP/1.1\r\nX Patient: " + MARK + b"\r\n\r\n", b"400"),
    "a control character in a header": (b"GET / HTTP/1.1\r\nX-Patient: " + MARK + b"\x01\r\n\r\n", b"400"),
    "a folded header": (b"GET / HTTP/1.1\r\nX: a\r\n " + MARK + b"\r\n\r\n", b"400"),
    "a length that is none": (b"POST / HTTP/1.1\r\nContent-Length: " + MARK + b"\r\n\r\n", b"400"),
    "two lengths": (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n" + MARK, b"400"),
    "length and chunks": (
        b"POST / HTTP/1.1\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /" + MARK,
        b"400",
    ),
    "an unknown coding": (b"POST / HTTP/1.1\r\nTransfer-Encoding: " + MARK + b"\r\n\r\n", b"501"),
    "an unknown expectation": (b"POST / HTTP/1.1\r\nExpect: " + MARK + b"\r\n\r\n", b"417"),
    "a long path": (b"GET /" + MARK * 2000 + b" HTTP/1.1\r\n\r\n", b"414"),
    "many headers": (b"GET / HTTP/1.1\r\n" + b"A: " + MARK + b"\r\n" + b"B: x\r\n" * 3000 + b"\r\n", b"431"),
    "a long header": (b"GET / HTTP/1.1\r\nA: " + MARK * 2000 + b"\r\n\r\n", b"431"),
    "broken chunks": (
        b"POST /cds-services/order-sign-crd HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" + MARK + b"\r\n\r\n",
        b"400",
    ),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service that asks for no tokens."""
    folder: Path = tmp_path_factory.mktemp("served")
    with served(folder, CDS_AUTH="off") as found:
        yield found


@pytest.mark.parametrize(("raw", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_parsed_is_refused_without_a_word_of_it(raw: bytes, status: bytes, service: Served) -> None:
    """The right status; no page, no echo, in the answer or in what is logged."""
    answer = service.send(raw)
    assert answer.split(b" ", 2)[1] == status
    assert MARK not in answer
    assert b"<" not in answer
    assert MARK.decode() not in service.written()


def test_a_second_request_does_not_hide_in_the_first(service: Served) -> None:
    """Where length and coding disagree, the connection ends with the refusal."""
    smuggled = b"GET /cds-services HTTP/1.1\r\nHost: x\r\n\r\n"
    raw = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled
    answer = service.send(raw)
    assert answer.count(b"HTTP/1.1") == 1
    assert b"services" not in answer


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "Script-Name", "PATH_INFO", "X-Forwarded-Prefix", "X-Original-URL"])
def test_no_header_moves_the_path(name: str, service: Served) -> None:
    """A proxy in front that keeps a path to itself must not be passed by with another one."""
    raw = f"GET /public/metrics HTTP/1.1\r\nHost: x\r\n{name}: /public\r\nConnection: close\r\n\r\n"
    assert service.send(raw.encode()).startswith(b"HTTP/1.1 404 ")


def test_a_client_that_resets_its_connection_after_the_answer_ends_no_worker(service: Served) -> None:
    """Its parting is its own affair: each worker goes on listening, and nothing is logged."""
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", service.port), timeout=5) as client:
            client.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing sends a reset
    answer = service.send(b"GET /cds-services HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"200 OK" in answer
    assert '"level":"error"' not in service.written()


def test_it_still_answers_afterwards(service: Served) -> None:
    """None of that ended a worker."""
    for _ in range(4):
        assert b"200 OK" in service.send(b"GET /cds-services HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
