"""The one statement that SQLAlchemy builds differently for each database: INSERT … ON CONFLICT DO NOTHING."""

from functools import cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import sqlite


def insert_new(connection: Connection, table: Table) -> Any:
    """An INSERT that leaves out rows whose key is there already."""
    return _built(connection.dialect.name, table)


@cache  # building it costs as much as running it
def _built(dialect: str, table: Table) -> Any:
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql  # a good deal to load for those who do without

        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
