"""What the ledger costs order-sign, how large a decision is, and how many one process can keep.

With SQLite, and with PostgreSQL where it is installed.
"""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from uuid import uuid4

from cryptography.fernet import Fernet
from msgspec.structs import replace

from bench.bodies import Template, full_prefetch
from bench.calls import Connection, Side, in_turns, milliseconds, ratios
from bench.line import service_in, today
from bench.postgres import postgres
from bench.processes import Process, free_port
from bench.stage import HOOK, Stage, expect_met
from bench.table import Row
from cds_service.ledger.ledger import Ledger
from hooks import order_sign
from hooks.answer import answer
from hooks.book import Entry, Receipt
from hooks.call import parse_call
from hooks.service import Caller, Moment

_AIM = 1.10
_SIZE = "15 KB"
_CALLS, _DECISIONS = 200, 2000
_THREADS, _SECONDS = 32, 2.0


def measure(stage: Stage) -> Iterator[Row]:
    """A call with the ledger over one without, and the bytes of a decision."""
    asked = full_prefetch(_SIZE)
    with ExitStack() as running:
        url = running.enter_context(postgres())
        databases: dict[str, dict[str, str]] = {"SQLite": {}} | (
            {"PostgreSQL": {"CDS_DATABASE_URL": url}} if url else {}
        )
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
        for name, more in databases.items():
            yield from _alone(stage, name, more.get("CDS_DATABASE_URL", f"sqlite:///{stage.folder / 'alone.db'}"))
    for name, keys in (("", ""), (", facts kept", Fernet.generate_key().decode())):
        size = _bytes(stage, asked, keys)
        yield Row("ledger", f"a decision in SQLite{name}", "KB", (size / 1024,))


def _side(stage: Stage, asked: Template, folder: str, more: dict[str, str], module: str = "cds_service.cli") -> Side:
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


class _Collected:
    """A book that keeps its entries in a list."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def record(self, entries: tuple[Entry, ...], deadline: float) -> tuple[Receipt, ...]:
        self.entries += entries
        return (Receipt(recorded=True),) * len(entries)


def _alone(stage: Stage, name: str, url: str) -> Iterator[Row]:
    """How many decisions a second one process keeps, with as many calls at once as it has threads, and the CPU time."""
    book = _Collected()
    service = replace(service_in(stage.folder / "alone"), book=book)
    call = parse_call(full_prefetch(_SIZE).body(), order_sign.HOOK)
    answer(call, order_sign.HOOK, service, Caller(), Moment(today(), time.monotonic() + 30))
    (entry,) = book.entries
    ledger = Ledger(url, service_version="bench", seal_keys=Fernet.generate_key().decode())
    ledger.prepare()
    ledger.start(5.0)
    rates, cpu = [], []
    for turn in range(stage.rounds(5)):
        began, before, until = time.monotonic(), time.process_time(), time.monotonic() + _SECONDS
        with ThreadPoolExecutor(_THREADS) as threads:
            tasks = [threads.submit(_keep, ledger, entry, f"{turn}-{number}", until) for number in range(_THREADS)]
            kept = sum(task.result() for task in tasks)
        rates.append(kept / (time.monotonic() - began))
        cpu.append(1000 * (time.process_time() - before) / kept)
    ledger.close()
    remark = f"{sorted(cpu)[len(cpu) // 2]:.2f} ms of the process's CPU for each, facts kept"
    yield Row("ledger", f"{name}: decisions that one process keeps", "/s", tuple(rates), remark=remark)


def _keep(ledger: Ledger, entry: Entry, name: str, until: float) -> int:
    """How many were kept. Raises RuntimeError when one was not."""
    kept = 0
    while time.monotonic() < until:
        one = replace(entry, order=f"{name}-{kept}", cards=tuple((str(uuid4()), kind) for _, kind in entry.cards))
        (receipt,) = ledger.record((one,), time.monotonic() + 5)
        if not receipt.recorded:
            raise RuntimeError("a decision was not kept")
        kept += 1
    return kept
