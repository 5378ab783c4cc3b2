"""Takes decisions with all that hangs on them, and kept forms, out of the ledger: a few at a time, so nobody waits."""

from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from msgspec import Struct
from sqlalchemy import Column, ColumnElement, Connection, delete, select

from cds_service.ledger.fingerprint import id_floor
from cds_service.ledger.schema import authorization, card, decision, feedback, kept_form

PURGED_AT_ONCE = 500


class Doomed(Struct, frozen=True):
    """What is to be taken out, table by table."""

    decisions: ColumnElement[bool]
    numbers: ColumnElement[bool]
    forms: ColumnElement[bool]
    unlinked_feedback: ColumnElement[bool] | None = None


class Gone(NamedTuple):
    """How many were taken out; a decision with its cards and their feedback."""

    decisions: int = 0
    numbers: int = 0
    forms: int = 0
    unlinked_feedback: int = 0

    def plus(self, more: "Gone") -> "Gone":
        """Both together."""
        return Gone(*(one + other for one, other in zip(self, more, strict=True)))


def older_than(moment: datetime) -> Doomed:
    """What was kept before this moment; a number stays until its expiry is as old."""
    unlinked = feedback.c.decision_id.is_(None) & (feedback.c.received_at < moment)
    day: date = moment.astimezone(UTC).date()
    floor = id_floor(moment.timestamp())
    return Doomed(decision.c.id < floor, authorization.c.expires_on < day, kept_form.c.id < floor, unlinked)


def of_member(member_key: str) -> Doomed:
    """Everything of one member."""
    return Doomed(*(table.c.member_key == member_key for table in (decision, authorization, kept_form)))


def purge_some(connection: Connection, doomed: Doomed, most: int) -> Gone:
    """What was taken out, of each at most so many; nothing is left where it is fewer of each."""
    decisions = _take(connection, decision.c.id, doomed.decisions, most, (card.c.decision_id, feedback.c.decision_id))
    numbers = _take(connection, authorization.c.number, doomed.numbers, most)
    forms = _take(connection, kept_form.c.id, doomed.forms, most)
    unlinked = 0
    if doomed.unlinked_feedback is not None:
        unlinked = _take(connection, feedback.c.id, doomed.unlinked_feedback, most)
    return Gone(decisions, numbers, forms, unlinked)


def _take(
    connection: Connection,
    key: Column[Any],
    doomed: ColumnElement[bool],
    most: int,
    pointing: tuple[Column[Any], ...] = (),
) -> int:
    """How many rows were taken out, with what is `pointing` at them."""
    chosen: Any = select(key).where(doomed).order_by(key).limit(most)
    if connection.dialect.name != "sqlite":  # which chooses the same each time, also keys that are no UTF-8 to be read
        chosen = list(connection.scalars(chosen))
    for column in pointing:
        connection.execute(delete(column.table).where(column.in_(chosen)))
    return connection.execute(delete(key.table).where(key.in_(chosen))).rowcount
