"""G1: full prefetch of 15 KB, every criterion judged, cards and coverage information written, over the floor."""

from collections.abc import Iterator

from bench.calls import Side, milliseconds, ratios
from bench.stage import Stage
from bench.table import Row


def measure(stage: Stage) -> Iterator[Row]:
    """CPU and median time over the floor."""
    yield from over_floor(stage, "G1", "15 KB", 1.30, 8.0)


def over_floor(stage: Stage, goal: str, size: str, aim: float, bound: float) -> Iterator[Row]:
    """CPU and median time of one size over the floor."""
    service, floor = stage.against_floor(size)
    yield from over(goal, f"full prefetch, {size}", service, floor, aim, bound)


def over(
    goal: str, what: str, service: Side, floor: Side, aim: float | None = None, bound: float | None = None
) -> Iterator[Row]:
    """CPU and median time of one side over the other."""
    cpu = tuple(ratios(service.cpu, floor.cpu))
    remark = f"{milliseconds(service.cpu)} over {milliseconds(floor.cpu)} ms a call"
    yield Row(goal, f"{what}: CPU over the floor", "×", cpu, aim, bound, remark)
    time = tuple(ratios(service.medians, floor.medians))
    remark = f"{milliseconds(service.medians)} over {milliseconds(floor.medians)} ms"
    yield Row(goal, f"{what}: p50 over the floor", "×", time, aim, bound, remark)
