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
    items = list(_items(form, _shown(form, answers), version))
    return {
        "resourceType": "QuestionnaireResponse",
        "meta": {"profile": [f"{_PROFILES}/dtr-questionnaireresponse"]},
        "extension": [*_context(coverages, orders, version), _intended_use()],
        "questionnaire": form.canonical,
        "status": "in-progress",
        "subject": {"reference": subject},
        "authored": moment.isoformat(timespec="seconds"),
        "item": items or [group for group, _ in form.outline],
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


def _items(form: Form, answers: Mapping[str, Json], version: DtrVersion) -> Iterator[Json]:
    """Each group that has an answer, with its answered items."""
    origin = [_origin(version)]
    for group, items in form.outline:
        said = [
            {"linkId": link_id, "text": text, "answer": [{"extension": origin, **answers[link_id]}]}
            for link_id, text in items
            if link_id in answers
        ]
        if said:
            yield {**group, "item": said}


def _shown(form: Form, answers: Mapping[str, Json]) -> Mapping[str, Json]:
    """The answers to items that are shown. Taking one away can hide another, so it goes on until nothing changes."""
    asked = [(link_id, form.conditions[link_id]) for link_id in answers if link_id in form.conditions]
    hidden = {link_id for link_id, shown in asked if not shown.hold(answers)}
    while hidden:
        answers = {link_id: answer for link_id, answer in answers.items() if link_id not in hidden}
        asked = [(link_id, shown) for link_id, shown in asked if link_id in answers and shown.ask(hidden)]
        hidden = {link_id for link_id, shown in asked if not shown.hold(answers)}
    return answers


def is_shown(item: Json, answers: Mapping[str, Json]) -> bool:
    """True when the item's `enableWhen` holds; FHIR R4, Questionnaire.item.enableWhen (operator value set)."""
    conditions = conditions_of(item)
    return conditions is None or conditions.hold(answers)
