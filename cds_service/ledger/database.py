"""Connections to the ledger's database, SQLite or PostgreSQL, each bounded in how long it may wait.

An engine belongs to one process: after a fork the child makes its own.
"""

import os
import socket
import sqlite3
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from cds_service.ledger.errors import LedgerSettingError
from cds_service.ledger.query import Query, Rows
from cds_service.ledger.readers import Readers
from cds_service.ledger.soundness import Soundness
from cds_service.which_file import FileIdentity, which_file

SETTING = "CDS_DATABASE_URL"
Durability = Literal["normal", "full"]
_OPERATOR_S = 10
_WAIT_S = "wait_s"  # execution option: how long a transaction waits for SQLite's write lock
_NAP_MS = 4
_FILE = "file"  # of a connection's info: which file SQLite has open
READS = "reads"  # execution option: the transaction only reads, and takes no lock for writing


class Limits(Struct, frozen=True):
    """How long the database may take, in seconds, before it counts as away."""

    patience_s: float = 1.0  # one call waits no longer, whatever its deadline
    lock_s: float = 0.8  # waiting for a lock
    stall_s: float = 0.9  # one transaction or probe
    connect_s: int = 2
    idle_s: float = 2.0  # between two looks at a database that nothing is written to
    probe_s: float = 0.25  # between two looks at a database that is away, growing to
    probe_most_s: float = 1.0
    steady_s: float = 3600.0  # the clock must have run evenly before retention takes out what cannot be brought back


def parse_url(text: str) -> URL:
    """The URL with its driver named. Raises LedgerSettingError."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise LedgerSettingError(f"{SETTING}: not a URL; expected sqlite:///file or postgresql://host/name") from None
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        if not url.database or url.database == ":memory:" or "mode=memory" in str(url):
            raise LedgerSettingError(f"{SETTING}: SQLite needs a file that outlives the process: sqlite:///file")
        return url.set(drivername="sqlite+pysqlite")
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        if find_spec("psycopg") is None:
            raise LedgerSettingError(f"{SETTING}: the PostgreSQL driver is not installed; install the extra `postgres`")
        _check_options(url := url.set(drivername="postgresql+psycopg"))
        return url
    raise LedgerSettingError(f"{SETTING}: expected sqlite:// or postgresql://, found {url.drivername[:40]}://")


def _check_options(url: URL) -> None:
    """Raises LedgerSettingError for an option that the driver of PostgreSQL does not know."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import make_conninfo

    try:
        make_conninfo(**url.get_dialect()().create_connect_args(url)[1])
    except ProgrammingError:  # whose message may repeat a password
        raise LedgerSettingError(f"{SETTING}: expected no other options in the URL than libpq's") from None


class Database:
    """One database, by URL."""

    def __init__(self, url: str, limits: Limits, durability: Durability = "normal") -> None:
        self.url = parse_url(url)
        self.limits = limits
        self._durability = durability
        self._engine: Engine | None = None
        self._process = 0
        self._soundness = Soundness()
        self._readers: Readers | None = None
        self._readers_process = 0
        self._was_there = False  # the file of SQLite, which is made but once

    @property
    def is_sqlite(self) -> bool:
        """True for SQLite."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def is_there(self) -> bool:
        """False for a file of SQLite that is not there; of a server nothing is asked. Raises OSError."""
        if not self.is_sqlite:
            return True
        with suppress(FileNotFoundError):
            self._file()
            return True
        return False

    def connect(self) -> Connection:
        """A new connection. Raises a DBAPIError, OSError or DamagedError where the database cannot be used."""
        connection = self._own_engine().connect()
        if self.is_sqlite:
            try:
                self._soundness.check(connection.connection.dbapi_connection, self.url.database or "")
            except Exception:
                connection.close()
                raise
        return connection

    def read(self, query: Query, given: Mapping[str, Any]) -> Rows:
        """What the query finds, over a connection kept open for reading alone. Raises UnreadError and OSError."""
        if self._readers is None or self._readers_process != os.getpid():
            engine = self._make_engine(isolation_level="AUTOCOMMIT")  # no transaction is ever open
            self._readers = Readers(engine, self._file if self.is_sqlite else lambda: None)
            self._readers_process = os.getpid()
        return self._readers.read(query, given)

    def close_readers(self) -> None:
        """Closes what was kept open for reading and is at rest."""
        if self._readers is not None and self._readers_process == os.getpid():
            self._readers.close()
            self._readers = None

    def connect_patiently(self, seconds: float = _OPERATOR_S) -> Connection:
        """A new connection that waits so long for a lock: an operator would rather wait than be told it is busy."""
        connection = self.connect()
        if self.is_sqlite:
            return connection.execution_options(**{_WAIT_S: seconds})
        with connection.begin():
            connection.exec_driver_sql("SET statement_timeout = 0")
            connection.exec_driver_sql(f"SET lock_timeout = {int(seconds * 1000)}")
        return connection

    def forget(self, connection: Connection) -> None:
        """Takes what was deleted out of SQLite's log file too, as far as nobody is reading it."""
        if self.is_sqlite:
            raw: Any = connection.connection.dbapi_connection
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _own_engine(self) -> Engine:
        if self._engine is None or self._process != os.getpid():
            self._engine, self._process = self._make_engine(), os.getpid()
        return self._engine

    def _make_engine(self, **more: Any) -> Engine:
        shared: dict[str, Any] = {
            **more,
            "poolclass": NullPool,
            "hide_parameters": True,  # an error's text must not repeat what was to be kept
            "json_serializer": lambda value: value if isinstance(value, str) else msgspec.json.encode(value).decode(),
            "json_deserializer": msgspec.json.decode,
        }
        limits = self.limits
        if self.is_sqlite:
            given = {"timeout": limits.lock_s, "check_same_thread": False}
            engine = create_engine(self.url, connect_args=given, **shared)
            event.listen(engine, "do_connect", self._make_file)
            event.listen(engine, "connect", self._set_up_sqlite)
            event.listen(engine, "handle_error", lambda context: self._soundness.heard(context.original_exception))
            if "isolation_level" not in more:  # a reader needs no transaction, and waits for no writer
                event.listen(engine, "begin", self._begin_sqlite)
            return engine
        options = (
            f"-c statement_timeout={int(limits.stall_s * 1000)} -c lock_timeout={int(limits.lock_s * 1000)}"
            " -c idle_in_transaction_session_timeout=60000"
        )
        server: dict[str, Any] = {
            "connect_timeout": limits.connect_s,
            "options": options,
            "application_name": "cds-service",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
        }
        return create_engine(self.url, connect_args=server, **shared)

    def _make_file(self, *_: Any) -> None:
        if "uri" in self.url.query:
            return
        path = Path(self.url.database or "")
        if self._was_there:
            path.stat()  # an empty one in its place would give a second number to an order that has one
            return
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))

    def _file(self) -> FileIdentity | None:
        """Which file the URL names now; None where that cannot be told. Raises OSError where there is none."""
        if "uri" in self.url.query:
            return None
        return which_file(self.url.database or "")

    def _set_up_sqlite(self, raw: Any, record: Any) -> None:
        record.info[_FILE], self._was_there = self._file(), True
        self._soundness.saw(record.info[_FILE])
        raw.isolation_level = None  # transactions begin where `_begin_sqlite` says
        if raw.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            raw.execute("PRAGMA journal_mode = WAL")
        raw.execute(f"PRAGMA synchronous = {self._durability.upper()}")
        raw.execute("PRAGMA secure_delete = ON")  # what is purged is overwritten
        raw.execute(f"PRAGMA busy_timeout = {_NAP_MS}")  # from here on `_begin_sqlite` does the waiting

    def _begin_sqlite(self, connection: Connection) -> None:
        """Begins; a writer takes its lock at once, since a reader that turns writer later could not wait for it.

        SQLite's own waiting sleeps longer and longer, so that one of several busy processes can wait for very long.
        """
        if connection.info.get(_FILE) != self._file():
            raise FileNotFoundError("the file is another one now")
        options = connection.get_execution_options()
        if options.get(READS):
            connection.exec_driver_sql("BEGIN")
            return
        raw: Any = connection.connection.dbapi_connection
        until = time.monotonic() + options.get(_WAIT_S, self.limits.lock_s)
        while time.monotonic() < until:
            try:
                raw.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    break
            else:
                return
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the last try, or the same failure, told as others are


def interrupt(connection: Connection) -> None:
    """Makes whatever the connection waits for fail soon; may be called from another thread."""
    with suppress(Exception):  # it may be gone by now, which is all that is asked for
        raw: Any = connection.connection.dbapi_connection
        if hasattr(raw, "interrupt"):
            raw.interrupt()
            return
        with socket.socket(fileno=os.dup(raw.fileno())) as its:
            its.shutdown(socket.SHUT_RDWR)
