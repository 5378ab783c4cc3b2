"""G12: what a call costs must not depend on how many results the patient has: 1,000 against 100,000."""

from collections.abc import Iterator

from msgspec.structs import replace

from bench.bodies import Template, call, story, template
from bench.calls import Connection, Side, in_turns, ratios
from bench.stage import HOOK, Stage, outcome_of
from bench.table import Row
from hooks.wire import decode, encode

_AIM, _BOUND = 1.10, 1.65
_CHARTS = ("bench-chart-001000", "bench-chart-100000")


def measure(stage: Stage) -> Iterator[Row]:
    """Bytes read, time and CPU of a call for the longer chart over those for the shorter one."""
    sides, sizes, outcomes = [], [], []
    tally = Connection(stage.fhir.port)
    for patient_id in _CHARTS:
        connection, asked = Connection(stage.service.port), call_for(patient_id, stage.fhir_base(0))
        for _ in range(2):  # the first makes the FHIR server's answers
            before = decode(tally.get("/tally")[1])
            outcomes.append(outcome_of(connection.post_again(HOOK, asked.body())[1]))
            after = decode(tally.get("/tally")[1])
        sizes.append((after["bytes"] - before["bytes"], after["reads"] - before["reads"]))
        sides.append(Side(stage.service, connection, HOOK, asked.body))
    if len(set(outcomes)) != 1:
        raise RuntimeError(f"the answer hangs on the number of results: {outcomes}")
    in_turns(sides, stage.rounds(8, 4), stage.calls(15))
    short, long = sides
    (few, _), (many, reads) = sizes
    what = "100,000 results over 1,000"
    yield Row(
        "G12",
        f"{what}: bytes read",
        "×",
        (many / few,),
        _AIM,
        _BOUND,
        f"{many:,} bytes in {reads} reads; {outcomes[0]}",
    )
    time = tuple(ratios(long.medians, short.medians))
    yield Row("G12", f"{what}: p50", "×", time, _AIM, _BOUND, f"{1000 * min(long.medians):.1f} ms")
    cpu = tuple(ratios(long.cpu, short.cpu))
    yield Row("G12", f"{what}: CPU", "×", cpu, _AIM, _BOUND, f"{1000 * min(long.cpu):.1f} ms a call")


def call_for(patient_id: str, base: str) -> Template:
    """A call about that patient of the late FHIR server, with nothing sent."""
    told = story()
    renamed = decode(encode(told.order).replace(told.id.encode(), patient_id.encode()))
    return template(patient_id, call(replace(told, id=patient_id, order=renamed), {}, base))
