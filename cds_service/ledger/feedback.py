"""What became of the cards: feedback as it is kept, and the operator's table of it."""

from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection, func, select

from cds_service.ledger.dialect import insert_new
from cds_service.ledger.rows import to_text, word
from cds_service.ledger.schema import card, decision, feedback
from cds_service.ledger.sealing import Seal


class FeedbackItem(Struct, frozen=True):
    """One element of a feedback call."""

    card: str  # uuid
    outcome: str  # accepted or overridden
    outcome_timestamp: str  # as the caller wrote it
    accepted: tuple[str, ...] = ()  # suggestion uuids
    reason_code: str = ""
    reason_system: str = ""
    comment: str = ""  # may hold anything about anyone: sealed, or not kept
    caller: str | None = None  # iss of the client that sends it, which is linked to its own cards alone; None: to any


class FeedbackRow(Struct, frozen=True):
    """A row of the operator's table."""

    kind: str  # of the card; empty where the card is not known here
    outcome: str
    reason_system: str
    reason_code: str
    count: int


def write_feedback(connection: Connection, items: tuple[FeedbackItem, ...], at: datetime, seal: Seal | None) -> None:
    """Keeps each item once; the same card, outcome and timestamp from the same client again changes nothing."""
    uuids = sorted({word(item.card) for item in items})
    cards = select(card, decision.c.caller).join(decision, decision.c.id == card.c.decision_id)
    known = {row.uuid: row for row in connection.execute(cards.where(card.c.uuid.in_(uuids)))}
    rows = []
    for item in sorted(items, key=lambda item: (item.card, item.outcome, item.outcome_timestamp)):
        uuid = word(item.card)
        of = known.get(uuid)
        if of is not None and item.caller is not None and of.caller != word(item.caller):
            of = None  # a client's word on another's card is nobody's answer to it
        sealed = seal.close(item.comment.encode("utf-8", "replace"), uuid) if seal and item.comment else None
        rows.append(
            {
                "card": uuid,
                "decision_id": of.decision_id if of is not None else None,
                "kind": of.kind if of is not None else None,
                "outcome": word(item.outcome),
                "reason_code": word(item.reason_code),
                "reason_system": word(item.reason_system),
                "comment": sealed,
                "accepted": to_text([word(uuid) for uuid in item.accepted]),
                "outcome_timestamp": word(item.outcome_timestamp),
                "received_at": at,
                "caller": word(item.caller or ""),
            }
        )
    if rows:
        connection.execute(insert_new(connection, feedback), rows)


def feedback_table(connection: Connection) -> tuple[FeedbackRow, ...]:
    """How often each kind of card was accepted or overridden, and why."""
    by = (feedback.c.kind, feedback.c.outcome, feedback.c.reason_system, feedback.c.reason_code)
    rows = connection.execute(select(*by, func.count()).group_by(*by).order_by(*by))
    return tuple(FeedbackRow(row[0] or "", row[1], row[2], row[3], row[4]) for row in rows)
