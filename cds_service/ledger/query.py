"""Lookups in the driver's own words: what SQLAlchemy does around a statement takes longer than the lookup itself."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from sqlalchemy import Select
from sqlalchemy.engine import Dialect

Rows = list[tuple[Any, ...]]  # values as the driver has them: SQLite has dates as text


class _Written(Struct, frozen=True):
    text: str
    names: tuple[str, ...] | None  # the order of the parameters, where they go by place
    known: Mapping[str, Any]  # parameters that the statement brings along


class Query:
    """A statement that is written once for each kind of database."""

    def __init__(self, statement: Select[Any]) -> None:
        self._statement = statement
        self._written: dict[str, _Written] = {}

    def run(self, connection: Any, dialect: Dialect, given: Mapping[str, Any]) -> Rows:
        """What it finds with these parameters over a driver's connection. Raises the driver's own errors."""
        written = self._written.get(dialect.name) or self._write(dialect)
        parameters: Any = {**written.known, **given}
        if written.names is not None:
            parameters = [parameters[name] for name in written.names]
        found: Rows = connection.execute(written.text, parameters).fetchall()
        return found

    def _write(self, dialect: Dialect) -> _Written:
        compiled: Any = self._statement.compile(dialect=dialect)
        names = tuple(compiled.positiontup) if compiled.positional else None
        self._written[dialect.name] = written = _Written(str(compiled), names, compiled.params)
        return written
