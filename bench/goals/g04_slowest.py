"""G4: how far the slowest calls lie from the usual one, at one connection and 60 KB."""

from collections.abc import Iterator

from bench.calls import percentile
from bench.stage import Stage
from bench.table import Row


def measure(stage: Stage) -> Iterator[Row]:
    """p99 over p50, round by round, of the service and of the floor."""
    service, floor = stage.against_floor("60 KB")
    for side, what, aim in ((service, "the service", 3.0), (floor, "the floor", None)):
        values = tuple(percentile(one, 0.99) / percentile(one, 0.5) for one in side.rounds)
        p50, p99 = (1000 * percentile(side.samples, share) for share in (0.5, 0.99))
        remark = f"all rounds: p50 {p50:.2f}, p99 {p99:.2f} ms"
        yield Row("G4", f"p99 over p50, 60 KB, {what}", "×", values, aim, 10.0 if aim else None, remark)
