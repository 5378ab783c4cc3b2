"""G13: from the command to the first good answer. G14: memory after 200 calls. Both with the default two workers."""

import time
from collections.abc import Iterator

from bench.bodies import Template, full_prefetch
from bench.calls import Connection
from bench.processes import Process, free_port
from bench.stage import HOOK, Stage, expect_met, outcome_of
from bench.table import Row


def measure(stage: Stage) -> Iterator[Row]:
    """Start by start, a fresh folder each: the ledger is made too."""
    asked = full_prefetch("15 KB")
    found = [started(stage, asked, f"start-{number}", {}) for number in range(stage.rounds(5))]
    seconds, memory = zip(*found, strict=True)
    yield Row("G13", "start to the first good answer", "s", seconds, 0.6, 3.0)
    yield Row("G14", "memory (PSS) of all processes after 200 calls", "MB", memory, 120.0, 200.0)


def started(stage: Stage, asked: Template, name: str, more: dict[str, str]) -> tuple[float, float]:
    """Seconds to the first good answer, and megabytes after 200 calls, of a service with `more` settings."""
    port = free_port()
    command, _, settings = stage.service_command(port, name)
    begun = time.perf_counter()
    with Process.begun("the service", command, port, settings | more) as process:
        answer = None
        while answer is None:
            try:
                answer = Connection(port).post(HOOK, asked.body())[1]
            except OSError:
                if time.perf_counter() - begun > 30:
                    raise
                time.sleep(0.005)
        seconds = time.perf_counter() - begun
        if outcome_of(answer) != "criteria-met":
            raise RuntimeError("the first answer is not a good one")
        for _ in range(20):  # over new connections, so that every worker has its share
            connection = Connection(port)
            for _ in range(10):
                expect_met(connection, asked)
        return seconds, process.memory_mb()
