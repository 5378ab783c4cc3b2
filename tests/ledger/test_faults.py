"""A database that is locked, full, read-only or not there: the answer comes in time, and it comes back by itself."""

import shutil
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from entries import QUICK, entry, keep, opened, soon, until
from looks import count

from cds_service.ledger.ledger import Ledger, Limits
from cds_service.ledger.schema import decision

_HOLD = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.readline()
"""


def file_of(url: str) -> str:
    """The path of the database."""
    return url.removeprefix("sqlite:///")


def refused_quickly(ledger: Ledger, seconds: float = 0.05) -> bool:
    """True when an entry is refused at once."""
    again = entry("again")
    began = time.monotonic()
    (receipt,) = ledger.record((again,), soon())
    return not receipt.recorded and time.monotonic() - began < seconds


def test_locked_by_another_process(sqlite_url: str) -> None:
    """Forty callers are answered in time, the next ones at once; it serves again when the lock is gone."""
    with opened(sqlite_url) as ledger:
        keep(ledger, entry("before"))
        other = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", _HOLD, file_of(sqlite_url)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with other:
            assert other.stdout is not None
            assert other.stdin is not None
            other.stdout.readline()
            began = time.monotonic()
            with ThreadPoolExecutor(40) as pool:
                receipts = list(pool.map(lambda n: ledger.record((entry(str(n)),), soon())[0].recorded, range(40)))
            assert not any(receipts)
            assert time.monotonic() - began < QUICK.patience_s + 0.5
            assert refused_quickly(ledger)
            assert not ledger.ready()
            other.stdin.close()
        assert until(ledger.ready)
        keep(ledger, entry("after"))


def test_a_short_lock_is_waited_for(sqlite_url: str) -> None:
    """A lock that is gone within the patience costs nobody a receipt."""
    with opened(sqlite_url, limits=Limits()) as ledger:
        held = sqlite3.connect(file_of(sqlite_url), isolation_level=None, check_same_thread=False)
        held.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(ledger.record, (entry(),), soon())
            time.sleep(0.2)
            held.execute("COMMIT")
            assert waiting.result()[0].recorded
        held.close()


def test_a_lock_is_noticed_without_a_call(sqlite_url: str) -> None:
    """Readiness tells of a database that nobody has written to since it was locked."""
    with opened(sqlite_url) as ledger:
        held = sqlite3.connect(file_of(sqlite_url), isolation_level=None)
        held.execute("BEGIN EXCLUSIVE")
        assert until(lambda: not ledger.ready())
        held.execute("COMMIT")
        held.close()
        assert until(ledger.ready)


def test_full_disk(sqlite_url: str) -> None:
    """A database that may not grow refuses entries without raising, is not ready, and comes back with the space."""
    with opened(sqlite_url) as ledger:
        keep(ledger, entry("before"))
        connection = ledger._writer._connection
        assert connection is not None
        raw = connection.connection.dbapi_connection
        assert raw is not None
        pages = raw.execute("PRAGMA page_count").fetchone()[0]
        made = ledger.database._set_up_sqlite

        def small(raw: sqlite3.Connection, record: object) -> None:
            made(raw, record)
            raw.execute(f"PRAGMA max_page_count = {pages + 1}")

        from sqlalchemy import event

        engine = ledger.database._own_engine()
        event.listen(engine, "connect", small)
        raw.execute(f"PRAGMA max_page_count = {pages + 1}")
        assert until(lambda: not ledger.record((entry("full"),), soon())[0].recorded)
        kept = count(ledger, decision)
        assert refused_quickly(ledger)
        time.sleep(0.3)
        assert not ledger.ready()
        assert count(ledger, decision) == kept
        event.remove(engine, "connect", small)
        assert until(ledger.ready)
        keep(ledger, entry("after"))


def test_read_only(sqlite_url: str) -> None:
    """A database that cannot be written is away; nothing is raised."""
    with opened(sqlite_url) as ledger:
        keep(ledger, entry("before"))
    ledger = Ledger(f"sqlite:///file:{file_of(sqlite_url)}?mode=ro&uri=true", service_version="0.0", limits=QUICK)
    assert not ledger.start(2.0)
    assert refused_quickly(ledger)
    ledger.close()


def test_started_before_its_database(tmp_path: Path) -> None:
    """Not ready and refusing at once while the folder is not to be had; migrated and serving as soon as it is."""
    folder = tmp_path / "data"
    folder.write_text("a file where the folder should be")
    ledger = Ledger(f"sqlite:///{folder}/ledger.db", service_version="0.0", limits=QUICK)
    assert not ledger.prepare()
    assert not ledger.start(1.0)
    assert refused_quickly(ledger)
    folder.unlink()
    assert until(ledger.ready)
    keep(ledger, entry())
    ledger.close()


def test_a_file_that_is_taken_away_is_neither_written_nor_made_anew(sqlite_url: str, tmp_path: Path) -> None:
    """What would be lost is not said to be kept, and an order has no second number in a new file; it comes back."""
    file, away = Path(file_of(sqlite_url)), tmp_path / "away.db"
    with opened(sqlite_url) as ledger:
        (given,) = keep(ledger, entry("one", wants_number=True))
        for name in ("", "-wal", "-shm"):
            Path(f"{file}{name}").rename(f"{away}{name}")
        assert not ledger.record((entry("one", wants_number=True),), soon())[0].recorded
        assert until(lambda: not ledger.ready())
        time.sleep(0.3)
        assert not file.exists()
        for name in ("", "-wal", "-shm"):
            if Path(f"{away}{name}").exists():
                Path(f"{away}{name}").rename(f"{file}{name}")
        assert until(ledger.ready)
        (again,) = keep(ledger, entry("one", wants_number=True))
        assert again.number == given.number != ""


def test_a_file_that_was_replaced_is_the_one_that_is_written(sqlite_url: str, tmp_path: Path) -> None:
    """After a backup was put in its place, decisions are where everybody else looks for them, lookups too."""
    file, copy = Path(file_of(sqlite_url)), tmp_path / "copy.db"
    with opened(sqlite_url) as ledger:
        keep(ledger, entry("before"))
        assert ledger.reader.answered("ca-before", "https://ehr.example") is not None
        with sqlite3.connect(file) as source, sqlite3.connect(copy) as target:
            source.backup(target)
        source.close()
        target.close()
        copy.replace(file)
        for name in ("-wal", "-shm"):
            Path(f"{file}{name}").unlink()
        assert until(lambda: ledger.record((entry("after"),), soon())[0].recorded)
        with sqlite3.connect(file) as looking:
            assert looking.execute("SELECT COUNT(*) FROM decision").fetchone() == (2,)
        looking.close()
        assert ledger.reader.answered("ca-after", "https://ehr.example") is not None


def test_a_file_that_is_damaged_is_written_on_no_more(sqlite_url: str, tmp_path: Path) -> None:
    """A backup is in its place, with the log of the old one left beside it: no number is told until that is right."""
    file, copy = Path(file_of(sqlite_url)), tmp_path / "copy.db"
    with opened(sqlite_url) as ledger:
        (given,) = keep(ledger, entry("before", wants_number=True))
        source, target = sqlite3.connect(file), sqlite3.connect(copy)
        with source, target:
            source.backup(target)
        source.close()
        target.close()
        for number in range(100):
            keep(ledger, entry(f"later {number}", wants_number=True))
        shutil.copy(copy, tmp_path / "put")
        (tmp_path / "put").replace(file)
        for number in range(50):
            assert ledger.record((entry(f"new {number}", wants_number=True),), soon())[0].number == ""
        assert not until(ledger.ready, 1.0)
        for name in ("-wal", "-shm"):
            Path(f"{file}{name}").unlink(missing_ok=True)
        copy.replace(file)
        assert until(ledger.ready)
        (again,) = keep(ledger, entry("before", wants_number=True))
        assert again.number == given.number != ""


def test_a_database_that_is_not_one(tmp_path: Path) -> None:
    """A file of something else is away, not an exception."""
    (tmp_path / "ledger.db").write_bytes(b"something else " * 1000)
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db", service_version="0.0", limits=QUICK)
    assert not ledger.start(1.0)
    assert refused_quickly(ledger)
    ledger.close()


def test_a_writer_that_hangs(ledger: Ledger) -> None:
    """When a transaction never comes back, its callers are answered in time and the next ones at once."""
    from cds_service.ledger.store import LedgerStore

    write = LedgerStore.write
    try:
        LedgerStore.write = lambda self, connection, pendings: time.sleep(2)  # type: ignore[method-assign]
        began = time.monotonic()
        assert not ledger.record((entry("1"),), soon())[0].recorded
        assert time.monotonic() - began < QUICK.patience_s + 0.1
        time.sleep(0.2)
        assert refused_quickly(ledger)
        assert not ledger.ready()
    finally:
        LedgerStore.write = write  # type: ignore[method-assign]
    assert until(ledger.ready)
    keep(ledger, entry("2"))
