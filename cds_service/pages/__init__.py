"""The policy as a person reads it, and the same for machines."""

from datetime import date, timedelta
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from cds_service.pages.changes import changes
from cds_service.pages.unbroken import unbroken
from cds_service.pages.words import Said, Wording, months
from cds_service.policy.compiled import CompiledPolicy, statements_of
from cds_service.policy.library import Library
from cds_service.policy.measured import ResultOf, ValueOf
from cds_service.policy.policy import Criterion, Question
from fhir_mappings.labs import LabTable

_TEMPLATES = Environment(
    loader=PackageLoader("cds_service.pages"),
    autoescape=select_autoescape(default=True, default_for_string=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["unbroken"] = unbroken
_TEMPLATES.filters["months"] = months


def policies_page(library: Library, today: date) -> str:
    """Every policy in force, as HTML."""
    return _TEMPLATES.get_template("policies.html").render(**policies_twin(library, today))


def not_found_page() -> str:
    """What is shown where there is no such policy or version, as HTML."""
    return _TEMPLATES.get_template("not_found.html").render()


def policies_twin(library: Library, today: date) -> dict[str, Any]:
    """Every policy in force."""
    return {
        "policies": [
            {
                "policy": kept.policy,
                "title": kept.title,
                "drug": kept.drug,
                "name": kept.name,
                "generic": kept.generic,
                "summary": kept.summary,
                "version": kept.version.isoformat(),
                "path": f"/policies/{kept.policy.lower()}/{kept.drug}",
            }
            for kept in library.current(today)
        ]
    }


def policy_page(policy: CompiledPolicy, library: Library, labs: LabTable, today: date) -> str:
    """One policy version, every criterion with what it is read from, as HTML."""
    twin = policy_twin(policy, library, labs, today)
    titles = {found["name"]: found["title"] for found in twin["valueSets"]}
    return _TEMPLATES.get_template("policy.html").render(**twin, titles=titles)


def policy_twin(policy: CompiledPolicy, library: Library, labs: LabTable, today: date) -> dict[str, Any]:
    """One policy version, every criterion with what it is read from, and what changed from version to version."""
    source = policy.source
    words = _wording(policy, library, labs)
    history = _history(policy, library, labs, today)
    return {
        "policy": source.policy,
        "title": source.title,
        "drug": source.drug,
        "name": source.name,
        "generic": source.generic,
        "summary": source.summary,
        "version": source.version.isoformat(),
        "until": next(found["until"] for found in history if found["version"] == source.version.isoformat()),
        "inForce": next(found["inForce"] for found in history if found["version"] == source.version.isoformat()),
        "path": path_of(policy),
        "billing": {"code": source.billing.code, "display": source.billing.display},
        "approval": {
            "months": source.authorization.months,
            "quantity": source.authorization.quantity,
            "unit": source.authorization.unit,
        },
        "lines": [
            {"name": line.name, "applies": line.applies == "yes", "note": line.note} for line in source.scope.lines
        ],
        "guidelines": list(source.guidelines),
        "criteria": [_criterion(criterion, policy, words, labs) for criterion in source.criteria],
        "valueSets": [_value_set(library, name) for name in sorted(policy.sets)],
        "history": history,
    }


def path_of(policy: CompiledPolicy) -> str:
    """The address of the policy's page, whichever version is in force."""
    return f"/policies/{policy.source.policy.lower()}/{policy.source.drug}"


def _wording(policy: CompiledPolicy, library: Library, labs: LabTable) -> Wording:
    return Wording(policy.questions, library.value_sets, labs)


def _history(policy: CompiledPolicy, library: Library, labs: LabTable, today: date) -> list[dict[str, Any]]:
    """Every version of the policy, newest first, with what changed from the one before."""
    own = (policy.source.policy, policy.source.drug)
    versions = [library.ready(kept) for kept in library.versions if (kept.policy, kept.drug) == own]
    versions.sort(key=lambda found: found.source.version)
    found = []
    for place, version in enumerate(versions):
        begun, ends = version.source.version, None
        if place + 1 < len(versions):
            ends = versions[place + 1].source.version - timedelta(days=1)
        changed = []
        if place:
            before = versions[place - 1]
            words = _wording(before, library, labs), _wording(version, library, labs)
            told = changes(before.source, words[0], version.source, words[1])
            changed = [{"criterion": one.criterion, "text": one.text} for one in told]
        found.append(
            {
                "version": begun.isoformat(),
                "until": ends.isoformat() if ends is not None else None,
                "inForce": begun <= today and (ends is None or today <= ends),
                "path": f"{path_of(version)}?version={begun.isoformat()}",
                "changes": changed,
            }
        )
    return found[::-1]


def _criterion(criterion: Criterion, policy: CompiledPolicy, words: Wording, labs: LabTable) -> dict[str, Any]:
    statements = statements_of(criterion)
    windows: dict[str, int | None] = {}
    for statement in statements:
        if isinstance(statement, ResultOf | ValueOf):
            windows[statement.test] = statement.within_months if statement.pick == "latest" else None
    names = {name for s in statements for part in _SETS for name in getattr(s, part, ())}
    return {
        "id": criterion.id,
        "label": criterion.label,
        "paragraph": criterion.paragraph,
        "kind": criterion.kind,
        "blocking": criterion.blocking,
        "sense": criterion.sense,
        "onlyWhere": _said(words.of(criterion.applies_when)) if criterion.applies_when is not None else None,
        "provedBy": _said(words.of(criterion.met)),
        "notMet": [row.says for row in criterion.not_met],
        "review": [row.says for row in criterion.review],
        "questions": [_question(policy.questions[link_id]) for link_id in criterion.questions],
        "tests": [_test(labs, name, months) for name, months in windows.items()],
        "valueSets": sorted(names),
    }


def _said(said: Said) -> dict[str, Any]:
    return {"text": said.text, **({"parts": [_said(part) for part in said.parts]} if said.parts else {})}


def _question(question: Question) -> dict[str, Any]:
    return {"linkId": question.id, "text": question.text}


_SETS = ("of", "specialty", "site", "says", "denies")


def _test(labs: LabTable, name: str, months: int | None) -> dict[str, Any]:
    test = labs.test(name)
    return {
        "name": name,
        "title": test.title,
        "unit": test.unit,
        "units": list(test.units),
        "withinMonths": months,
        "codes": [{"system": code.system, "code": code.code, "display": code.display} for code in test.codes],
    }


def _value_set(library: Library, name: str) -> dict[str, Any]:
    found = library.value_sets[name]
    return {
        "name": name,
        "title": found.title,
        "codes": [
            {"system": code.system, "code": code.code, "display": code.display, "below": code.below}
            for code in found.codes
        ],
        "text": list(found.text.match),
    }
