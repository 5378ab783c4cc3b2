"""Growth with the chart: 10 to 100,000 results, all sent, or read from a FHIR server, which answers at once or late."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from statistics import median

from bench.bodies import Template, call, prefetch, story, template
from bench.calls import Connection
from bench.delayed_fhir import CHARTS
from bench.goals.g12_long_chart import call_for
from bench.stage import DELAY_MS, HOOK, Stage, outcome_of
from bench.table import Point, Row
from bench.unrelated import observation

_MOST_SENT = 10_000  # a call with ten times as many is larger than the service reads
_CALLS = 15
_DAYS = 3000  # over which the results are spread


def measure(stage: Stage) -> Iterator[Row]:
    """The median of each way at each length."""
    for patient_id, results in CHARTS.items():
        asked = {
            "read, server answers at once": call_for(patient_id, stage.fhir_base(0)),
            f"read, server answers after {DELAY_MS} ms": call_for(patient_id, stage.fhir_base(DELAY_MS)),
        }
        if results <= _MOST_SENT:
            asked["all sent with the call"] = _sent(results)
        for line, found in asked.items():
            remark = f"{len(found.body()) // 1024:,} KB" if line.startswith("all") else ""
            values = (1000 * _median(stage, found),)
            point = Point("chart", line, results)
            yield Row("growth", f"{results:,} results, {line}: p50", "ms", values, remark=remark, point=point)


def _sent(results: int) -> Template:
    told, today = story(), datetime.now(UTC).date()
    days = (today - timedelta(days=1 + number * _DAYS // results) for number in range(results))
    added = [observation(told.id, number, day) for number, day in enumerate(days)]
    return template(f"{results} results", call(told, prefetch([*told.resources, *added])))


def _median(stage: Stage, asked: Template) -> float:
    connection = Connection(stage.service.port)
    for _ in range(2):  # the first makes the FHIR server's answers
        if outcome_of(connection.post_again(HOOK, asked.body())[1]) == "no card":
            raise RuntimeError(f"{asked.size}: the order was not judged")
    return median(connection.post(HOOK, asked.body())[0] for _ in range(stage.calls(_CALLS)))
