"""A form as a browser sent it, checked field by field. Nothing of it is trusted, and nothing typed is lost."""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from io import BytesIO

from flask import request
from msgspec import Struct
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.formparser import FormDataParser

from cds_service.dtr.forms import Form
from cds_service.smart.attachments import AttachmentError, Report, read_report
from cds_service.smart.fields import Answers, FieldError, items_of, parse_text, shown, unit_text
from cds_service.smart.problems import LAUNCH_AGAIN, ProblemError
from fhir_mappings.references import Json, children

_LARGEST_TEXTS = 1_000_000
_MOST_PARTS = 400
REMOVE = "remove:"  # before the linkId: the report that is attached is taken away
CHOSEN = "chosen"  # the page's script: linkIds whose file is chosen, and not sent yet
OWN = frozenset({"csrf", "action", "form"})  # what the page sends beside answers


class Posted(Struct, frozen=True):
    """What was sent: texts as they were typed, the answers among them, new files, and what is wrong."""

    texts: dict[str, str]
    answers: Answers
    reports: dict[str, Report]
    errors: dict[str, str]


def read_form(limit: int) -> tuple[MultiDict[str, str], MultiDict[str, FileStorage]]:
    """The fields and files of the request at hand, in memory: a report has no business in a temporary file.

    Raises RequestEntityTooLarge.
    """
    request.max_content_length = limit
    parser = FormDataParser(
        stream_factory=lambda *_, **__: BytesIO(), max_form_memory_size=_LARGEST_TEXTS, max_form_parts=_MOST_PARTS
    )
    _, sent, files = parser.parse(request.stream, request.mimetype, request.content_length, request.mimetype_params)
    return sent, files


def read_posted(
    form: Form,
    sent: MultiDict[str, str],
    files: MultiDict[str, FileStorage],
    attached: Mapping[str, Json],
    today: date,
    public_url: str,
    completing: bool,
) -> Posted:
    """The checked fields. `attached` are the reports that the form has already. Raises ProblemError."""
    items = items_of(form)
    _check_names(items, sent, files)
    texts = {name: sent.get(name, "") for name in items if name in sent}
    posted = Posted(texts, {}, {}, {})
    for name, item in items.items():
        try:
            if item["type"] == "attachment":
                _read_file(posted, name, form.largest_report_mb, sent, files, attached)
                continue
            answer = parse_text(form, form.policy.questions[name], texts.get(name, ""), today, public_url)
        except (FieldError, AttachmentError) as error:
            posted.errors[name] = str(error)
            continue
        if answer is not None:
            posted.answers[name] = answer
    posted.errors.update(_of_the_whole(form, items, posted, completing))
    return posted


def _check_names(items: Mapping[str, Json], sent: MultiDict[str, str], files: MultiDict[str, FileStorage]) -> None:
    reports = {name for name, item in items.items() if item["type"] == "attachment"}
    known = {*items, *OWN, *(f"{REMOVE}{name}" for name in reports)} - reports
    odd = [name for name in sent if name not in known] + [name for name in files if name not in reports]
    twice = [name for found in (sent, files) for name in found if len(found.getlist(name)) > 1]
    if odd or twice:
        advice = f"It has fields that the plan's form has not, or has twice. {LAUNCH_AGAIN}"
        raise ProblemError(400, "This is not the plan's form", advice)


def _read_file(
    posted: Posted,
    name: str,
    largest_mb: Decimal,
    sent: MultiDict[str, str],
    files: MultiDict[str, FileStorage],
    attached: Mapping[str, Json],
) -> None:
    file = files.get(name)
    if file is not None and file.filename:
        report = read_report(file.filename, file.stream.read(), largest_mb)
        posted.reports[name] = report
        posted.answers[name] = {"valueAttachment": {"title": report.title}}
    elif name in attached and not sent.get(f"{REMOVE}{name}"):
        posted.answers[name] = attached[name]


def _of_the_whole(form: Form, items: Mapping[str, Json], posted: Posted, completing: bool) -> Iterator[tuple[str, str]]:
    """What is wrong with answers that are right by themselves."""
    asked = shown(items, posted.answers)
    for name in posted.answers.keys() - asked:
        causes = {condition["question"] for condition in children(items[name], "enableWhen")}
        if items[name]["type"] != "attachment" and not causes & posted.errors.keys():
            yield name, f"This is asked only {when_text(form, items[name])}. Empty it, or change that answer."
    if not completing:
        return
    for name in asked - posted.answers.keys() - posted.errors.keys():
        if items[name].get("required"):
            yield name, "Enter the day: without it the result cannot count."
    if not posted.answers and not posted.errors:
        first = next(iter(items))
        yield first, "Nothing is filled in yet."


def when_text(form: Form, item: Json) -> str:
    """When the item is asked, in words: `if “Diagnosis” is Acquired hemophilia`."""
    parts: list[str] = []
    for condition in item.get("enableWhen", ()):
        question = form.policy.questions[condition["question"]]
        value = next(said for name, said in condition.items() if name.startswith("answer"))
        parts.append(f"“{question.text}” {_condition(condition['operator'], value)}")
    return f"if {' or '.join(parts)}" if parts else ""


def _condition(operator: str, value: object) -> str:
    if isinstance(value, bool):
        said = "yes" if value else "no"
    elif isinstance(value, dict):
        number = value.get("value")
        said = str(value.get("display") or f"{number} {unit_text(str(value.get('unit', '')))}")
        if operator == ">=" and number == 0:
            return "has a value"
    else:
        said = str(value)
    return f"{ {'=': 'is', '!=': 'is not', '>': 'is above', '>=': 'is at least'}[operator] } {said}"
