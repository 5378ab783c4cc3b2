"""The operator's commands, given what they cannot do: a word and a status, no traceback, and no silence for "same"."""

import os
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

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


@pytest.mark.parametrize("name", ["unknown", "' OR 1=1 --", "%", "", "\udcff", "a\0b", "é" * 5000])
@pytest.mark.parametrize("command", [("ledger", "show"), ("replay",)], ids=["show", "replay"])
def test_a_name_under_which_nothing_is_kept(command: tuple[str, ...], name: str, kept: str, run: Run) -> None:
    """Is said, and ends with 1: a replay that found nothing to replay is not "same"."""
    found = run(*command, "--", name)
    assert (found.exit_code, found.stdout, found.stderr) == (1, "", "nothing is kept under this name\n")


def test_a_replay_that_was_the_same(kept: str, run: Run) -> None:
    """Ends with 0, and nothing else does."""
    assert (run("replay", kept).exit_code, run("replay", "--since", "2026-01-01").exit_code) == (0, 0)


@pytest.mark.parametrize("keys", [OTHER, ""], ids=["another", "none"])
def test_a_replay_without_the_key(keys: str, kept: str, run: Run) -> None:
    """Of one decision or of all: it is not known whether it is the same, and the status says so."""
    for found in (
        run("replay", kept, CDS_LEDGER_KEYS=keys),
        run("replay", "--since", "2026-01-01", CDS_LEDGER_KEYS=keys),
    ):
        assert found.exit_code == 4
        assert "inputs-not-readable" in found.stdout


def test_sealing_anew_without_the_old_key(kept: str, run: Run) -> None:
    """Names the setting; with the old key behind the new one it works."""
    found = run("ledger", "reseal", CDS_LEDGER_KEYS=OTHER)
    assert (found.exit_code, found.stderr) == (2, "none of the keys in CDS_LEDGER_KEYS opens it\n")
    assert run("ledger", "reseal", CDS_LEDGER_KEYS=f"{OTHER},{KEY}").exit_code == 0
    assert run("replay", kept, CDS_LEDGER_KEYS=OTHER).exit_code == 0


@pytest.mark.parametrize("days", ["99999999999", "1000000", "0", "-1"])
def test_an_age_that_is_none(days: str, kept: str, run: Run) -> None:
    """Is refused, and nothing goes."""
    assert run("ledger", "purge", "--older-than-days", days).exit_code == 2
    assert run("ledger", "show", kept).exit_code == 0


@pytest.mark.parametrize("place", ["a folder", "a file below a file", "no database"])
def test_a_ledger_that_cannot_be_opened(place: str, tmp_path: Path, run: Run) -> None:
    """Ends with 3 and the kind of the error."""
    (tmp_path / "file").write_bytes(b"no database" * 1000)
    path = {"a folder": tmp_path, "a file below a file": tmp_path / "file" / "x", "no database": tmp_path / "file"}[
        place
    ]
    found = run("ledger", "show", "x", CDS_DATABASE_URL=f"sqlite:///{path}")
    assert found.exit_code == 3
    assert found.stderr.startswith("CDS_DATABASE_URL: the ledger cannot be used (")


def test_a_reason_that_a_client_wrote_stays_in_its_line(sqlite_url: str, run: Run) -> None:
    """It moves no cursor, writes no second line, and sets no title."""
    with opened(sqlite_url) as ledger:
        item = FeedbackItem("c", "overridden", "2026-11-24T00:00:00Z", reason_code="\x1b]0;owned\x07a\nb\x9b2J")
        assert ledger.feedback((item,), soon())
    told = run("feedback").stdout
    assert len(told.splitlines()) == 2
    assert told.replace("\n", "").isprintable()


def test_a_replay_says_how_many_charts_would_be_read_otherwise(sqlite_url: str, run: Run) -> None:
    """Their facts say the same again; which facts a chart gives may have changed."""
    with opened(sqlite_url, seal_keys=KEY) as ledger:
        keep(ledger, entry("1", vocabulary_digest="a" * 64), entry("2"))
    found = run("replay", "--since", "2026-01-01")
    assert found.exit_code == 0
    assert found.stderr.splitlines() == [
        "2 decision(s): 2 same",
        "1 of 2 charts were read by other value sets or lab tables than those that are here",
    ]


@pytest.mark.parametrize(
    "command",
    [
        ("ledger", "show", "x"),
        ("ledger", "export"),
        ("ledger", "forms"),
        ("ledger", "uses"),
        ("ledger", "purge", "--older-than-days", "9"),
        ("replay", "x"),
        ("feedback",),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("has_file", [True, False], ids=["empty file", "no file"])
def test_no_ledger_is_made_where_one_is_looked_into(
    has_file: bool, command: tuple[str, ...], tmp_path: Path, run: Run
) -> None:
    """A mistyped path is told, and not answered with "nothing is kept"."""
    path = tmp_path / "mistyped" / "ledger.db"
    if has_file:
        path.parent.mkdir()
        path.touch()
    found = run(*command, CDS_DATABASE_URL=f"sqlite:///{path}")
    assert (found.exit_code, found.stdout, found.stderr) == (3, "", "CDS_DATABASE_URL: there is no ledger\n")
    assert path.exists() == has_file


def test_what_a_replay_of_all_came_to(kept: str, run: Run) -> None:
    """Is counted at its end; silence is not "same"."""
    assert run("replay", "--since", "2026-01-01").stderr == "1 decision(s): 1 same\n"
    assert run("replay", "--since", "2026-01-01", CDS_LEDGER_KEYS="").stderr == "1 decision(s): 1 inputs-not-readable\n"
    assert run("replay", "--since", "2100-01-01").stderr == "0 decision(s)\n"


@pytest.mark.parametrize(
    ("keys", "statement", "needed"),
    [
        ("", "", "the key that the inputs were sealed with"),
        (OTHER, "", "the right key or an undamaged value: none of CDS_LEDGER_KEYS opens this one"),
        (KEY, "UPDATE decision SET id = '0'", "the value of this very row: this one was sealed for another"),
    ],
    ids=["no key", "another key", "another row"],
)
def test_what_a_replay_needs_is_named(
    keys: str, statement: str, needed: str, kept: str, sqlite_url: str, run: Run
) -> None:
    """So that it can be looked for."""
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        connection.execute(statement)
    found = run("replay", "ca-1", CDS_LEDGER_KEYS=keys)
    assert found.stdout.splitlines()[1:] == [f"    cannot be judged again without: {needed}"]


@pytest.mark.parametrize("day", ["2026-11-24T12:00+02:00", "2026-11-24 12:00", "24.11.2026", "2026-02-30", ""])
def test_a_day_that_is_none(day: str, kept: str, run: Run) -> None:
    """Is refused: an hour that was given would be left out, or taken for that of another zone."""
    for command in (("replay",), ("ledger", "export")):
        found = run(*command, "--since", day)
        assert found.exit_code == 2
        assert "expected a date like 2026-11-24" in found.stderr


def test_forms_of_nobody(kept: str, run: Run) -> None:
    """As the others do: status 1, and how members are named."""
    found = run("ledger", "forms", "--member", "M-4711")
    assert found.exit_code == 1
    assert "payer <system>|<value> <member number>" in found.stderr


def test_who_looked_where_the_system_has_no_name_for_them(kept: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of the user is written down: a container may have no more."""
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert run("ledger", "show", kept).exit_code == 0
    assert f"  user {os.getuid()}  show  " in run("ledger", "uses").stdout


def test_how_many_rows_each_use_came_to(kept: str, run: Run) -> None:
    """Also where they were written down before they were shown."""
    run("ledger", "export", "--since", "2026-01-01")
    run("replay", kept)
    run("ledger", "reseal")
    told = [line.split("  ") for line in run("ledger", "uses").stdout.splitlines()]
    assert [(one[2], one[-1]) for one in told] == [("export", "1"), ("replay", "1"), ("reseal", "0"), ("reseal", "1")]


def test_a_copy_that_cannot_be_written_to(kept: str, sqlite_url: str, run: Run) -> None:
    """Says what kind of failure it was: each use is recorded, or there is none."""
    path = sqlite_url.removeprefix("sqlite:///")
    found = run("ledger", "show", kept, CDS_DATABASE_URL=f"sqlite:///file:{path}?mode=ro&uri=true")
    assert found.exit_code == 3
    assert "(OperationalError SQLITE_READONLY)" in found.stderr
