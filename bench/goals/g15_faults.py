"""G15: a FHIR server that fails costs its own callers their deadline, and others nothing.

The service has a deadline of one second here. Four clients call with the faulty server, two with everything sent. Each
calls again as soon as it is answered, so four more take their share of the cores whatever their FHIR server does: the
two are measured beside four that send everything as well.
"""

from collections.abc import Iterator

from bench.bodies import call as call_of
from bench.bodies import full_prefetch, story, template
from bench.calls import Connection, percentile
from bench.crowd import Group, run
from bench.faulty_fhir import FAULTS
from bench.processes import HOST, Process, free_port
from bench.stage import HOOK, Stage, expect_met
from bench.table import Row

DEADLINE_S = 1.0


def measure(stage: Stage) -> Iterator[Row]:
    """Each fault in turn."""
    faulty_port, port = free_port(), free_port()
    stage.start(Process("the faulty FHIR server", ["-m", "bench.faulty_fhir", str(faulty_port)], faulty_port))
    bases = {fault: f"http://{HOST}:{faulty_port}/{fault}" for fault in FAULTS}
    command, _, settings = stage.service_command(port, "faults")
    settings |= {"CDS_DEADLINE_S": str(DEADLINE_S), "CDS_FHIR_SERVERS": ",".join(bases.values())}
    service = stage.start(Process("the service", command, port, settings))
    sent = full_prefetch("15 KB")
    expect_met(Connection(port), sent)
    for fault, base in bases.items():
        quiet = Group(service, HOOK, sent.body, 2)
        run([quiet], 1.5)
        alone = percentile(quiet.samples, 0.99)
        crowd = Group(service, HOOK, sent.body, 2)
        run([crowd, Group(service, HOOK, sent.body, 4)], 1.5)
        others = Group(service, HOOK, sent.body, 2)
        troubled = Group(service, HOOK, template(fault, call_of(story(), {}, base)).body, 4)
        run([troubled, others], 4.0)
        if troubled.failed or others.failed:
            raise RuntimeError(f"{fault}: {troubled.failed + others.failed} calls failed")
        slowest = 1000 * max(troubled.samples)
        aim = 1000 * DEADLINE_S + 50
        remark = f"{len(troubled.samples)} calls"
        yield Row("G15", f"FHIR server: {FAULTS[fault]}: slowest answer", "ms", (slowest,), aim, 2 * aim, remark)
        ninety_nine = percentile(others.samples, 0.99)
        what = f"FHIR server: {FAULTS[fault]}: others' p99 over theirs"
        yield Row("G15", f"{what} alone", "×", (ninety_nine / alone,), 2.0, 16.0, f"of {len(others.samples)} calls")
        beside = ninety_nine / percentile(crowd.samples, 0.99)
        yield Row("G15", f"{what} beside four that send everything", "×", (beside,), None, 4.0)
