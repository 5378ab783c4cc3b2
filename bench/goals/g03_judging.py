"""G3: the judging alone. The least of many runs counts: all that makes one slower is the machine."""

import gc
import time
from collections.abc import Iterator

from bench.bodies import SIZES, full_prefetch
from bench.line import judge, service_in, today
from bench.stage import Stage
from bench.table import Row
from hooks import order_sign
from hooks.call import parse_call

_AIMS = {"15 KB": 60.0, "60 KB": 120.0, "1 MB": 600.0}
_BOUNDS = {"15 KB": 1_800.0, "60 KB": 3_200.0, "1 MB": 14_000.0}
_RUNS = {"15 KB": 200, "60 KB": 120, "1 MB": 12}


def measure(stage: Stage) -> Iterator[Row]:
    """The time at each size, and what a further kilobyte costs."""
    service, day = service_in(stage.folder / "judging"), today()
    gc.collect()
    gc.freeze()
    least: dict[str, list[float]] = {size: [] for size in SIZES}
    templates = {size: full_prefetch(size) for size in SIZES}
    for _ in range(stage.rounds(7)):
        for size, template in templates.items():
            call = parse_call(template.body(), order_sign.HOOK)
            runs = []
            for _ in range(stage.calls(_RUNS[size])):
                started = time.perf_counter()
                judge(call, service, day)
                runs.append(time.perf_counter() - started)
            least[size].append(1e6 * min(runs))
    for size, found in least.items():
        yield Row("G3", f"judging alone, {size}, least of many", "µs", tuple(found), _AIMS[size], _BOUNDS[size])
    for small, large in (("15 KB", "60 KB"), ("60 KB", "1 MB")):
        added = (SIZES[large] - SIZES[small]) / 1024
        slope = [(upper - lower) / added for upper, lower in zip(least[large], least[small], strict=True)]
        remark = "the 15 KB chart is a leaner one" if small == "15 KB" else ""
        yield Row("G3", f"each further KB, {small} to {large}", "µs", tuple(slope), remark=remark)
