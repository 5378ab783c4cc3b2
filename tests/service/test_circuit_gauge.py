"""The gauge of circuits that are open, on the real server: a worker that dies takes its own out of the sum."""

import os
import re
import signal
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

import pytest
from served import Served, free_port, served
from signing import BY_ID, HOOK, call_of, context_of

from hooks.wire import encode

MET = BY_ID["demo-hemgenix-met"]
KILLED = [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT]


def post(service: Served, base: str) -> None:
    """Signs an order whose chart is to be read there, over a connection of its own."""
    connection = HTTPConnection("127.0.0.1", service.port, timeout=10)
    body = encode(call_of(context_of(MET.order), None, fhirServer=base, fhirAuthorization={"access_token": "t"}))
    connection.request("POST", HOOK, body, {"Content-Type": "application/json"})
    connection.getresponse().read()
    connection.close()


def gauge(service: Served, base: str) -> float | None:
    """How many workers leave the server alone; None where nothing is said of it."""
    told = service.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").decode()
    found = re.search(rf'cds_fhir_circuits_open{{server="{re.escape(base)}"}} ([\d.]+)', told)
    return float(found[1]) if found else None


def workers(service: Served) -> set[int]:
    """Their process ids."""
    return {int(pid) for pid in Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()}


def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits until it holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize("number", KILLED)
def test_a_worker_that_dies_leaves_no_open_circuit_behind(number: signal.Signals, tmp_path: Path) -> None:
    """Two workers leave the server alone; one is killed and another takes its place, which knows of nothing yet."""
    base = f"http://127.0.0.1:{free_port()}/fhir"
    with served(tmp_path, CDS_AUTH="off", CDS_FHIR_SERVERS=base, CDS_PUBLIC_URL="https://plan.example") as service:

        def opened() -> bool:
            post(service, base)
            return gauge(service, base) == 2

        until(opened, 20)
        before = workers(service)
        os.kill(min(before), number)
        until(lambda: len(workers(service) - before) == 1 and len(workers(service)) == 2)
        until(lambda: gauge(service, base) == 1)


def test_an_instance_that_dies_leaves_no_open_circuit_behind(tmp_path: Path) -> None:
    """All of it is killed, and it starts again in the same folder."""
    base = f"http://127.0.0.1:{free_port()}/fhir"
    settings = {"CDS_AUTH": "off", "CDS_FHIR_SERVERS": base, "CDS_PUBLIC_URL": "https://plan.example"}
    with served(tmp_path, **settings) as service:

        def opened() -> bool:
            post(service, base)
            return bool(gauge(service, base))

        until(opened, 20)
        for pid in (service.pid, *workers(service)):
            os.kill(pid, signal.SIGKILL)
    with served(tmp_path, **settings) as service:
        assert not gauge(service, base)
