"""G6: an order that no policy governs, with the same prefetch, over the floor."""

from collections.abc import Iterator

from bench.bodies import Template, ungoverned
from bench.calls import Connection, Side, in_turns, milliseconds, ratios
from bench.stage import HOOK, Stage, outcome_of
from bench.table import Row

_AIM, _BOUND = 1.15, 3.5
_CALLS = {"15 KB": 250, "60 KB": 200}


def measure(stage: Stage) -> Iterator[Row]:
    """CPU and median time of each size over the floor."""
    for size, calls in _CALLS.items():
        template = ungoverned(size)
        service, floor = _sides(stage, template)
        in_turns([service, floor], stage.rounds(9, 3), stage.calls(calls))
        for what, above, below in (("CPU", service.cpu, floor.cpu), ("p50", service.medians, floor.medians)):
            remark = f"{milliseconds(above)} over {milliseconds(below)} ms a call"
            values = tuple(ratios(above, below))
            yield Row("G6", f"ungoverned order, {size}: {what} over the floor", "×", values, _AIM, _BOUND, remark)


def _sides(stage: Stage, template: Template) -> tuple[Side, Side]:
    connection = Connection(stage.service.port)
    _, found = connection.post_again(HOOK, template.body())
    if outcome_of(found) != "no card" or b'"conditional"' not in found:
        raise RuntimeError("the order of G6 is governed by a policy")
    floor = Side(stage.floor, Connection(stage.floor.port), f"/{len(found)}", template.body)
    return Side(stage.service, connection, HOOK, template.body), floor
