"""What the tests read from the tables."""

from typing import Any

from sqlalchemy import Table, func, select

from cds_service.ledger.ledger import Ledger


def rows(ledger: Ledger, table: Table) -> list[Any]:
    """Every row of the table."""
    with ledger.database.connect_patiently() as connection, connection.begin():
        return list(connection.execute(select(table)).all())


def count(ledger: Ledger, table: Table) -> int:
    """How many rows the table has."""
    with ledger.database.connect_patiently() as connection, connection.begin():
        return connection.scalar(select(func.count()).select_from(table)) or 0
