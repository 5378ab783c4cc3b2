"""G7: HealthChain, which answers CDS Hooks in Python too: doing nothing, and reading what was sent as typed FHIR."""

import sys
from collections.abc import Iterator
from pathlib import Path

from bench.bodies import SIZES, full_prefetch
from bench.calls import Connection, Side, in_turns, ratios
from bench.processes import Process, free_port
from bench.stage import HOOK, Stage, expect_met
from bench.table import Row

_PYTHON = Path(".venv-peers/bin/python")
_SCRIPT = Path(__file__).resolve().parent.parent / "peers" / "healthchain_service.py"
_PATH = "/cds/cds-services/order-sign-crd"
_AIMS = {"nothing": {"15 KB": 0.9, "60 KB": 0.65}, "typed": {"15 KB": 1 / 10, "60 KB": 1 / 25, "1 MB": 1 / 50}}
_WHAT = {"nothing": "HealthChain doing nothing", "typed": "HealthChain reading typed FHIR"}
_CALLS = {"15 KB": 60, "60 KB": 30, "1 MB": 4}


def measure(stage: Stage) -> Iterator[Row]:
    """CPU per call of the service over HealthChain's. Left out of a quick run, and where it is not installed."""
    if stage.quick or not _PYTHON.exists():
        print("G7 is left out: `make bench` installs what it is held against", file=sys.stderr)
        return
    for kind, aims in _AIMS.items():
        port = free_port()
        peer = stage.start(Process(_WHAT[kind], [str(_SCRIPT), str(port), kind], port, python=str(_PYTHON)))
        for size in SIZES:
            template = full_prefetch(size)
            connection = Connection(stage.service.port)
            expect_met(connection, template)
            own = Side(stage.service, connection, HOOK, template.body)
            other = Side(peer, Connection(port), _PATH, template.body)
            in_turns([own, other], 5, _CALLS[size])
            remark = f"{1000 * sorted(own.cpu)[2]:.2f} over {1000 * sorted(other.cpu)[2]:.2f} ms CPU a call"
            what = f"CPU over {_WHAT[kind]}, {size}"
            yield Row("G7", what, "×", tuple(ratios(own.cpu, other.cpu)), aims.get(size), remark=remark)
