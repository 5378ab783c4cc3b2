"""The calls that are measured: order-sign for Hemgenix with every criterion met, in charts of several sizes."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import count
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from bench.unrelated import unrelated
from cds_service.demo.stories import Story, stories
from fhir_mappings.prefetch import ROWS
from hooks.wire import encode

Json = dict[str, Any]

STORY = "demo-hemgenix-met"
PUBLIC_URL = "https://coverage.example"
SIZES = {"15 KB": 15 * 1024, "60 KB": 60 * 1024, "1 MB": 1024 * 1024}

_ORDER_ID = "bench-order-00000000"
_INSTANCE = "00000000-0000-4000-8000-000000000000"
_NUMBERS = count(1)

# What a leaner export leaves out. Nothing of it decides a criterion.
_LEFT_OUT = frozenset(
    {"address", "category", "communication", "custodian", "extension", "issued", "meta", "performer"}
    | {"recordedDate", "recorder", "serviceProvider", "telecom", "text"}
)
_LEFT_OUT_RESOURCES = (
    *(
        "-bleed-log",
        "-infusion-1",
        "-infusion-2",
        "-infusion-3",
        "-knee-bleed",
        "-consult",
        "-laboratory",
        "-visit",
        "-screening",
    ),
    *("-liver-scan", "-liver-scan-report"),
)


class Template(Struct, frozen=True):
    """A body in which each call puts an order of its own: every call is a new order."""

    size: str
    parts: tuple[bytes, ...]

    def body(self) -> bytes:
        """The body of one call, with an order and an instance that no other call has."""
        number = f"{next(_NUMBERS):08d}"
        before, between, after = self.parts
        return b"".join(
            (before, f"{_INSTANCE[:-8]}{number}".encode(), between, f"{_ORDER_ID[:-8]}{number}".encode(), after)
        )


def story(story_id: str = STORY) -> Story:
    """A patient of the demo, by default the one for whom every criterion is met."""
    return next(told for told in stories(datetime.now(UTC).date(), PUBLIC_URL) if told.id == story_id)


OTHER_DRUG = {
    "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "860975"}],
    "text": "Metformin",
}


def ungoverned(size: str) -> Template:
    """The same call for a drug that no policy governs."""
    told = story()
    return full_prefetch(size, told=replace(told, order={**told.order, "medicationCodeableConcept": OTHER_DRUG}))


def full_prefetch(size: str, extension: Json | None = None, told: Story | None = None) -> Template:
    """An order-sign call of that size with the whole chart in its prefetch, under the service's own keys.

    `extension` comes on top of the size; without it there is none.
    """
    told = told or story()
    chart = [lean(found) for found in told.resources if _kept(found)] if size == "15 KB" else list(told.resources)
    chart = _padded(chart, told, SIZES[size])
    body = call(told, prefetch(chart))
    return template(size, body if extension is None else {**body, "extension": extension})


def _kept(resource: Json) -> bool:
    return not str(resource["id"]).endswith(_LEFT_OUT_RESOURCES)


def lean(resource: Json) -> Json:
    """The resource as an export without adornments has it."""
    kept: Json = {name: _bare(value) for name, value in resource.items() if name not in _LEFT_OUT}
    if resource["resourceType"] != "Organization":
        kept.pop("identifier", None)
    concept = kept.get("code") if resource["resourceType"] == "Observation" else None
    if isinstance(concept, dict) and "coding" in concept and concept["coding"][0]["system"] == "http://loinc.org":
        kept["code"] = {"coding": [{"system": "http://loinc.org", "code": concept["coding"][0]["code"]}]}
        kept.pop("referenceRange", None)
    return kept


def _bare(value: Any) -> Any:
    """The value with references and codings that are nothing else."""
    if isinstance(value, list):
        return [_bare(member) for member in value]
    if not isinstance(value, dict):
        return value
    if "reference" in value:
        return {"reference": value["reference"]}
    if "system" in value and "display" in value:
        return {"system": value["system"], "code": value["code"]}
    return {name: _bare(member) for name, member in value.items()}


def _padded(chart: list[Json], told: Story, size: int) -> list[Json]:
    """The chart with unrelated resources until the whole call has that size."""
    left = size - len(encode(call(told, prefetch(chart))))
    if left < 0:
        raise ValueError(f"the chart alone is {-left} bytes above {size}")
    added: list[Json] = []
    for resource in unrelated(told.id, datetime.now(UTC).date()):
        left -= len(encode({"resource": resource})) + 1
        if left < 0:
            return chart + added
        added.append(resource)
    return chart


def prefetch(chart: Iterable[Json]) -> Json:
    """The chart under the service's prefetch keys, null where there is nothing."""
    found: dict[str, list[Json]] = {row.type: [] for row in ROWS}
    for resource in chart:
        found[resource["resourceType"]].append({"resource": resource})
    return {row.key: _bundle(found[row.type]) if found[row.type] else None for row in ROWS}


def _bundle(entries: list[Json]) -> Json:
    return {"resourceType": "Bundle", "type": "searchset", "entry": entries}


def call(told: Story, given: Json, fhir_server: str = "") -> Json:
    """The order-sign call for the story's order."""
    order = {**told.order, "id": _ORDER_ID}
    body: Json = {
        "hook": "order-sign",
        "hookInstance": _INSTANCE,
        "context": {
            "userId": told.order["requester"]["reference"],
            "patientId": told.id,
            "draftOrders": {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": order}]},
        },
        "prefetch": given,
    }
    if fhir_server:
        body["fhirServer"] = fhir_server
    return body


def template(size: str, body: Json) -> Template:
    """The call, ready to be sent many times."""
    before, rest = encode(body).split(_INSTANCE.encode())
    between, after = rest.split(_ORDER_ID.encode())
    return Template(size, (before, between, after))
