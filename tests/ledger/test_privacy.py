"""Nothing of a patient stands readable in the database, in a message or in a log."""

import logging
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from entries import MARK, QUICK, entry, keep, opened, soon
from sqlalchemy import text

from cds_service.ledger.feedback import FeedbackItem
from cds_service.ledger.ledger import Ledger, LedgerSettingError


def _everything(ledger: Ledger, folder: Path) -> bytes:
    """Every byte of the database: its files, or all rows as text."""
    if ledger.database.is_sqlite:
        return b"".join(path.read_bytes() for path in (folder / "data").iterdir())
    with ledger.database.connect_patiently() as connection, connection.begin():
        names = connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
        return b"".join(
            str(connection.execute(text(f'SELECT t::text FROM "{name}" t')).all()).encode()  # noqa: S608
            for name in names
        )


@pytest.mark.parametrize("keys", ["", Fernet.generate_key().decode()], ids=["without key", "with a key"])
def test_a_marked_patient_is_not_to_be_found(url: str, keys: str, tmp_path: Path) -> None:
    """Neither the member, the order, the coverage, a reference, a value nor a comment can be read from the bytes."""
    with opened(url, seal_keys=keys) as ledger:
        given = entry(wants_number=True)
        keep(ledger, given)
        comment = f"{MARK} was here"
        assert ledger.feedback((FeedbackItem(given.cards[0][0], "overridden", "t", comment=comment),), soon())
        ledger.access("ada").purge(member=f"{MARK}-other")
        found = _everything(ledger, tmp_path)
    assert b"hemgenix" in found  # so that the search is known to find
    for word in (MARK, "212.50", "1999-12-31", "Commercial"):
        assert word.encode() not in found
        assert word.encode().hex().encode() not in found


def test_purged_bytes_are_gone(sqlite_url: str, tmp_path: Path) -> None:
    """After a purge the SQLite files no longer hold what the row held."""
    with opened(sqlite_url) as ledger:
        keep(ledger, entry(hook_instance="to-be-purged"))
        assert b"to-be-purged" in _everything(ledger, tmp_path)
        ledger.access("ada").purge(member=entry().member)
        assert b"to-be-purged" not in _everything(ledger, tmp_path)


class _Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, event: str, **fields: Any) -> None:
        """Keeps it."""
        self.lines.append(f"{event} {fields}")

    info = warning


def test_what_is_logged_names_no_one(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A failed write is logged by its kind alone."""
    log = _Log()
    caplog.set_level(logging.DEBUG)
    with opened(url, log=log) as ledger:
        keep(ledger, entry("1"))
        with ledger.database.connect_patiently() as connection, connection.begin():
            connection.execute(text("DROP TABLE card"))
        assert not ledger.record((entry("2"),), soon())[0].recorded
    assert any(line.startswith("the ledger is away") for line in log.lines)
    assert MARK not in str(log.lines) + caplog.text


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "sqlite://", "sqlite:///:memory:", "mysql://u:secret@h/d", "postgresql+psycopg2://u:secret@h/d"],
)
def test_a_url_that_can_never_work_is_refused(url: str) -> None:
    """The message names the setting and what is expected, never a password."""
    with pytest.raises(LedgerSettingError, match=r"^CDS_DATABASE_URL: ") as refused:
        Ledger(url, service_version="0.0", limits=QUICK)
    assert "secret" not in str(refused.value)


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where psycopg is not installed, the message names the extra."""
    monkeypatch.setattr("cds_service.ledger.database.find_spec", lambda name: None)
    with pytest.raises(LedgerSettingError, match="install the extra `postgres`"):
        Ledger("postgresql://h/d", service_version="0.0")


def test_the_file_is_its_owners_alone(sqlite_url: str) -> None:
    """Folder and file of a new SQLite ledger can be read by nobody else."""
    with opened(sqlite_url):
        path = Path(sqlite_url.removeprefix("sqlite:///"))
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
