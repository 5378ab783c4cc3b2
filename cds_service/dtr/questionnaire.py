"""A policy's questions as a FHIR R4 Questionnaire (DTR "Standard Questionnaire", SDC "Advanced Rendering").

A group for each criterion that asks something, under the policy's own paragraph; linkIds and types as the policy has
them. An item is shown only when what was answered before makes it matter (DTR spec-17).
"""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from html import escape
from typing import Any

from cds_service.dtr.names import CORE, DTR, SDC, STANDARD_FORM, UCUM, DtrVersion, coding, form_url
from cds_service.dtr.prefill_library import Prefill
from cds_service.dtr.reports import largest_report_mb
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.policy import Criterion, Policy, Question, ShownWhen
from fhir_mappings.labs import LabTable

_OF_A_RESULT = ("below", "date", "report")  # what belongs to a result, by the end of its linkId
_LAUNCH = f"{SDC}/sdc-questionnaire-launchContext"
_LAUNCHED_WITH = (
    ("patient", "Patient", "Patient", "The patient whom the order is for"),
    ("user", "User", "Practitioner", "Who fills in the form"),
)

Json = dict[str, Any]


def questionnaire(
    policy: CompiledPolicy,
    labs: LabTable,
    public_url: str,
    largest_body: int,
    until: date | None = None,
    prefill: Prefill | None = None,
    version: DtrVersion = "2.2",
) -> Json:
    """The form of this policy version, for a client that speaks that version of DTR.

    `largest_body`, in bytes, rules how large a report may be.
    `until` is the last day before the next version of the policy, where there is one.
    """
    source = policy.source
    period = {"start": source.version.isoformat(), **({"end": until.isoformat()} if until is not None else {})}
    return {
        "resourceType": "Questionnaire",
        "id": source.questionnaire,
        "meta": {"profile": [STANDARD_FORM]},
        "text": _narrative(source),
        "extension": [*map(_launch_context, _LAUNCHED_WITH), *_about(prefill, version)],
        "url": form_url(source, public_url),
        "version": source.version.isoformat(),
        "name": "".join(part.capitalize() for part in source.questionnaire.split("-")),
        "title": f"{source.name}: documentation for {source.policy}",
        "status": "active",
        "experimental": False,
        "subjectType": ["Patient"],
        "date": source.version.isoformat(),
        "description": f"What the plan asks for under {source.policy} where the chart does not show it.",
        "jurisdiction": [{"coding": [{"system": "urn:iso:std:iso:3166", "code": "US"}]}],
        "effectivePeriod": period,
        "item": list(_groups(source, labs, prefill, public_url, largest_report_mb(source, largest_body), version)),
    }


def groups(policy: Policy) -> Iterator[tuple[Criterion, list[Question]]]:
    """Each criterion with the questions that stand under it: those that an earlier one has not asked."""
    by_id = {question.id: question for question in policy.questions}
    asked: set[str] = set()
    for criterion in policy.criteria:
        own = [by_id[link_id] for link_id in criterion.questions if link_id not in asked]
        asked.update(criterion.questions)
        if own:
            yield criterion, own


def group_id(criterion: Criterion) -> str:
    """The linkId of a criterion's group."""
    return f"criterion.{criterion.id}"


def _narrative(policy: Policy) -> Json:
    asked = "".join(f"<li>{escape(f'{c.id}. {c.label}')}</li>" for c, _ in groups(policy))
    title = escape(f"{policy.policy} {policy.title}: {policy.name}, version {policy.version.isoformat()}")
    return {
        "status": "generated",
        "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{title}</p><ul>{asked}</ul></div>',
    }


def _launch_context(found: tuple[str, str, str, str]) -> Json:
    code, display, kind, description = found
    named = {"system": f"{SDC.removesuffix('/StructureDefinition')}/CodeSystem/launchContext", "code": code}
    return {
        "url": _LAUNCH,
        "extension": [
            {"url": "name", "valueCoding": {**named, "display": display}},
            {"url": "type", "valueCode": kind},
            {"url": "description", "valueString": description},
        ],
    }


def _about(prefill: Prefill | None, version: DtrVersion) -> Iterator[Json]:
    """Whom the form asks, that each order has its own response, and what fills it in (DTR spec-87)."""
    if version != "2.0.1":  # which has neither
        yield {"url": f"{DTR}/StructureDefinition/questionnaireAudience", "valueCode": "clinical"}
        yield {"url": f"{DTR}/StructureDefinition/request-specific", "valueBoolean": True}
    if prefill is not None:
        yield {"url": f"{CORE}/cqf-library", "valueCanonical": prefill.canonical}


def _groups(
    policy: Policy,
    labs: LabTable,
    prefill: Prefill | None,
    public_url: str,
    largest_mb: Decimal,
    version: DtrVersion,
) -> Iterator[Json]:
    by_id = {question.id: question for question in policy.questions}
    for criterion, questions in groups(policy):
        quoted = {
            "linkId": f"paragraph.{criterion.id}",
            "text": f"{policy.policy}, {criterion.id}: “{criterion.paragraph}”",
            "type": "display",
        }
        yield {
            "linkId": group_id(criterion),
            "extension": [{"url": f"{SDC}/sdc-questionnaire-collapsible", "valueCode": "default-open"}],
            "prefix": criterion.id,
            "text": criterion.label,
            "type": "group",
            "item": [
                quoted,
                *(_item(q, policy, by_id, labs, prefill, public_url, largest_mb, version) for q in questions),
            ],
        }


def _item(
    question: Question,
    policy: Policy,
    by_id: Mapping[str, Question],
    labs: LabTable,
    prefill: Prefill | None,
    public_url: str,
    largest_mb: Decimal,
    version: DtrVersion,
) -> Json:
    item: Json = {"linkId": question.id}
    extensions = [*_limits(question, largest_mb), *_filled_in(question, prefill, version)]
    if extensions:
        item["extension"] = extensions
    if question.loinc:
        item["code"] = [_loinc(question.loinc, labs)]
    item |= {"text": question.text, "type": question.type}
    shown = _shown_when(question, policy, by_id, public_url)
    if shown:
        item["enableWhen"] = shown
        if len(shown) > 1:
            item["enableBehavior"] = "any"
    if question.type == "date" and shown:
        item["required"] = True  # a result without its day never counts
    if question.options:
        item["answerOption"] = [
            {"valueCoding": coding(policy, question, code, public_url)} for code in question.options
        ]
    if question.help:
        item["item"] = [_help(question)]
    return item


def _limits(question: Question, largest_mb: Decimal) -> Iterator[Json]:
    """Units and ranges; the largest report that is taken."""
    if question.type == "attachment":
        yield {"url": f"{CORE}/maxSize", "valueDecimal": largest_mb}
    if question.type == "quantity":
        yield {
            "url": f"{CORE}/questionnaire-unitOption",
            "valueCoding": {"system": UCUM, "code": question.unit, "display": question.unit},
        }
    for name, limit in (("min", question.min), ("max", question.max)):
        if limit is not None and question.type == "quantity":
            value = {"value": limit, "unit": question.unit, "system": UCUM, "code": question.unit}
            yield {"url": f"{SDC}/sdc-questionnaire-{name}Quantity", "valueQuantity": value}
        elif limit is not None:
            yield {"url": f"{CORE}/{name}Value", "valueInteger": limit}


def _filled_in(question: Question, prefill: Prefill | None, version: DtrVersion) -> Iterator[Json]:
    """The statement that answers the item: by name with the same as ELM (DTR 2.2 spec-86, spec-96), or as CQL."""
    statement = prefill.statements.get(question.id) if prefill is not None else None
    if prefill is None or statement is None:
        return
    library = prefill.resource["name"]
    said: Json
    if version == "2.0.1":
        said = {"language": "text/cql", "expression": f'"{library}".{statement}'}
    else:
        elm = f'{{"type":"ExpressionRef","name":"{statement}","libraryName":"{library}"}}'
        also = {
            "url": f"{DTR}/StructureDefinition/alternativeExpression",
            "valueExpression": {"language": "application/elm+json", "expression": elm},
        }
        said = {"extension": [also], "language": "text/cql-identifier", "expression": statement}
    yield {"url": f"{SDC}/sdc-questionnaire-initialExpression", "valueExpression": said}


def _loinc(code: str, labs: LabTable) -> Json:
    known = {found.code: found.display for test in labs.tests.values() for found in test.codes}
    return {"system": "http://loinc.org", "code": code, **({"display": known[code]} if code in known else {})}


def _help(question: Question) -> Json:
    control = {"system": "http://hl7.org/fhir/questionnaire-item-control", "code": "help"}
    return {
        "linkId": f"help.{question.id}",
        "text": question.help,
        "type": "display",
        "extension": [
            {"url": f"{CORE}/questionnaire-itemControl", "valueCodeableConcept": {"coding": [control]}},
        ],
    }


def _shown_when(question: Question, policy: Policy, by_id: Mapping[str, Question], public_url: str) -> list[Json]:
    if question.show_when:
        return [_condition(shown, by_id[shown.question], policy, public_url) for shown in question.show_when]
    result, _, part = question.id.rpartition(".")
    if part not in _OF_A_RESULT or result not in by_id:
        return []
    shown_by: list[Json] = []
    for member in policy.questions:
        if member.id == result or member.result_of == result:
            if member.words:  # only what says a result has a date: "not done" has none
                shown_by += [
                    {"question": member.id, "operator": "=", "answerCoding": coding(policy, member, code, public_url)}
                    for code in member.words
                ]
            else:
                least = {"value": member.min or 0, "unit": member.unit, "system": UCUM, "code": member.unit}
                shown_by.append({"question": member.id, "operator": ">=", "answerQuantity": least})
    return shown_by


def _condition(shown: ShownWhen, asked: Question, policy: Policy, public_url: str) -> Json:
    if shown.above is not None:
        return {"question": asked.id, "operator": ">", "answerInteger": shown.above}
    operator, said = ("=", shown.said) if shown.said else ("!=", shown.unsaid)
    condition: Json = {"question": asked.id, "operator": operator}
    if asked.type == "boolean":
        return {**condition, "answerBoolean": said == "yes"}
    return {**condition, "answerCoding": coding(policy, asked, said, public_url)}
