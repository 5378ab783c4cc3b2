"""The policy as a person reads it, and the same for machines."""

from datetime import date
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from cds_service.policy.compiled import CompiledPolicy, statements_of
from cds_service.policy.criteria import ResultOf, ValueOf
from cds_service.policy.library import Library
from cds_service.policy.policy import Criterion
from fhir_mappings.labs import LabTable

_TEMPLATES = Environment(
    loader=PackageLoader("cds_service.pages"),
    autoescape=select_autoescape(default=True, default_for_string=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def policies_page(library: Library, today: date) -> str:
    """Every policy in force, as HTML."""
    return _TEMPLATES.get_template("policies.html").render(**policies_twin(library, today))


def policies_twin(library: Library, today: date) -> dict[str, Any]:
    """Every policy in force."""
    return {
        "policies": [
            {
                "policy": policy.source.policy,
                "title": policy.source.title,
                "drug": policy.source.drug,
                "name": policy.source.name,
                "generic": policy.source.generic,
                "summary": policy.source.summary,
                "version": policy.source.version.isoformat(),
                "path": f"/policies/{policy.source.policy.lower()}/{policy.source.drug}",
            }
            for policy in library.current(today)
        ]
    }


def policy_page(policy: CompiledPolicy, library: Library, labs: LabTable) -> str:
    """One policy, every criterion with what it is read from, as HTML."""
    return _TEMPLATES.get_template("policy.html").render(**policy_twin(policy, library, labs))


def policy_twin(policy: CompiledPolicy, library: Library, labs: LabTable) -> dict[str, Any]:
    """One policy, every criterion with what it is read from."""
    source = policy.source
    return {
        "policy": source.policy,
        "title": source.title,
        "drug": source.drug,
        "name": source.name,
        "generic": source.generic,
        "summary": source.summary,
        "version": source.version.isoformat(),
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
        "criteria": [_criterion(criterion, library, labs) for criterion in source.criteria],
        "valueSets": [_value_set(library, name) for name in sorted(policy.sets)],
    }


def _criterion(criterion: Criterion, library: Library, labs: LabTable) -> dict[str, Any]:
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
        "notMet": [row.says for row in criterion.not_met],
        "review": [row.says for row in criterion.review],
        "questions": list(criterion.questions),
        "tests": [_test(labs, name, months) for name, months in windows.items()],
        "valueSets": sorted(names),
    }


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
