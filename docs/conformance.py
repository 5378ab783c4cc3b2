"""Writes docs/conformance.md: which statements of CRD 2.2.1 that bind a server hold here, and what shows it.

`python -m docs.conformance` writes it; the tests check that it is up to date. The statements are in
`docs/conformance.yaml`; that one holds is read from the tests' own markers, by their syntax, so that the table cannot
claim what no test shows.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, get_args

import msgspec
from msgspec import Struct

SOURCE = Path(__file__).with_name("conformance.yaml")
TARGET = Path(__file__).with_name("conformance.md")
TESTS = Path(__file__).parents[1] / "tests"
MARKER = "conformance"
Status = Literal["holds", "does not apply", "departs by choice", "not yet"]
STATUSES: tuple[Status, ...] = get_args(Status)


class Statement(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One statement of the guide."""

    id: str
    level: Literal["SHALL", "SHALL NOT", "SHOULD", "SHOULD NOT", "MAY"]
    says: str
    apart: str = ""  # why it does not apply
    departs: str = ""  # why it is not done, where that is a choice; of what a server SHALL do none may be
    open: str = ""  # what is missing, where it does not hold yet
    beside: str = ""  # what of a statement that holds is not this service's part


class ConformanceError(ValueError):
    """A statement or a marker that does not fit."""


def read_statements(path: Path = SOURCE) -> tuple[Statement, ...]:
    """The statements in the order of the file. Raises ConformanceError."""
    found = msgspec.yaml.decode(path.read_bytes(), type=tuple[Statement, ...])
    ids = [statement.id for statement in found]
    if len(set(ids)) != len(ids):
        raise ConformanceError(f"{path.name}: a statement is written twice")
    return found


def shown_by(tests: Path = TESTS) -> Mapping[str, tuple[str, ...]]:
    """Statement → the tests that are marked with it, as `file::test`."""
    found: dict[str, list[str]] = {}
    for path in sorted(tests.rglob("test_*.py")):
        if "target" in path.relative_to(tests).parts:  # what a real FHIR server's tests unpack
            continue
        for name, ids in _marked(ast.parse(path.read_text(encoding="utf-8"))):
            for one in ids:
                found.setdefault(one, []).append(f"{path.relative_to(tests).as_posix()}::{name}")
    return {one: tuple(names) for one, names in found.items()}


def _marked(module: ast.Module) -> Iterator[tuple[str, list[str]]]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == f"pytest.mark.{MARKER}":
                    yield node.name, [ast.literal_eval(argument) for argument in decorator.args]


def status_of(statement: Statement, shown: Mapping[str, tuple[str, ...]]) -> Status:
    """Where a statement stands. Raises ConformanceError where that is said twice or not at all."""
    said: dict[Status, bool] = {
        "holds": statement.id in shown,
        "does not apply": bool(statement.apart),
        "departs by choice": bool(statement.departs),
        "not yet": bool(statement.open),
    }
    true = [status for status, holds in said.items() if holds]
    if len(true) != 1:
        what = " and ".join(true) or "neither held, apart, departed from nor open"
        raise ConformanceError(f"{statement.id}: {what}; expected one of {', '.join(STATUSES)}")
    if statement.departs and statement.level.startswith("SHALL"):
        raise ConformanceError(f"{statement.id}: no choice is left where the guide says {statement.level}")
    return true[0]


def document() -> str:
    """The document's text. Raises ConformanceError."""
    statements, shown = read_statements(), shown_by()
    unknown = sorted(shown.keys() - {statement.id for statement in statements})
    if unknown:
        raise ConformanceError(f"a test is marked with {unknown[0]!r}, which is no statement that binds a server")
    status = {statement.id: status_of(statement, shown) for statement in statements}
    counts = {one: sum(found == one for found in status.values()) for one in STATUSES}
    lines = [
        "# Conformance to CRD 2.2.1",
        "",
        "Generated from `docs/conformance.yaml` and the tests by `python -m docs.conformance`; do not edit.",
        "",
        f"The guide has {len(statements)} statements that bind a server or its organization: {counts['holds']} hold, "
        f"{counts['does not apply']} do not apply, from {counts['departs by choice']} this service departs by choice, "
        f"{counts['not yet']} do not hold yet.",
        "",
        *_DEFECTS,
    ]
    for level in ("SHALL", "SHALL NOT", "SHOULD", "SHOULD NOT", "MAY"):
        chosen = [statement for statement in statements if statement.level == level]
        lines += [f"## {level}", "", "| id | a server … | | shown by, or why |", "| --- | --- | --- | --- |"]
        lines += [_row(statement, status[statement.id], shown.get(statement.id, ())) for statement in chosen]
        lines.append("")
    return "\n".join(lines)


def _row(statement: Statement, status: Status, tests: tuple[str, ...]) -> str:
    shown = [*(f"`{name}`" for name in tests), *([statement.beside] if statement.beside else [])]
    why = "<br>".join(shown) or statement.apart or statement.departs or statement.open
    return f"| {statement.id} | {statement.says} | {status} | {why} |"


_DEFECTS = (
    "## Where the guide contradicts itself",
    "",
    "- **crd-ci-q4**, as its expression is published, is not met by any coverage-information with `doc-purpose` "
    "`withpa`: where `pa-needed` is none of the three codes, the left side is an empty collection, `{} and true` is "
    "empty, and `{} implies false` is not true. Its text forbids `withpa` only with those codes. The text is followed.",
    "- **crd-ci-q4** also names the codes `noauth` and `not-covered`, which `pa-needed` does not have; `no-auth` is "
    "taken to be meant.",
    "- **crd-ci-q2 of 2.0.1**, as its expression is published, asks for `pa-needed` with `not-covered` too, against "
    "its text; `no-auth` is sent there, in that version alone.",
    "- **hook-13 and resp-45** both speak of a coverage that cannot be told: a Coverage that the EHR does not have is "
    "a 400, one that the plan does not know is `not-covered`.",
    "",
)


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
    print(f"{TARGET.name} written")
