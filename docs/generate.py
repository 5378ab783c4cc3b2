"""Writes what is generated: docs/criteria.md from the policies, and the README's table of settings.

`python -m docs.generate` writes them; the tests check that they are up to date.
"""

from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from cds_service.app import load_knowledge
from cds_service.pages import policy_twin
from cds_service.settings import PREFIX, Settings

CRITERIA = Path(__file__).with_name("criteria.md")
README = Path(__file__).parent.parent / "README.md"
_MARKS = ("<!-- settings -->\n", "<!-- /settings -->")


def criteria_document() -> str:
    """The text of docs/criteria.md."""
    knowledge = load_knowledge()
    lines = ["# Criteria", "", "Generated from `policies/` by `make docs`; do not edit.", ""]
    for policy in sorted(knowledge.library.policies, key=lambda found: (found.source.drug, found.source.version)):
        twin = policy_twin(policy, knowledge.library, knowledge.labs, policy.source.version)
        lines += [f"## {twin['policy']} {twin['name']}, version {twin['version']}", ""]
        lines += ["| id | criterion | the policy's words | kind | read from |", "| --- | --- | --- | --- | --- |"]
        lines += [_row(criterion) for criterion in twin["criteria"]]
        lines.append("")
    return "\n".join(lines)


def _row(criterion: dict[str, Any]) -> str:
    tests = [f"{test['title']} ({_window(test['withinMonths'])})" for test in criterion["tests"]]
    asked = [question["linkId"] for question in criterion["questions"]]
    read = ", ".join([*tests, *(f"`{name}`" for name in criterion["valueSets"]), *asked])
    return _cells(criterion["id"], criterion["label"], criterion["paragraph"], criterion["kind"], read)


def _cells(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _window(months: int | None) -> str:
    return "any date" if months is None else f"{months} months"


def readme_document() -> str:
    """The README with its table of settings."""
    before, _, rest = README.read_text(encoding="utf-8").partition(_MARKS[0])
    after = rest.partition(_MARKS[1])[2]
    return f"{before}{_MARKS[0]}{settings_table()}\n{_MARKS[1]}{after}"


def settings_table() -> str:
    """A row for each setting."""
    lines = ["| name | meaning | default |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        lines.append(_cells(f"`{PREFIX}{name.upper()}`", field.description or "", _default(name, field.default)))
    return "\n".join(lines)


def _default(name: str, default: Any) -> str:
    if name == "data_dir":
        return "the user's data folder"
    if name == "public_url":
        return "`http://127.0.0.1:<port>`"
    empty = default is PydanticUndefined or default is None or not str(default) or default == ()
    return "none" if empty else f"`{str(default).lower() if isinstance(default, bool) else default}`"


if __name__ == "__main__":
    CRITERIA.write_text(criteria_document(), encoding="utf-8")
    README.write_text(readme_document(), encoding="utf-8")
