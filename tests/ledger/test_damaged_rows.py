"""Rows that somebody or a disk changed: told by the operator's commands, and no other is left out for them."""

import json
import sqlite3
from collections.abc import Callable
from functools import partial

import pytest
from click.testing import Result
from cryptography.fernet import Fernet
from entries import KEY, entry, keep, opened, soon

from cds_service.ledger.feedback import FeedbackItem

OTHER = Fernet.generate_key().decode()
Run = Callable[..., Result]


@pytest.fixture
def run(run: Run) -> Run:
    """The same with KEY, where no other is given."""
    return partial(run, CDS_LEDGER_KEYS=KEY)


@pytest.mark.parametrize(
    ("column", "value", "status"),
    [
        ("findings", '{"no": "list"}', 4),
        ("findings", '[{"id": 1}]', 4),
        ("findings", "no JSON", 4),
        ("inputs", b"rubbish", 4),
        ("inputs", "text", 4),
        ("day", "no day", 4),
        ("outcome", "made-up", 1),
    ],
)
def test_a_row_that_somebody_changed(
    column: str, value: str | bytes, status: int, kept: str, sqlite_url: str, run: Run
) -> None:
    """Is different, or cannot be judged again; it is never the same."""
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        connection.execute(f"UPDATE decision SET {column} = ?", (value,))  # noqa: S608
    found = run("replay", kept)
    assert found.exit_code == status
    assert "rubbish" not in found.output


DAMAGE = {
    "no JSON": "UPDATE decision SET findings = 'no JSON' WHERE id = ?",
    "no UTF-8": "UPDATE decision SET outcome = CAST(x'c328' AS TEXT) WHERE id = ?",
    "no text": "UPDATE decision SET policy = x'00ff' WHERE id = ?",
    "no day": "UPDATE decision SET day = 'rubbish' WHERE id = ?",
    "no bytes": "UPDATE decision SET inputs = 'rubbish' WHERE id = ?",
}


@pytest.fixture(params=DAMAGE)
def damaged(request: pytest.FixtureRequest, sqlite_url: str) -> list[str]:
    """The ids of five decisions of one order, the second damaged."""
    with opened(sqlite_url, seal_keys=KEY) as ledger:
        keep(ledger, *(entry(hook_instance="the-call") for _ in range(5)))
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM decision ORDER BY id")]
        connection.execute(DAMAGE[request.param], (ids[1],))
    return ids


@pytest.mark.parametrize(
    "command",
    [("replay", "--since", "2026-01-01"), ("ledger", "export"), ("ledger", "show", "the-call")],
    ids=lambda command: command[0] + command[1],
)
def test_a_damaged_row_stops_no_other(command: tuple[str, ...], damaged: list[str], run: Run) -> None:
    """It is named and counted on stderr, the others are told, and the status says so."""
    found = run(*command)
    assert found.exit_code == 4
    assert [one for one in damaged if one in found.stdout] == [damaged[0], *damaged[2:]]
    assert found.stderr.splitlines()[-2:] == [
        f"decision {damaged[1]} cannot be read",
        "could not be read: 1; an older backup may have it whole",
    ]


def test_a_damaged_row_beside_a_different_one(damaged: list[str], sqlite_url: str, run: Run) -> None:
    """Does not hide that something is said differently now."""
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE decision SET outcome = 'criteria-met' WHERE id = ?", (damaged[4],))
    found = run("replay", "--since", "2026-01-01")
    assert found.exit_code == 1
    assert damaged[1] in found.stderr


def test_damaged_feedback_hides_no_decision(kept: str, sqlite_url: str, run: Run) -> None:
    """The decision is told, and that its feedback is not."""
    with opened(sqlite_url) as ledger, sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        (card,) = connection.execute("SELECT uuid FROM card").fetchone()
        assert ledger.feedback((FeedbackItem(card, "accepted", "2026-11-24T00:00:00Z"),), soon())
        connection.execute("UPDATE feedback SET accepted = 'rubbish'")
    for command in (("export",), ("show", kept)):
        found = run("ledger", *command)
        assert found.exit_code == 4
        assert json.loads(found.stdout)["feedback"] == "damaged"
        assert found.stderr.startswith(f"feedback of decision {kept} cannot be read\n")


def test_what_cannot_be_sealed_anew_stops_nothing_else(sqlite_url: str, run: Run) -> None:
    """One damaged row must not keep an old key in use for ever."""
    with opened(sqlite_url, seal_keys=KEY) as ledger:
        keep(ledger, *(entry() for _ in range(3)))
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM decision ORDER BY id")]
        connection.execute("UPDATE decision SET inputs = 'rubbish' WHERE id = ?", (ids[0],))
        connection.execute("UPDATE decision SET inputs = x'00' WHERE id = ?", (ids[1],))
    found = run("ledger", "reseal", CDS_LEDGER_KEYS=f"{OTHER},{KEY}")
    assert (found.exit_code, found.stdout) == (4, "1 entries sealed anew\n")
    assert found.stderr.splitlines()[:2] == [f"inputs of decision {one} cannot be read" for one in ids[:2]]
    assert run("replay", ids[2], CDS_LEDGER_KEYS=OTHER).exit_code == 0
