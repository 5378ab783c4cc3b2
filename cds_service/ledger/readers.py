"""Connections that are kept open for lookups, each with one lookup at a time.

SQLAlchemy opens them; its pool and its statements would take longer than the lookup itself.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy import Engine, PoolProxiedConnection

from cds_service.ledger.query import Query, Rows

_KEPT = 16


class UnreadError(Exception):
    """The database could not be asked. Of the driver's own message nothing is repeated: it may hold what was asked."""


class Readers:
    """The connections of one process. `file` tells which file SQLite should have open; it raises OSError for none."""

    def __init__(self, engine: Engine, file: Callable[[], Any]) -> None:
        self._engine, self._file = engine, file
        self._idle: list[tuple[Any, PoolProxiedConnection]] = []  # with the file of each; those of one thread are warm

    def read(self, query: Query, given: Mapping[str, Any]) -> Rows:
        """What the query finds. Raises UnreadError and OSError."""
        file, dialect = self._file(), self._engine.dialect
        connection = None
        try:
            connection = self._taken(file)
            found = query.run(connection.dbapi_connection, dialect, given)
        except dialect.loaded_dbapi.Error as error:
            if connection is not None:
                connection.invalidate()
            self.close()  # what broke one has likely broken the others
            raise UnreadError(type(error).__name__) from None
        if len(self._idle) < _KEPT:
            self._idle.append((file, connection))
        else:
            connection.close()
        return found

    def close(self) -> None:
        """Closes what is at rest."""
        with suppress(IndexError):
            while True:
                self._idle.pop()[1].close()

    def _taken(self, file: Any) -> PoolProxiedConnection:
        with suppress(IndexError):
            while True:
                had, connection = self._idle.pop()
                if had == file:
                    return connection
                connection.close()  # its file was removed or replaced: nobody else would find what it has
        return self._engine.raw_connection()
