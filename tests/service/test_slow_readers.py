"""Clients that take nothing of their answers, or send more than is held: nobody else notices, and no worker ends."""

import resource
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from served import Served, served

from cds_service.framing import Incoming
from cds_service.outgoing import Outgoing

ASKED = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
MOST_BODY = 16 * 1024 * 1024


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One process with two threads, and no rate for addresses."""
    folder: Path = tmp_path_factory.mktemp("served")
    with served(folder, CDS_AUTH="off", CDS_WORKERS="1", CDS_THREADS="2", CDS_ADDRESS_RATE="") as found:
        yield found


def connected(service: Served, taken_at_once: int = 4096) -> socket.socket:
    """A client whose system keeps so little of what it does not read."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, taken_at_once)
    found.connect(("127.0.0.1", service.port))
    return found


def send_much(client: socket.socket, data: bytes) -> None:
    """As much of it as the service takes within half a second."""
    client.settimeout(0.5)
    with suppress(OSError):
        client.sendall(data)


def test_who_reads_nothing_holds_nobody_up(service: Served) -> None:
    """More of them than there are threads, each with answers that no buffer of the system holds."""
    with ExitStack() as clients:
        for _ in range(6):
            send_much(clients.enter_context(connected(service)), ASKED * 400)
        time.sleep(1.5)  # until every buffer is full
        for _ in range(5):
            assert b"200 OK" in service.send(LIVE, 3.0)


def test_who_reads_slowly_gets_every_answer_whole(service: Served) -> None:
    """A hundred answers asked for at once, and read only later."""
    (body,) = {service.send(ASKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")).partition(b"\r\n\r\n")[2]}
    assert len(body) > 10_000
    with connected(service) as client:
        client.settimeout(10)
        client.sendall(ASKED * 99 + ASKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        time.sleep(0.5)
        received = b""
        while piece := client.recv(1_000_000):
            received += piece
    assert received.count(body) == received.count(b"HTTP/1.1 200 OK") == 100


def test_requests_that_make_room_for_others_end_no_worker(service: Served) -> None:
    """More than is held of unfinished requests, while all of them go on sending."""
    workers = Path(f"/proc/{service.pid}/task/{service.pid}/children")
    before, until = workers.read_text(), time.monotonic() + 4
    head = b"POST /cds-services/order-sign-crd HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % MOST_BODY

    def send_on(_: int) -> None:
        while time.monotonic() < until:
            with suppress(OSError), socket.create_connection(("127.0.0.1", service.port), 2) as client:
                client.sendall(head + b" " * (MOST_BODY - 100_000))
                while time.monotonic() < until:
                    client.sendall(b" ")
                    time.sleep(0.001)

    with ThreadPoolExecutor(30) as pool:
        list(pool.map(send_on, range(30)))
    assert b"200 OK" in service.send(LIVE)
    assert workers.read_text() == before
    assert "KeyError" not in service.written()


def test_connections_that_are_kept_and_idle_make_room_for_others(service: Served) -> None:
    """More of them than one process has connections; nobody waits until they run out."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    kept = LIVE.replace(b"Connection: close\r\n", b"")
    with ExitStack() as clients:
        for _ in range(1500):
            send_much(clients.enter_context(connected(service)), kept)
        for _ in range(5):
            assert b"200 OK" in service.send(LIVE, 3.0)
    assert b"200 OK" in service.send(LIVE, 3.0)
    assert '"level":"error"' not in service.written()


def test_neither_way_of_writing_waits() -> None:
    """With every buffer full, what is written is kept."""
    ours, theirs = socket.socketpair()
    with Outgoing(ours) as line, theirs:
        line.sendall(b"x" * 4_000_000)
        kept = len(line.left)
        line.left.clear()  # full to the last byte
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 1, 0))  # whoever waits after all
        assert line.send(b"word") == 4
        line.sendall(b"more")
        assert (bytes(line.left), kept > 0) == (b"wordmore", True)


def test_a_body_of_very_many_chunks_is_not_waited_for() -> None:
    """Whole as far as it goes, and cut: the parser refuses it."""
    coming = Incoming(MOST_BODY)
    coming.add(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    coming.add(b"1\r\n \r\n" * 65_536)
    assert not coming.is_whole
    coming.add(b"1\r\n \r\n")
    assert coming.is_whole
    assert coming.is_cut
