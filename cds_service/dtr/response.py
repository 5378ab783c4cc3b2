"""The draft QuestionnaireResponse of a package (DTR "Questionnaire Response" profile)."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from cds_service.dtr.conditions import conditions_of
from cds_service.dtr.forms import Form
from cds_service.dtr.names import DTR, DtrVersion
from fhir_mappings.references import Json

_PROFILES = f"{DTR}/StructureDefinition"
_PURPOSES = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"


def draft_response(
    form: Form,
    answers: Mapping[str, Json],
    subject: str,
    coverages: tuple[str, ...],
    orders: tuple[str, ...],
    moment: datetime,
    version: DtrVersion,
) -> Json:
    """The draft for these orders under these coverages; disabled items are left out."""
    groups = form.questionnaire["item"]
    shown = _shown(form, answers)
    items = list(_items(groups, shown, version))
    return {
        "resourceType": "QuestionnaireResponse",
        "meta": {"profile": [f"{_PROFILES}/dtr-questionnaireresponse"]},
        "extension": [*_context(coverages, orders, version), _intended_use()],
        "questionnaire": form.canonical,
        "status": "in-progress",
        "subject": {"reference": subject},
        "authored": moment.isoformat(timespec="seconds"),
        "item": items or [{"linkId": group["linkId"], "text": group["text"]} for group in groups],
    }


def _context(coverages: tuple[str, ...], orders: tuple[str, ...], version: DtrVersion) -> Iterator[Json]:
    """What the response is about: DTR 2.0.1 has one extension for coverage and order, later ones have two."""
    for reference in coverages:
        name = "qr-context" if version == "2.0.1" else "qr-coverage"
        yield {"url": f"{_PROFILES}/{name}", "valueReference": {"reference": reference}}
    for reference in orders:
        yield {"url": f"{_PROFILES}/qr-context", "valueReference": {"reference": reference}}


def _intended_use() -> Json:
    concept = {"coding": [{"system": _PURPOSES, "code": "withpa"}]}
    return {"url": f"{_PROFILES}/intendedUse", "valueCodeableConcept": concept}


def _origin(version: DtrVersion) -> Json:
    source = "auto" if version == "2.0.1" else "auto-server"
    return {"url": f"{_PROFILES}/information-origin", "extension": [{"url": "source", "valueCode": source}]}


def _items(items: list[Json], answers: Mapping[str, Json], version: DtrVersion) -> Iterator[Json]:
    for item in items:
        said: Json = {"linkId": item["linkId"], "text": item["text"]}
        if item["type"] == "group":
            inner = list(_items(item["item"], answers, version))
            if inner:
                yield {**said, "item": inner}
        elif item["linkId"] in answers:
            yield {**said, "answer": [{"extension": [_origin(version)], **answers[item["linkId"]]}]}


def _shown(form: Form, answers: Mapping[str, Json]) -> dict[str, Json]:
    """The answers to items that are shown. Taking one away can hide another, so it goes on until nothing changes."""
    left = {link_id: answers[link_id] for link_id in form.items if link_id in answers}
    conditional = [(link_id, form.conditions[link_id]) for link_id in left if link_id in form.conditions]
    while True:
        hidden = [link_id for link_id, shown in conditional if link_id in left and not shown.hold(left)]
        if not hidden:
            return left
        for link_id in hidden:
            del left[link_id]


def is_shown(item: Json, answers: Mapping[str, Json]) -> bool:
    """True when the item's `enableWhen` holds; FHIR R4, Questionnaire.item.enableWhen (operator value set)."""
    conditions = conditions_of(item)
    return conditions is None or conditions.hold(answers)
