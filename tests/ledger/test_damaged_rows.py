"""Rows that somebody or a disk changed: told by the operator's commands, and no other is left out for them."""

import json
import sqlite3
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from click.testing import Result
from cryptography.fernet import Fernet
from entries import KEY, entry, keep, opened, soon, until
from looks import count

from cds_service.ledger.feedback import FeedbackItem
from cds_service.ledger.schema import decision

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


COMMANDS = pytest.mark.parametrize(
    "command",
    [("replay", "--since", "2026-01-01"), ("ledger", "export"), ("ledger", "show", "the-call")],
    ids=lambda command: command[0] + command[1],
)
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


@COMMANDS
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


def no_utf_8(sqlite_url: str, places: Iterable[int]) -> tuple[list[str], list[bytes]]:
    """The ids of those of five decisions that stay whole, and the bytes of the others, which are no UTF-8."""
    with opened(sqlite_url, seal_keys=KEY) as ledger:
        keep(ledger, *(entry(hook_instance="the-call") for _ in range(5)))
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        whole = [row[0] for row in connection.execute("SELECT id FROM decision ORDER BY id")]
        changed = {whole[at]: whole[at].encode()[:-1] + b"\xff" for at in places}
        connection.executemany(
            "UPDATE decision SET id = CAST(? AS TEXT) WHERE id = ?", [(changed[i], i) for i in changed]
        )
    return [one for one in whole if one not in changed], list(changed.values())


@COMMANDS
@pytest.mark.parametrize("page", [1, 2, 200])
@pytest.mark.parametrize("places", [{1}, {0, 4}, {1, 2, 3}, set(range(5))], ids=str)
def test_an_id_that_is_no_text_stops_no_other(
    command: tuple[str, ...],
    page: int,
    places: set[int],
    sqlite_url: str,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is named by its bytes and counted, wherever it is and however many are read at once."""
    monkeypatch.setattr("cds_service.ledger.readable.PAGE", page)
    whole, changed = no_utf_8(sqlite_url, places)
    found = run(*command)
    assert found.exit_code == 4
    assert found.stdout.count("inputs") + found.stdout.count("  same") == len(whole)
    assert all(one in found.stdout for one in whole)
    assert found.stderr.splitlines()[-len(changed) - 1 :] == [
        *(f"decision {one!r} cannot be read" for one in changed),
        f"could not be read: {len(changed)}; an older backup may have it whole",
    ]


def test_an_id_that_is_no_text_keeps_no_other_from_being_sealed_anew(sqlite_url: str, run: Run) -> None:
    """It is named."""
    _, (changed,) = no_utf_8(sqlite_url, {1})
    found = run("ledger", "reseal", CDS_LEDGER_KEYS=f"{OTHER},{KEY}")
    assert (found.exit_code, found.stdout) == (4, "4 entries sealed anew\n")
    assert found.stderr.startswith(f"decision {changed!r} cannot be read\n")


def test_an_id_that_is_no_text_is_purged_with_the_others(sqlite_url: str, run: Run) -> None:
    """Of a member who is to be forgotten, nothing stays behind."""
    no_utf_8(sqlite_url, {1})
    assert run("ledger", "purge", "--member", entry().member).stdout.startswith("removed: 5 decisions")
    with opened(sqlite_url) as ledger:
        assert count(ledger, decision) == 0


def test_an_id_that_is_no_text_is_taken_out_by_the_retention(sqlite_url: str) -> None:
    """It does not send the ledger away again and again."""
    no_utf_8(sqlite_url, {1})
    later = datetime.now(UTC) + timedelta(days=31)
    with opened(sqlite_url, clock=lambda: later, retention_days=30) as ledger:
        assert until(lambda: count(ledger, decision) == 0)
        assert ledger.ready()


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
