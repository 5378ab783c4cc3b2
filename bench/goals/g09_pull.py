"""G9: reading what the call did not send, from a FHIR server that answers after 50 ms (RT), with one client."""

import time
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from bench.bodies import Template, call, prefetch, story, template
from bench.calls import Connection, Side, in_turns, percentile
from bench.line import service_in, today
from bench.stage import DELAY_MS, HOOK, Stage, expect_met
from bench.table import Row
from fhir_mappings.client import FhirClient
from fhir_mappings.queries import Query, Reply
from fhir_mappings.servers import Server
from hooks import order_sign
from hooks.answer import answer
from hooks.call import parse_call
from hooks.service import Caller, Moment

RT = DELAY_MS / 1000

# Seven types that nothing else of the chart refers to: seven reads at once and none after them.
READ = frozenset(
    {"conditions", "procedures", "medicationRequests", "medicationAdministrations", "medicationStatements"}
    | {"medicationDispenses", "reports"}
)


def measure(stage: Stage) -> Iterator[Row]:
    """Seven reads beside a prefetch of the rest, and a whole chart; one by one, and in batches."""
    told = story()
    given = prefetch(told.resources)
    part = {key: value for key, value in given.items() if key not in READ}
    templates, sides = {}, {}
    for name, sent in (("7 reads", part), ("whole chart", {})):
        for batches in (False, True):
            found = template(name, call(told, sent, stage.fhir_base(DELAY_MS, batches)))
            connection = Connection(stage.service.port)
            expect_met(connection, found)
            templates[name, batches] = found
            sides[name, batches] = Side(stage.service, connection, HOOK, found.body)
    in_turns(list(sides.values()), stage.rounds(6), stage.calls(25))
    for (name, batches), side in sides.items():
        yield from _rows(name, batches, side, *_reads_and_rounds(stage, templates[name, False]))


def _rows(name: str, batches: bool, side: Side, reads: int, rounds: int) -> Iterator[Row]:
    what = f"{reads} reads" if name == "7 reads" else f"{name}, {reads} reads in {rounds} rounds"
    what += " of one batch each" if batches and rounds > 1 else " in one batch" if batches else ""
    p50 = tuple(value / RT for value in side.medians)
    cpu = f"{1000 * sorted(side.cpu)[len(side.cpu) // 2]:.1f} ms CPU a call"
    yield Row("G9", f"{what}: p50 over RT", "×", p50, 1.10 * rounds, 1.75 * rounds, cpu)
    p99 = (percentile(side.samples, 0.99) / RT,)
    yield Row("G9", f"{what}: p99 over RT", "×", p99, 1.25 * rounds, 3.75 * rounds, f"of {len(side.samples)} calls")


class _Counting:
    """A reader that counts what is read, and in how many rounds."""

    def __init__(self) -> None:
        self._client = FhirClient()
        self.reads = self.rounds = 0

    def read_all(self, server: Server, queries: Sequence[Query], deadline: float) -> Sequence[Reply]:
        self.reads += len(queries)
        self.rounds += 1
        return self._client.read_all(server, queries, deadline)


def _reads_and_rounds(stage: Stage, asked: Template) -> tuple[int, int]:
    reader, base = _Counting(), stage.fhir_base(DELAY_MS)
    service = replace(service_in(stage.folder / "counting"), reader=reader)
    answer(
        parse_call(asked.body(), order_sign.HOOK),
        order_sign.HOOK,
        service,
        Caller(server_for=lambda url, token: Server(base)),
        Moment(today(), time.monotonic() + 30),
    )
    return reader.reads, reader.rounds
