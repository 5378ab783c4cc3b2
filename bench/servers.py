"""The service on several servers: `python -m bench.servers`; what was found is in docs/decisions/0004-server.md.

All of them run at the same time and are called in turns. gevent and granian are measured where they are installed.
"""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from statistics import median
from typing import Any

from flask import Flask

from bench.bodies import call as call_of
from bench.bodies import full_prefetch, story, template
from bench.bodies import prefetch as prefetch_of
from bench.calls import Connection, percentile
from bench.crowd import Group, run
from bench.goals.g09_pull import READ
from bench.processes import HOST, Process, free_port
from bench.stage import DELAY_MS, HOOK, Stage, expect_met

ROUNDS, SECONDS = 5, 3.0
SLOW = (32, 64, 128, 512)
PATIENCE_S = 5.0
KINDS = ("patient", "gthread", "gevent", "granian")


def measured(kind: str) -> bool:
    """True where that server is installed."""
    return kind in ("patient", "gthread") or find_spec(kind) is not None


def make_app() -> Flask:
    """The service, for a server that imports it."""
    from cds_service.app import create_app
    from cds_service.settings import read_settings

    return create_app(read_settings(os.environ))


def serve(kind: str, port: int) -> None:
    """Serves on that server with the service's own number of workers and threads."""
    from cds_service import server
    from cds_service.settings import read_settings

    settings = read_settings(os.environ)
    if kind == "granian":
        size = ["--workers", str(settings.workers), "--blocking-threads", str(settings.threads)]
        where = ["--interface", "wsgi", "--host", HOST, "--port", str(port), "--no-ws", "--log-level", "error"]
        command = ["-m", "granian", *where, *size, "--factory", "bench.servers:make_app"]
        os.execv(sys.executable, [sys.executable, *command])  # noqa: S606
    if kind != "patient":
        server.PatientWorker = kind  # type: ignore[misc, assignment]
    server.serve(make_app, settings, HOST, port)


@contextmanager
def slow_clients(port: int, count: int, beginning: bytes) -> Iterator[None]:
    """So many clients that have sent this, and send a byte a second."""
    lines = [socket.create_connection((HOST, port)) for _ in range(count)]
    for line in lines:
        line.sendall(beginning)
    over = threading.Event()

    def drip() -> None:
        while not over.wait(1):
            for line in lines:
                with suppress(OSError):
                    line.send(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for line in lines:
            line.close()


def among_slow(port: int, body: Callable[[], bytes]) -> str:
    """p50 of calls on new connections in ms, or that one was not answered in time."""
    found = []
    for _ in range(20):
        connection: Any = Connection(port)
        connection._http.timeout = PATIENCE_S
        try:
            found.append(connection.post(HOOK, body())[0])
        except (OSError, RuntimeError):
            return f"nobody within {PATIENCE_S:.0f} s"
    return f"{1000 * median(found):.1f}"


def main() -> None:
    """Prints what was measured."""
    with Stage(False) as stage, ExitStack() as running:
        base, told = stage.fhir_base(DELAY_MS), story()
        part = {key: value for key, value in prefetch_of(told.resources).items() if key not in READ}
        whole = full_prefetch("15 KB")
        tasks = {
            "15 KB sent, 1 client": (whole, 1),
            "15 KB sent, 32 clients": (whole, 32),
            "7 reads of 50 ms, 8 clients": (template("7 reads", call_of(told, part, base)), 8),
            "7 reads of 50 ms, 32 clients": (template("7 reads", call_of(told, part, base)), 32),
        }
        servers: dict[str, Process] = {}
        for kind in filter(measured, KINDS):
            port = free_port()
            settings = stage.service_command(port, kind)[2] | {"CDS_FHIR_SERVERS": base}
            patched = "from gevent import monkey; monkey.patch_all(); " if kind == "gevent" else ""
            command = ["-c", f"{patched}from bench.servers import serve; serve({kind!r}, {port})"]
            servers[kind] = running.enter_context(Process(kind, command, port, settings))
            expect_met(Connection(port), whole)
        for what, (asked, clients) in tasks.items():
            groups = {kind: Group(process, HOOK, asked.body, clients) for kind, process in servers.items()}
            cpu: dict[str, list[float]] = {kind: [] for kind in servers}
            rate: dict[str, list[float]] = {kind: [] for kind in servers}
            for group in groups.values():
                run([group], 0.5)
                group.samples.clear()
            for number in range(ROUNDS):
                for kind in list(groups) if number % 2 == 0 else reversed(groups):
                    group, before = groups[kind], groups[kind].process.cpu()
                    had = len(group.samples)
                    seconds = run([group], SECONDS)
                    made = len(group.samples) - had
                    cpu[kind].append(1000 * (group.process.cpu() - before) / made)
                    rate[kind].append(made / seconds)
            for kind, group in groups.items():
                p50, p99 = (1000 * percentile(group.samples, share) for share in (0.5, 0.99))
                row = f"{median(cpu[kind]):.2f} | {p50:.1f} | {p99:.1f} | {median(rate[kind]):.0f} | {group.failed}"
                print(f"| {what} | {kind} | {row} |", flush=True)
        head = f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
        for name, beginning in (("headers", head), ("body", head + b"Content-Length: 9999\r\n\r\n{")):
            for count in SLOW:
                for kind, process in servers.items():
                    with slow_clients(process.port, count, beginning):
                        time.sleep(1.5)
                        print(f"| {count} slow {name} | {kind} | {among_slow(process.port, whole.body)} |", flush=True)
                    time.sleep(1)


if __name__ == "__main__":
    main()
