"""docs/security.md names tests that are there, and every risk of the assessment."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", DOCUMENT)))
ROWS = [line.split("|")[1:-1] for line in DOCUMENT.splitlines() if line.startswith("| ") and "---" not in line]


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_named_test_exists(path: str, name: str) -> None:
    """As a function that pytest runs."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_row_names_a_test() -> None:
    """No risk is covered by words alone."""
    for risk, here, tests in (row for row in ROWS if row[0].strip() != "risk"):
        assert here.strip(), risk
        assert re.search(r"`tests/[\w/]+\.py::test_\w+`", tests), risk


def test_every_risk_of_the_assessment_has_its_row() -> None:
    """R1 to R17."""
    told = {int(number) for row in ROWS for number in re.findall(r"\bR(\d+)\b", row[0])}
    assert told == set(range(1, 18))
