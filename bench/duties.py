"""What an answer of this service may not do without, each done as cheaply as can be: for telling what the aims leave.

checked    members that stand twice are looked for, and one line is logged
kept       one row of the ledger's tables is committed, by the bare driver on the thread that answers
"""

import os
import sys
import threading
import time
from pathlib import Path
from sqlite3 import Connection, connect

import msgspec
from sqlalchemy import Table, create_engine

from cds_service.ledger.schema import card, decision, metadata
from hooks.wire import decode

_FINDINGS = 3000  # bytes, of an answer whose criteria are all met
_ROW = {column.name: "x" * 32 for column in decision.columns} | {
    "findings": "x" * _FINDINGS,
    "inputs": "",
    "number": "",
}
_LINE = {"event": "call", "hook": "order-sign", "hook_instance": "x" * 36, "status": 200, "metric": "x" * 200}


def _insert(table: Table) -> str:
    names = [column.name for column in table.columns]
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join(':' + name for name in names)})"  # noqa: S608


_DECISION, _CARD = _insert(decision), _insert(card)


class Duties:
    """The duties, with a SQLite database in that folder."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "duties.db"
        self._own = threading.local()

    def prepare(self) -> None:
        """Makes the ledger's tables."""
        engine = create_engine(f"sqlite:///{self._file}")
        metadata.create_all(engine)
        engine.dispose()

    def read(self, body: bytes) -> None:
        """Decodes the body as the service does, members that stand twice being looked for, and logs a line."""
        decode(body)
        sys.stderr.write(msgspec.json.encode(_LINE).decode() + "\n")

    def keep(self) -> None:
        """Commits a decision with one card."""
        name = f"{time.time_ns():020d}{os.getpid():06d}"
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_DECISION, _ROW | {"id": name})
        connection.execute(_CARD, {"uuid": os.urandom(16).hex(), "decision_id": name, "kind": "guideline"})
        connection.execute("COMMIT")

    def _connection(self) -> Connection:
        if not hasattr(self._own, "connection"):
            self._own.connection = connect(self._file, isolation_level=None)
            self._own.connection.execute("PRAGMA journal_mode = WAL")
            self._own.connection.execute("PRAGMA synchronous = NORMAL")
        found: Connection = self._own.connection
        return found
