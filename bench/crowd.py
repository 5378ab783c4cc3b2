"""Many clients at once, each on a connection of its own and calling again as soon as it is answered."""

import threading
import time
from collections.abc import Callable, Sequence
from http.client import HTTPException
from typing import Any

from msgspec import Struct, field

from bench.calls import Connection
from bench.processes import Process


class Group(Struct):
    """Clients that do the same, and what was measured of them."""

    process: Process
    path: str
    body: Callable[[], bytes]
    clients: int
    samples: list[float] = field(default_factory=list)  # seconds of each call
    failed: int = 0


def run(groups: Sequence[Group], seconds: float) -> float:
    """Lets all groups call for so long. Gives the seconds that it took; what was measured is in the groups."""
    gate = threading.Event()
    until = time.monotonic() + seconds + 0.2
    threads = [
        threading.Thread(target=_client, args=(group, gate, until)) for group in groups for _ in range(group.clients)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    started = time.monotonic()
    gate.set()
    for thread in threads:
        thread.join()
    return time.monotonic() - started


def _client(group: Group, gate: threading.Event, until: float) -> None:
    connection: Any = Connection(group.process.port)
    found: list[float] = []
    failed = 0
    gate.wait()
    while time.monotonic() < until:
        try:
            found.append(connection.post(group.path, group.body())[0])
        except (OSError, HTTPException, RuntimeError):
            failed += 1
            connection = Connection(group.process.port)
    group.samples += found
    group.failed += failed
