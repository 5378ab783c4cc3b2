"""The conformance table says what the tests show, and speaks of every statement."""

import re
from pathlib import Path

import pytest

from docs.conformance import (
    TARGET,
    TESTS,
    ConformanceError,
    Statement,
    document,
    read_statements,
    shown_by,
    status_of,
)

STATEMENTS = read_statements()


def test_the_table_is_up_to_date() -> None:
    """`python -m docs.conformance` writes it anew."""
    assert TARGET.read_text(encoding="utf-8") == document()


@pytest.mark.parametrize("statement", STATEMENTS, ids=[statement.id for statement in STATEMENTS])
def test_every_statement_stands_in_one_place(statement: Statement) -> None:
    """It holds, does not apply, or does not hold yet."""
    assert status_of(statement, shown_by())


def test_every_statement_of_the_guide_that_binds_a_server_is_there() -> None:
    """CRD 2.2.1 has 144, counted in its own list of requirements by their actors."""
    assert len(STATEMENTS) == 144


def test_nothing_is_left_open() -> None:
    """Each statement holds or has its reason."""
    assert [statement.id for statement in STATEMENTS if statement.open] == []


def test_what_is_departed_from_by_choice_is_this() -> None:
    """Three recommendations, and nothing that a server SHALL do."""
    assert [one.id for one in STATEMENTS if one.departs] == ["found-27", "found-28", "resp-2"]


@pytest.mark.parametrize("level", ["SHALL", "SHALL NOT"])
def test_what_must_be_cannot_be_departed_from(level: str) -> None:
    """By its id."""
    statement = Statement("resp-0", level, "do", departs="we would rather not")  # type: ignore[arg-type]
    with pytest.raises(ConformanceError, match="resp-0: no choice"):
        status_of(statement, {})


def test_no_marker_is_overlooked() -> None:
    """As many as there are in the tests' text are read."""
    written = sum(
        len(re.findall(r"^ *@pytest\.mark\.conformance\(", path.read_text(encoding="utf-8"), re.MULTILINE))
        for path in TESTS.rglob("test_*.py")
        if "target" not in path.relative_to(TESTS).parts
    )
    read = {name for names in shown_by().values() for name in names}
    assert len(read) == written


@pytest.mark.parametrize(
    ("members", "shown"),
    [
        ({}, ()),
        ({"apart": "x", "open": "y"}, ()),
        ({"apart": "x"}, ("t",)),
        ({"open": "y"}, ("t",)),
        ({"departs": "z"}, ("t",)),
    ],
    ids=["nowhere", "apart and open", "shown and apart", "shown and open", "shown and departed from"],
)
def test_a_statement_that_stands_nowhere_or_twice_is_refused(members: dict[str, str], shown: tuple[str, ...]) -> None:
    """By its id."""
    statement = Statement("resp-0", "SHALL", "do", **members)
    with pytest.raises(ConformanceError, match="resp-0"):
        status_of(statement, {"resp-0": shown} if shown else {})


def test_a_marked_test_is_found_by_its_syntax(tmp_path: Path) -> None:
    """A comment or a text that looks like a marker is none."""
    (tmp_path / "test_x.py").write_text(
        '# @pytest.mark.conformance("resp-1")\n'
        "TEXT = \"@pytest.mark.conformance('resp-2')\"\n"
        '@pytest.mark.conformance("resp-3", "resp-4")\n'
        "def test_it() -> None:\n    pass\n"
    )
    assert shown_by(tmp_path) == {"resp-3": ("test_x.py::test_it",), "resp-4": ("test_x.py::test_it",)}
