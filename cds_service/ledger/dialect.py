"""The one statement that SQLAlchemy builds differently for each database: INSERT … ON CONFLICT."""

from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert(connection: Connection, table: Table) -> Any:
    """An INSERT that knows `on_conflict_do_nothing`."""
    build = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return build(table)
