"""What CRD's own parts of a call cost: every option said, and the version, over the call without them."""

from collections.abc import Iterator

from bench.bodies import full_prefetch
from bench.calls import Connection, Side, in_turns, milliseconds, ratios
from bench.stage import HOOK, Stage, expect_met
from bench.table import Row
from hooks.call import VERSIONS
from hooks.options import OPTIONS

_AIM, _BOUND = 1.03, 1.5
_SIZE = "15 KB"


def measure(stage: Stage) -> Iterator[Row]:
    """CPU and median time over the plain call."""
    configuration = {option.code: option.default for option in OPTIONS}
    extension = {"davinci-crd.requestedVersion": VERSIONS[-1], "davinci-crd.configuration": configuration}
    sides = []
    for template in (full_prefetch(_SIZE, extension), full_prefetch(_SIZE)):
        connection = Connection(stage.service.port)
        expect_met(connection, template)
        sides.append(Side(stage.service, connection, HOOK, template.body))
    in_turns(sides, stage.rounds(15, 3), stage.calls(200))
    whole, plain = sides
    for what, above, below in (("CPU", whole.cpu, plain.cpu), ("p50", whole.medians, plain.medians)):
        remark = f"{milliseconds(above)} over {milliseconds(below)} ms a call"
        yield Row("", f"every option said, {_SIZE}: {what}", "×", tuple(ratios(above, below)), _AIM, _BOUND, remark)
