"""What the form's pages show, as plain values for the templates."""

from collections.abc import Collection
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from cds_service.dtr.forms import Form
from cds_service.dtr.reports import MEGABYTE
from cds_service.pages.unbroken import unbroken
from cds_service.policy.determination import Determination, Finding
from cds_service.policy.policy import Question
from cds_service.policy.reasons import Outcome, Reason, Status
from cds_service.smart.attachments import ACCEPTED, too_large
from cds_service.smart.fields import conditions, items_of, unit_text
from cds_service.smart.posted import when_text
from fhir_mappings.references import Json, child, plain, word
from hooks.wire import encode
from hooks.wording import why_open

_TEMPLATES = Environment(
    loader=PackageLoader("cds_service.smart"),
    autoescape=select_autoescape(default=True, default_for_string=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_STATUS = {
    Status.MET: "Met",
    Status.NOT_MET: "Not met",
    Status.UNKNOWN: "Still open",
    Status.NOT_APPLICABLE: "Does not apply to this patient",
}
_ANSWER = {
    Outcome.CRITERIA_MET: "All of the plan’s criteria are met.",
    Outcome.CRITERIA_NOT_MET: "The plan’s criteria are not all met. The plan decides.",
    Outcome.DOCUMENTATION_MISSING: "Documentation is still missing.",
    Outcome.UNDETERMINED: "Part of the chart could not be read, so there is no answer yet.",
    Outcome.NEEDS_REVIEW: "Nothing is missing. The plan has to look at what contradicts itself.",
    Outcome.POLICY_NOT_APPLICABLE: "This drug policy does not apply to the patient’s plan.",
}
_REPORT = "Attach the report."


_TEMPLATES.filters["unbroken"] = unbroken


def render(template: str, **values: Any) -> str:
    """The page."""
    return _TEMPLATES.get_template(template).render(**values)


def answer_view(said: Determination, reports: Collection[str] = ()) -> dict[str, Any]:
    """What the answer would be, what is still missing for it, and the notes behind it that have no report attached."""
    failed, missing = said.blocking(Status.NOT_MET), said.blocking(Status.UNKNOWN)
    return {
        "outcome": said.outcome.value,
        "text": _ANSWER[said.outcome],
        "open": [*(_open(finding) for finding in failed), *(_open(finding) for finding in missing)],
        "met": sum(1 for one in said.findings if one.blocking and one.status in (Status.MET, Status.NOT_APPLICABLE)),
        "of": sum(1 for one in said.findings if one.blocking),
        "attach": list(dict.fromkeys(one.attach for one in said.findings if one.attach and _by_answer(one, reports))),
    }


def _open(finding: Finding) -> dict[str, Any]:
    why = finding.says or why_open(finding)
    needed = _REPORT if finding.reason is Reason.ATTESTED_ONLY else "; ".join(finding.needed)
    return {"id": finding.id, "label": finding.label, "why": plain(why, 300), "needed": plain(needed, 500)}


def _by_answer(finding: Finding, reports: Collection[str]) -> bool:
    if any(name in reports for name in finding.questions):
        return False
    return finding.status is Status.MET and any(
        fact.reference.startswith("QuestionnaireResponse/") for fact in finding.evidence
    )


def groups_view(
    form: Form,
    alone: Determination | None,
    now: Determination | None,
    texts: dict[str, str],
    origins: dict[str, str],
    errors: dict[str, str],
    attached: dict[str, Json],
) -> list[dict[str, Any]]:
    """The form's groups, each with its fields.

    What the chart `alone` shows and the answers on the page leave so `now` is folded; nothing without a determination.
    """
    findings, of_chart = _by_id(now), _by_id(alone)
    proven = {name for name, finding in of_chart.items() if finding.status in _SETTLED}
    questions, items = form.policy.questions, items_of(form)
    criteria = {criterion.id: criterion for criterion in form.policy.source.criteria}
    found = []
    for group in form.questionnaire["item"]:
        own = [item["linkId"] for item in group["item"] if item["linkId"] in items]
        finding = findings.get(group["prefix"])
        fields = [
            _field(form, questions[name], items[name], texts.get(name, ""), origins, errors, attached) for name in own
        ]
        shown = finding is not None and finding.status in _SETTLED and group["prefix"] in proven
        found.append(
            {
                "id": group["prefix"],
                "label": group["text"],
                "paragraph": criteria[group["prefix"]].paragraph,
                "status": _status(finding, shown),
                "state": finding.status.value if finding is not None else "unknown",
                "is_folded": shown and not any(name in errors for name in own),
                "has_errors": any(name in errors for name in own),
                "evidence": [fact.display for fact in of_chart[group["prefix"]].evidence]
                if group["prefix"] in of_chart
                else [],
                "says": (finding.says or _needed(finding)) if finding is not None else "",
                "fields": fields,
            }
        )
    return found


_SETTLED = frozenset({Status.MET, Status.NOT_APPLICABLE})


def _by_id(said: Determination | None) -> dict[str, Finding]:
    return {finding.id: finding for finding in said.findings} if said is not None else {}


def _status(finding: Finding | None, shown: bool) -> str:
    if finding is None:
        return ""
    if finding.status is Status.MET and not shown:
        return "Met with what is filled in"
    return _STATUS[finding.status]


def _needed(finding: Finding) -> str:
    if finding.status is not Status.UNKNOWN:
        return ""
    if finding.reason is Reason.ATTESTED_ONLY:
        return _REPORT
    return f"{'; '.join(finding.needed)}." if finding.needed else ""


def _field(
    form: Form,
    question: Question,
    item: Json,
    text: str,
    origins: dict[str, str],
    errors: dict[str, str],
    attached: dict[str, Json],
) -> dict[str, Any]:
    when = conditions(item)
    kept = child(attached.get(question.id, {}), "valueAttachment")
    return {
        "id": question.id,
        "type": question.type,
        "text": question.text,
        "help": question.help,
        "unit": unit_text(question.unit),
        "value": text,
        "options": list(_WORDS.items())
        if question.type == "boolean"
        else [(code, display) for code, display in question.options.items()],
        "origin": origins.get(question.id, ""),
        "error": errors.get(question.id, ""),
        "when": encode(when).decode() if when else "",
        "when_text": when_text(form, item),
        "any": item.get("enableBehavior") == "any",
        "is_part": bool(when),
        "attached": plain(word(kept, "title"), 100) or ("A report" if kept else ""),
        "accept": ACCEPTED,
        "largest_mb": form.largest_report_mb,
        "largest": int(form.largest_report_mb * MEGABYTE),
        "too_large": too_large(form.largest_report_mb),
    }


_WORDS = {"yes": "Yes", "no": "No"}


def print_view(form: Form, answers: dict[str, Json], texts: dict[str, str]) -> list[dict[str, Any]]:
    """The filled form to keep: each group with what was answered."""
    questions, items = form.policy.questions, items_of(form)
    found = []
    for group in form.questionnaire["item"]:
        rows = []
        for item in group["item"]:
            name = item["linkId"]
            if name not in items or name not in answers:
                continue
            question = questions[name]
            title = plain(word(child(answers[name], "valueAttachment"), "title"), 100)
            typed = texts.get(name, "")
            words = _WORDS if question.type == "boolean" else question.options
            said = title or words.get(typed, typed)
            rows.append((question.text, f"{said} {unit_text(question.unit)}".strip()))
        if rows:
            found.append({"id": group["prefix"], "label": group["text"], "rows": rows})
    return found
