"""Which tokens have been used: each `jti` of an issuer counts once (CDS Hooks 2.0, "Trusting CDS Clients").

Kept in one file for all processes of an instance, and over a restart; `replay_redis` shares it between instances. No
token is on disk, only a digest of issuer and `jti`. What cannot be told is refused, never let through.
"""

import hashlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from cds_service.which_file import FileIdentity, which_file


class ReplayStoreError(Exception):
    """The store cannot tell whether a token was used before."""


class SeenTokens(Protocol):
    """The tokens that were used and could be used again."""

    def first_use(self, iss: str, jti: str, expires_at: int) -> bool:
        """True exactly once for this issuer and `jti`, until `expires_at` (epoch seconds). Raises ReplayStoreError."""

    def check(self) -> None:
        """Nothing when a token could be noted now. Raises ReplayStoreError. For readiness."""


def token_digest(iss: str, jti: str) -> bytes:
    """What a token is remembered by. The length keeps two pairs apart that read the same when joined."""
    return hashlib.sha256(f"{len(iss)}:{iss}{jti}".encode()).digest()


# One row of `total` counts the rows of `seen`, since counting a million takes longer than a call may. One of `gone`
# says until when the longest-lived token was good that is not in `seen` any more: a clock that is set back makes such
# tokens good again, and whether they were used cannot be told.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (digest BLOB PRIMARY KEY, expires_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_expires_at ON seen (expires_at);
CREATE TABLE IF NOT EXISTS total (only INTEGER PRIMARY KEY CHECK (only = 1), rows INTEGER NOT NULL);
INSERT OR IGNORE INTO total VALUES (1, (SELECT COUNT(*) FROM seen));
CREATE TRIGGER IF NOT EXISTS seen_more AFTER INSERT ON seen BEGIN UPDATE total SET rows = rows + 1; END;
CREATE TABLE IF NOT EXISTS gone (only INTEGER PRIMARY KEY CHECK (only = 1), until INTEGER NOT NULL);
INSERT OR IGNORE INTO gone VALUES (1, 0);
CREATE TRIGGER IF NOT EXISTS seen_to AFTER DELETE ON seen BEGIN UPDATE gone SET until = MAX(until, OLD.expires_at); END;
CREATE TRIGGER IF NOT EXISTS seen_less AFTER DELETE ON seen BEGIN UPDATE total SET rows = rows - 1; END;
"""
_NOTE = """
INSERT OR IGNORE INTO seen SELECT :digest, :until
WHERE (SELECT rows FROM total) < :most AND :until > (SELECT until FROM gone)
"""
_GONE_UNTIL = "SELECT until FROM gone"
_KNOWN = "SELECT expires_at FROM seen WHERE digest = ?"
_RUN_OUT = "DELETE FROM seen WHERE digest = ? AND expires_at <= ?"
_PURGE = """
DELETE FROM seen WHERE digest IN (SELECT digest FROM seen WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)
"""
# Twice as many go as come, so that the file stays as large as one lifetime of tokens, and no call pays for many.
_PURGE_EVERY, _PURGE_ROWS = 64, 128
_FULL_PURGE_ROWS = 2000
_AGAIN_S = 0.001


class SeenTokensFile:
    """The used tokens in a SQLite file, for all threads and processes of one instance.

    One connection for each process, behind a lock: threads that wait for a lock are woken in turn, whereas connections
    that compete for the file sleep and try again. It is opened at the first use, and again after a fork.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.time,
        most_rows: int = 1_000_000,
        wait_s: float = 0.5,
    ) -> None:
        self._path, self._clock, self._most_rows, self._wait_s = path, clock, most_rows, wait_s
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._file: FileIdentity | None = None  # that the connection has open
        self._notes = 0
        _OPEN.add(self)

    def first_use(self, iss: str, jti: str, expires_at: int) -> bool:
        """True exactly once for this issuer and `jti`, until `expires_at` (epoch seconds). Raises ReplayStoreError."""
        digest = token_digest(iss, jti)
        return self._within_the_wait(lambda connection: self._note(connection, digest, expires_at))

    def check(self) -> None:
        """Nothing when a token could be noted now. Raises ReplayStoreError. For readiness."""

        def writable(connection: sqlite3.Connection) -> bool:
            (rows,) = connection.execute("SELECT rows FROM total").fetchone()
            if rows >= self._most_rows and not self._purge(connection, _FULL_PURGE_ROWS):
                return False
            probe = os.urandom(32)  # a full disk refuses what is written, and nothing before
            connection.execute("INSERT INTO seen VALUES (?, 0)", (probe,))
            connection.execute("DELETE FROM seen WHERE digest = ?", (probe,))
            return True

        if not self._within_the_wait(writable):
            raise ReplayStoreError("the file of used tokens is full")

    def close(self) -> None:
        """Lets go of the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _note(self, connection: sqlite3.Connection, digest: bytes, expires_at: int) -> bool:
        self._notes += 1
        if self._notes % _PURGE_EVERY == 0:
            self._purge(connection, _PURGE_ROWS)
        row = {"digest": digest, "until": expires_at, "most": self._most_rows}
        if connection.execute(_NOTE, row).rowcount == 1:
            return True
        known, now = connection.execute(_KNOWN, (digest,)).fetchone(), self._clock()
        if known is not None and known[0] > now:
            return False
        if known is not None:
            connection.execute(_RUN_OUT, (digest, int(now)))
        else:
            self._purge(connection, _FULL_PURGE_ROWS)
        if connection.execute(_NOTE, row).rowcount == 1:
            return True
        if connection.execute(_KNOWN, (digest,)).fetchone() is not None:
            return False
        if connection.execute(_GONE_UNTIL).fetchone()[0] >= expires_at:
            raise ReplayStoreError("the clock was set back; tokens of this age are known no more")
        raise ReplayStoreError("the file of used tokens is full")

    def _purge(self, connection: sqlite3.Connection, rows: int) -> int:
        return connection.execute(_PURGE, (int(self._clock()), rows)).rowcount

    def _within_the_wait(self, work: Callable[[sqlite3.Connection], bool]) -> bool:
        """What the work says. Raises ReplayStoreError when the file cannot be used, or not in time."""
        until = time.monotonic() + self._wait_s
        if not self._lock.acquire(timeout=self._wait_s):
            raise ReplayStoreError("the file of used tokens is busy")
        try:
            while True:
                try:
                    if self._connection is not None and self._file != self._file_now():
                        self._forget()  # removed or replaced: the other processes would note in another one
                    if self._connection is None:
                        self._connection = self._open()
                        self._file = self._file_now()
                    return work(self._connection)
                except sqlite3.OperationalError as error:
                    # The primary code is in the low byte. Busy is another process's turn, and passes.
                    busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
                    if not busy or time.monotonic() + _AGAIN_S >= until:
                        raise
                time.sleep(_AGAIN_S)
        except (sqlite3.Error, OSError) as error:
            # What went wrong may go away (a full disk, rights): the next call opens the file anew.
            self._forget()
            name = getattr(error, "sqlite_errorname", None) or type(error).__name__
            raise ReplayStoreError(f"the file of used tokens cannot be used ({name})") from None
        finally:
            self._lock.release()

    def _file_now(self) -> FileIdentity | None:
        with suppress(FileNotFoundError):
            return which_file(self._path)
        return None

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Made first, with its rights: SQLite gives the same to the files that it puts beside it.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # A killed process loses nothing so; only a machine that loses power may, and then tokens have run out.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA wal_autocheckpoint = 4000")
            connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA.strip().split("\n"):
                connection.execute(statement)
            connection.execute("COMMIT")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def start_anew(self) -> None:
        """Nothing; for a process that was just forked, which opens the file for itself.

        The parent's connection must be neither used nor closed there (sqlite.org/howtocorrupt.html §2.6), and its lock
        may be held by a thread that the child does not have.
        """
        _INHERITED.append(self._connection)
        self._connection, self._lock = None, threading.Lock()


_OPEN: "weakref.WeakSet[SeenTokensFile]" = weakref.WeakSet()
_INHERITED: list[sqlite3.Connection | None] = []


def _after_fork() -> None:
    for store in _OPEN:
        store.start_anew()


os.register_at_fork(after_in_child=_after_fork)
