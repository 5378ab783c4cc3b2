"""Growth with what is loaded and who calls: 2 and 200 policies, one and two workers, 1 to 32 clients."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.bodies import full_prefetch
from bench.calls import Connection, Side, in_turns, percentile, ratios
from bench.crowd import Group, run
from bench.goals.g13_start import started
from bench.processes import Process, free_port
from bench.stage import HOOK, Stage, expect_met
from bench.table import Point, Row
from cds_service.app import POLICIES

_COPIES = 198
_CODE = "J1411"
_WORDS = ("hemgenix", "etranacogene", "AMT")


def measure(stage: Stage) -> Iterator[Row]:
    """A full prefetch of 15 KB throughout."""
    yield from _policies(stage)
    yield from _clients(stage)


def _policies(stage: Stage) -> Iterator[Row]:
    folder = stage.folder / "policies"
    _copy_policies(folder, _COPIES)
    asked = full_prefetch("15 KB")
    few, many = ({}, {"CDS_POLICIES_DIR": str(folder)})
    what = "200 policies over 2"
    first, later = [], []  # in an empty data folder, and in the one that a start has left
    for number in range(stage.rounds(5)):
        for starts in (first, later):
            starts.append([started(stage, asked, f"policies-{number}-{m}", more) for m, more in enumerate((few, many))])
    for name, starts, aim in (("first start", first, None), ("each later start", later, 1.15)):
        for place, (kind, unit) in enumerate((("to the first good answer", "s"), ("memory", "MB"))):
            short, long = ([both[side][place] for both in starts] for side in (0, 1))
            remark = f"{median(long):.2f} over {median(short):.2f} {unit}"
            told = f"{what}, {name}: {kind}"
            yield Row("growth", told, "×", tuple(ratios(long, short)), aim, remark=remark)
    sides = []
    for name, more in (("few", few), ("many", many)):
        port = free_port()
        command, _, settings = stage.service_command(port, f"policies-{name}")
        process = stage.start(Process(name, command, port, settings | more))
        connection = Connection(port)
        expect_met(connection, asked)
        sides.append(Side(process, connection, HOOK, asked.body))
    in_turns(sides, stage.rounds(5), stage.calls(150))
    cpu = tuple(ratios(sides[1].cpu, sides[0].cpu))
    yield Row("growth", f"{what}: CPU of a call", "×", cpu, 1.1, remark=f"{1000 * min(sides[1].cpu):.2f} ms")


def _copy_policies(folder: Path, copies: int) -> None:
    """The shipped policies, and copies of the first for drugs that there are not, each with its own codes and words."""
    shutil.copytree(POLICIES, folder)
    policy = (POLICIES / "pharmacy-109" / "hemgenix" / "2025-11-20.yaml").read_text(encoding="utf-8")
    codes = (POLICIES / "value_sets" / "order.hemgenix.yaml").read_text(encoding="utf-8")
    head, _, words = codes.partition("codes:\n")
    words = words[words.index("text:") :]
    for number in range(copies):
        drug = f"copy{number:03d}"
        made = f"  - {{system: hcpcs, code: Z{number:04d}, display: {drug}, source: none}}\n"
        text = f"{head}codes:\n{made}{words}".replace("order.hemgenix", f"order.{drug}")
        for word in _WORDS:
            text = text.replace(word, drug)
        (folder / "value_sets" / f"order.{drug}.yaml").write_text(text, encoding="utf-8")
        own = folder / "pharmacy-109" / drug
        own.mkdir()
        text = policy.replace("drug: hemgenix", f"drug: {drug}").replace("[order.hemgenix]", f"[order.{drug}]")
        (own / "2025-11-20.yaml").write_text(text.replace(_CODE, f"Z{number:04d}"), encoding="utf-8")


def _clients(stage: Stage) -> Iterator[Row]:
    asked = full_prefetch("15 KB")
    for workers in (1, 2):
        port = free_port()
        command, _, settings = stage.service_command(port, f"workers-{workers}")
        service = stage.start(Process("the service", command, port, settings | {"CDS_WORKERS": str(workers)}))
        expect_met(Connection(port), asked)
        for clients in (1, 2, 4, 8, 16, 32):
            group = Group(service, HOOK, asked.body, clients)
            run([group], 0.5)
            group.samples.clear()
            seconds = run([group], 3.0)
            if group.failed:
                raise RuntimeError(f"{group.failed} calls of {clients} clients failed")
            p50, p99 = (1000 * percentile(group.samples, share) for share in (0.5, 0.99))
            remark = f"p99 {p99:.1f} ms, {len(group.samples) / seconds:.0f} calls a second"
            what = f"{clients} clients, {workers} workers: p50".replace("1 clients", "1 client")
            what, line = (text.replace("1 workers", "1 worker") for text in (what, f"{workers} workers"))
            yield Row("growth", what, "ms", (p50,), remark=remark, point=Point("clients", line, clients))
