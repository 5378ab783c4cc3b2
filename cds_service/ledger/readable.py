"""What is read back for an operator, a page at a time. A row that is damaged is named, and costs no other."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import MsgspecError
from sqlalchemy import Column, ColumnElement, Connection, LargeBinary, RowMapping, cast, select
from sqlalchemy.exc import OperationalError

from cds_service.ledger.audit import opened_comment
from cds_service.ledger.database import READS
from cds_service.ledger.schema import decision, feedback
from cds_service.ledger.sealing import Seal

PAGE = 200
_WORDS = tuple(column.name for column in decision.c if column.type.python_type is str)


class Row:
    """A row by attribute, as `replay` reads it."""

    def __init__(self, row: RowMapping) -> None:
        self.__dict__.update(row)


class Damage(list[str]):
    """Names of what could not be read."""

    @contextmanager
    def noted(self, name: str) -> Iterator[None]:
        """Notes the name where what is read within is damaged; any other failure is raised."""
        try:
            yield
        except (MsgspecError, ValueError, TypeError, OperationalError) as error:
            if isinstance(error, OperationalError) and not _is_undecodable(error):
                raise
            self.append(name)


@contextmanager
def reading(connection: Connection) -> Iterator[None]:
    """A transaction that only reads."""
    connection.execution_options(**{READS: True})
    try:
        with connection.begin():
            yield
    finally:
        connection.execution_options(**{READS: False})


def decisions(connection: Connection, where: list[ColumnElement[bool]], damage: Damage) -> Iterator[RowMapping]:
    """The chosen decisions, oldest first, without the damaged ones."""
    for ids in pages(connection, decision.c.id, where, damage):
        yield from _whole(connection, ids, damage)


def pages(
    connection: Connection, key: Column[Any], where: list[ColumnElement[bool]], damage: Damage
) -> Iterator[list[Any]]:
    """The chosen ids of a table in their order, without those that are no UTF-8; each is named by its bytes."""
    chosen, passed, size = select(key).where(*where).order_by(key), 0, PAGE
    after = chosen
    while True:
        wanted, found, failed = after.offset(passed).limit(size), [], Damage()
        with failed.noted(""), reading(connection):
            found = list(connection.scalars(wanted))
        if failed and size > 1:  # by halves, as in `_whole`
            size //= 2
        elif failed:
            with reading(connection):
                damage.append(
                    f"{key.table.name} {connection.scalar(wanted.with_only_columns(cast(key, LargeBinary)))!r}"
                )
            passed, size = passed + 1, PAGE
        else:
            if found:
                yield found
            if len(found) < size:
                return
            after, passed, size = chosen.where(key > found[-1]), 0, PAGE


def _whole(connection: Connection, ids: list[str], damage: Damage) -> list[RowMapping]:
    """The rows of these ids; where one is damaged, by halves, until it is found."""
    found, failed = [], Damage()
    with failed.noted(""), reading(connection):
        wanted = select(decision).where(decision.c.id.in_(ids)).order_by(decision.c.id)
        found = [_checked(row) for row in connection.execute(wanted).mappings()]
    if not failed:
        return found
    if len(ids) == 1:
        damage.append(f"decision {ids[0]}")
        return []
    middle = len(ids) // 2
    return [*_whole(connection, ids[:middle], damage), *_whole(connection, ids[middle:], damage)]


def _checked(row: RowMapping) -> RowMapping:
    """The row. Raises TypeError for bytes in place of a word, or a word in place of bytes: SQLite takes them."""
    if any(isinstance(row[name], bytes) for name in _WORDS) or not isinstance(row["inputs"], bytes | None):
        raise TypeError
    return row


def feedback_of(
    connection: Connection, decision_id: str, damage: Damage, seal: Seal | None = None
) -> list[dict[str, Any]] | str:
    """What became of its cards, each comment opened as far as the seal goes; `damaged` where it cannot be read."""
    wanted = select(feedback).where(feedback.c.decision_id == decision_id).order_by(feedback.c.id)
    with damage.noted(f"feedback of decision {decision_id}"), reading(connection):
        rows = connection.execute(wanted).mappings().all()
        return [{**row, "caller": row["caller"] or None, "comment": opened_comment(row, seal)} for row in rows]
    return "damaged"


def _is_undecodable(error: OperationalError) -> bool:
    """True for a text that is not UTF-8: the driver's own error, which has no code of SQLite's."""
    return isinstance(error.orig, sqlite3.OperationalError) and not hasattr(error.orig, "sqlite_errorcode")
