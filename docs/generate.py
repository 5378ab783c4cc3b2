"""Writes docs/criteria.md from the policies: every criterion with its paragraph and what it is read from.

`python -m docs.generate` writes it; the tests check that it is up to date.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cds_service.app import load_knowledge
from cds_service.pages import policy_twin

TARGET = Path(__file__).with_name("criteria.md")


def criteria_document() -> str:
    """The document's text."""
    knowledge = load_knowledge()
    lines = ["# Criteria", "", "Generated from `policies/` by `make docs`; do not edit.", ""]
    for policy in sorted(knowledge.library.policies, key=lambda found: (found.source.drug, found.source.version)):
        twin = policy_twin(policy, knowledge.library, knowledge.labs)
        lines += [f"## {twin['policy']} {twin['name']}, version {twin['version']}", ""]
        lines += ["| id | criterion | the policy's words | kind | read from |", "| --- | --- | --- | --- | --- |"]
        lines += [_row(criterion) for criterion in twin["criteria"]]
        lines.append("")
    return "\n".join(lines)


def _row(criterion: dict[str, Any]) -> str:
    tests = [f"{test['title']} ({_window(test['withinMonths'])})" for test in criterion["tests"]]
    read = ", ".join([*tests, *(f"`{name}`" for name in criterion["valueSets"]), *criterion["questions"]])
    cells = (criterion["id"], criterion["label"], criterion["paragraph"], criterion["kind"], read)
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _window(months: int | None) -> str:
    return "any date" if months is None else f"{months} months"


if __name__ == "__main__":
    TARGET.write_text(criteria_document(), encoding="utf-8")
    print(f"{TARGET.name} written on {datetime.now(UTC).date().isoformat()}")
