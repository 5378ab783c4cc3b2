"""What the ledger costs order-sign, and how large a decision is: SQLite, and PostgreSQL where it is installed."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack

from cryptography.fernet import Fernet

from bench.bodies import Template, full_prefetch
from bench.calls import Connection, Side, in_turns, milliseconds, ratios
from bench.postgres import postgres
from bench.processes import Process, free_port
from bench.stage import HOOK, Stage, expect_met
from bench.table import Row

_AIM = 1.10
_SIZE = "15 KB"
_CALLS, _DECISIONS = 200, 2000


def measure(stage: Stage) -> Iterator[Row]:
    """A call with the ledger over one without, and the bytes of a decision."""
    asked = full_prefetch(_SIZE)
    with ExitStack() as running:
        url = running.enter_context(postgres())
        databases = {"SQLite": {}} | ({"PostgreSQL": {"CDS_DATABASE_URL": url}} if url else {})
        if not url:
            print("PostgreSQL is not installed: its ledger is not measured", file=sys.stderr)
        sides = {name: _side(stage, asked, f"ledger-{name}", more) for name, more in databases.items()}
        without = _side(stage, asked, "no-ledger", {}, "bench.without_ledger")
        in_turns([*sides.values(), without], stage.rounds(9), stage.calls(_CALLS))
        for name, side in sides.items():
            for what, above, below in (("CPU", side.cpu, without.cpu), ("p50", side.medians, without.medians)):
                remark = f"{milliseconds(above)} over {milliseconds(below)} ms"
                aim = _AIM if what == "p50" else None
                values = tuple(ratios(above, below))
                yield Row("ledger", f"{name}, {_SIZE}: {what} over that without", "×", values, aim, remark=remark)
    for name, keys in (("", ""), (", facts kept", Fernet.generate_key().decode())):
        size = _bytes(stage, asked, keys)
        yield Row("ledger", f"a decision in SQLite{name}", "KB", (size / 1024,))


def _side(
    stage: Stage, asked: Template, folder: str, more: dict[str, str], module: str = "cds_service.cli"
) -> Side:
    port = free_port()
    command, port, settings = stage.service_command(port, folder, module)
    process = stage.start(Process(folder, command, port, {**settings, **more}))
    connection = Connection(port)
    expect_met(connection, asked)
    return Side(process, connection, HOOK, asked.body)


def _bytes(stage: Stage, asked: Template, keys: str) -> float:
    """Bytes of a decision with its cards: what the database's file grows by, over many."""
    folder = f"size-{len(keys)}"
    port = free_port()
    command, port, settings = stage.service_command(port, folder)
    with Process("the service", command, port, {**settings, "CDS_LEDGER_KEYS": keys}):
        connection = Connection(port)
        expect_met(connection, asked)
    file = stage.folder / folder / "ledger.db"
    before = file.stat().st_size
    with Process("the service", command, port, {**settings, "CDS_LEDGER_KEYS": keys}):
        connection = Connection(port)
        for _ in range(_DECISIONS):
            expect_met(connection, asked)
    return (file.stat().st_size - before) / _DECISIONS
