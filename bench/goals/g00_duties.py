"""What the floor costs that also does what no answer here may leave out (bench/duties.py).

It is the closest that G1, G2 and G6 could come to their aims, were judging and cards for nothing.
"""

from collections.abc import Iterator

from bench.bodies import full_prefetch
from bench.calls import Connection, Side, in_turns
from bench.goals.g01_small_chart import over
from bench.stage import Stage
from bench.table import Row

_ANSWER = 12_000  # bytes
_WHAT = {
    "checked": "the floor that looks for members that stand twice and logs a line",
    "kept": "the floor that commits a row",
    "both": "the floor that does both",
}
_MEASURED = {"15 KB": (300, tuple(_WHAT)), "60 KB": (200, ("both",)), "1 MB": (25, ("both",))}  # calls, and which


def measure(stage: Stage) -> Iterator[Row]:
    """CPU and median time of each over the floor."""
    for size, (calls, measured) in _MEASURED.items():
        body = full_prefetch(size).body
        sides = {
            which: Side(stage.floor, Connection(stage.floor.port), f"/{which}/{_ANSWER}".replace("//", "/"), body)
            for which in ("", *measured)
        }
        in_turns(list(sides.values()), stage.rounds(9), stage.calls(calls))
        for which in measured:
            yield from over("", f"{_WHAT[which]}, {size}", sides[which], sides[""])
