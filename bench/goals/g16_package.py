"""G16: a form's package, with coverage, order and assertion id sent along and the draft filled in, over the floor."""

from collections.abc import Iterator

from bench.bodies import call, prefetch, story
from bench.calls import Connection, Side, in_turns
from bench.goals.g01_small_chart import over
from bench.stage import HOOK, Stage
from bench.table import Row
from hooks.wire import decode, encode

_STORY = "demo-labs-missing"
_PACKAGE = "/fhir/Questionnaire/$questionnaire-package"


def measure(stage: Stage) -> Iterator[Row]:
    """CPU and median time over the floor: filled in from the sealed facts, and where none are kept."""
    for process, kind, least in ((stage.keeping, "filled in", 10), (stage.service, "no facts kept", 1)):
        connection = Connection(process.port)
        body = _body(connection)
        _, found = connection.post(_PACKAGE, body)
        if found.count(b"auto-server") < least:
            raise RuntimeError(f"{kind}: the draft of the package is emptier than it should be")
        service = Side(process, connection, _PACKAGE, lambda body=body: body)
        floor = Side(stage.floor, Connection(stage.floor.port), f"/{len(found)}", lambda body=body: body)
        in_turns([service, floor], stage.rounds(9, 4), stage.calls(150))
        yield from over("G16", f"a form's package, {len(found) // 1000} KB, {kind}", service, floor, 1.30, 7.0)


def _body(connection: Connection) -> bytes:
    """The parameters of a package for an order that was just answered."""
    told = story(_STORY)
    _, answered = connection.post(HOOK, encode(call(told, prefetch(told.resources))))
    (said,) = [
        card["extension"]["drug-coverage.determination"]
        for card in decode(answered)["cards"]
        if "drug-coverage.determination" in card["extension"]
    ]
    (coverage,) = [one for one in told.resources if one["resourceType"] == "Coverage"]
    order = {**told.order, "id": said["order"].partition("/")[2]}
    parameters = [
        {"name": "coverage", "resource": coverage},
        {"name": "order", "resource": order},
        {"name": "context", "valueString": said["assertionId"]},
    ]
    return encode({"resourceType": "Parameters", "parameter": parameters})
