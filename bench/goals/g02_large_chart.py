"""G2: the same of 60 KB and 1 MB."""

from collections.abc import Iterator

from bench.goals.g01_small_chart import over_floor
from bench.stage import Stage
from bench.table import Row


def measure(stage: Stage) -> Iterator[Row]:
    """CPU and median time over the floor."""
    yield from over_floor(stage, "G2", "60 KB", 1.25, 7.0)
    yield from over_floor(stage, "G2", "1 MB", 1.15, 5.0)
