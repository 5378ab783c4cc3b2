"""G8: the engine that DTR clients run (`cql-execution`), over the same chart, in processes that are both warm.

It runs the library that fills the policy's form in (docs/decisions/0005-population-as-cql.md), which finds the facts
and judges nothing; the service finds the same facts and judges every criterion.
"""

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.bodies import PUBLIC_URL, SIZES, full_prefetch
from bench.line import judge, service_in, today
from bench.stage import Stage
from bench.table import Row
from cds_service.dtr.forms import Forms
from hooks import order_sign
from hooks.call import Call, parse_call
from hooks.service import Service
from hooks.wire import encode

_ENGINE = Path(__file__).resolve().parent.parent / "peers" / "cql_engine.mjs"
_INSTALLED = Path(__file__).resolve().parent.parent.parent / "elm" / "node_modules"
_DRUG = "hemgenix"
_AIM = 1 / 150
_RUNS = {"15 KB": (60, 200), "60 KB": (20, 120), "1 MB": (4, 12)}  # of the engine, of the judging


def measure(stage: Stage) -> Iterator[Row]:
    """The judging's time over the engine's, the least of many each. Left out where the engine is not installed."""
    if not _INSTALLED.is_dir():
        print("G8 is left out: `make bench` installs what it is held against", file=sys.stderr)
        return
    service = service_in(stage.folder / "cql")
    elm = _library(service)
    for size in SIZES:
        call = parse_call(full_prefetch(size).body(), order_sign.HOOK)
        theirs, ours = [], []
        for _ in range(stage.rounds(3)):
            theirs.append(_engine(elm, call, _RUNS[size][0]))
            ours.append(_least(call, service, _RUNS[size][1]))
        remark = f"{1000 * min(ours):.2f} over {1000 * min(theirs):.1f} ms"
        values = tuple(own / other for own, other in zip(ours, theirs, strict=True))
        aim = _AIM if size == "15 KB" else None
        yield Row("G8", f"judging over a CQL engine's filling in, {size}", "×", values, aim, remark=remark)


def _library(service: Service) -> Any:
    forms = Forms(service.library, service.vocabulary.labs, PUBLIC_URL, 16 * 1024 * 1024).every()
    form = next(found for found in forms if found.policy.source.drug == _DRUG)
    if form.filled_in_by is None:
        raise RuntimeError(f"the form of {_DRUG} is not filled in by a library")
    content = {one["contentType"]: one["data"] for one in form.filled_in_by.resource["content"]}
    return json.loads(base64.b64decode(content["application/elm+json"]))


def _engine(elm: Any, call: Call, runs: int) -> float:
    """Seconds of the engine's quickest evaluation. Raises RuntimeError when it found nothing in the chart."""
    entries = [
        entry
        for sent in filter(None, call.prefetch.values())
        for entry in (sent.get("entry", []) if sent["resourceType"] == "Bundle" else [{"resource": sent}])
    ]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    given = encode({"elm": elm, "day": today().isoformat(), "bundle": bundle, "runs": runs})
    done = subprocess.run(["node", str(_ENGINE)], input=given, capture_output=True, check=True)  # noqa: S603, S607
    found = json.loads(done.stdout)
    if found["said"] < 10:
        raise RuntimeError(f"the CQL engine found next to nothing: {found['said']} statements")
    return float(min(found["milliseconds"])) / 1000


def _least(call: Call, service: Service, runs: int) -> float:
    """Seconds of the quickest judging."""
    found = []
    for _ in range(runs):
        started = time.perf_counter()
        judge(call, service, today())
        found.append(time.perf_counter() - started)
    return min(found)
