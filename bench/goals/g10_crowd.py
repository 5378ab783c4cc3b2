"""G10 and G11: many clients at once whose calls are read from a FHIR server that answers after 50 ms (RT).

What is possible is the lesser of two rates: the clients', who each wait for one RT, and that of this machine's cores,
which the service's CPU time of a call bounds.
"""

import os
from collections.abc import Iterator

from bench.bodies import call as call_of
from bench.bodies import prefetch as prefetch_of
from bench.bodies import story, template
from bench.calls import Connection, percentile
from bench.crowd import Group, run
from bench.goals.g09_pull import READ, RT
from bench.stage import DELAY_MS, HOOK, Stage, expect_met
from bench.table import Row

_AIMS = {8: 1.15, 32: 1.25}
_RATE = 1 / 0.75


def measure(stage: Stage) -> Iterator[Row]:
    """Seven reads beside a prefetch of the rest, one by one, and in one batch."""
    for batches in (False, True):
        yield from _crowds(stage, batches)


def _crowds(stage: Stage, batches: bool) -> Iterator[Row]:
    told = story()
    part = {key: value for key, value in prefetch_of(told.resources).items() if key not in READ}
    asked = template("7 reads", call_of(told, part, stage.fhir_base(DELAY_MS, batches)))
    expect_met(Connection(stage.service.port), asked)
    reads, most_ms = ("7 reads in one batch", 2.0) if batches else ("7 reads", 7.0)
    for clients, aim in _AIMS.items():
        medians, rates, cpus = [], [], []
        for _ in range(stage.rounds(4, 2)):
            group = Group(stage.service, HOOK, asked.body, clients)
            run([group], 0.5)  # the pool of threads and connections grows to what is asked of it
            group.samples.clear()
            before = stage.service.cpu()
            seconds = run([group], 3.0)
            if group.failed:
                raise RuntimeError(f"{group.failed} calls of {clients} clients failed")
            cpu = (stage.service.cpu() - before) / len(group.samples)
            possible = min(clients / RT, (os.cpu_count() or 1) / cpu)
            medians.append(percentile(group.samples, 0.5) / RT)
            rates.append(possible * seconds / len(group.samples))
            cpus.append(1000 * cpu)
        rate = f"{len(group.samples) / seconds:.0f} calls a second"
        yield Row("G10", f"{reads}, {clients} clients: p50 over RT", "×", tuple(medians), aim, 4.0, rate)
        what = f"{reads}, {clients} clients: possible rate over rate"
        yield Row("G10", what, "×", tuple(rates), _RATE, 3.0, "the clients and the FHIR server share the cores")
        yield Row("G11", f"{reads}, {clients} clients: CPU of a call", "ms", tuple(cpus), most_ms, 20.0)
