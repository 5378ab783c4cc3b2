"""Measures every goal in one run, prints the table and keeps it in docs/performance.md."""

import argparse
import os
import platform
import sys
import time
from datetime import UTC, datetime

from bench.goals import measure_all
from bench.pictures import draw
from bench.stage import Stage
from bench.table import DOCUMENT, Row, table, too_slow, write


def main() -> int:
    """The exit code: 1 when a quick run finds a row above its bound."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer calls, generous bounds, nothing written")
    quick = parser.parse_args().quick
    started = time.monotonic()
    rows: list[Row] = []
    with Stage(quick) as stage:
        for row in measure_all(stage):
            rows.append(row)
            print(table([row]).splitlines()[-1], file=sys.stderr, flush=True)
    took = time.monotonic() - started
    found = f"{_machine()}, {took:.0f} s\n\n{table(rows)}"
    print(found)
    if quick:
        slow = too_slow(rows)
        print("\n".join(slow) or "Every row is within its bound.")
        return 1 if slow else 0
    write(found)
    drawn = draw(rows)
    print(f"Written to {DOCUMENT.parent.name}/{DOCUMENT.name}, with {len(drawn)} pictures.")
    return 0


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python = f"Python {platform.python_version()}"
    return f"{datetime.now(UTC).date()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, {python}"


if __name__ == "__main__":
    sys.exit(main())
