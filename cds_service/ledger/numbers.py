"""Authorization numbers: one for each member, drug, order and coverage, whoever asks, as often as it is asked."""

from datetime import date
from typing import Any

from sqlalchemy import Connection, select

from cds_service.ledger.dialect import insert_new
from cds_service.ledger.fingerprint import new_number
from cds_service.ledger.schema import authorization
from cds_service.policy.dates import months_after

KEY = ("member_key", "drug", "order_key", "coverage_key")


def number_for(
    connection: Connection, decision: dict[str, Any], today: date, months: int, carried: str = ""
) -> tuple[str, date] | None:
    """The number that stands for the decision's key, with the day it was issued; issued now where there is none.

    None where it has run out: it satisfies nothing any more. It is the caller's to commit before anyone is told.
    `carried` is one that the order says it has: a draft that got another id when it was signed keeps its number, if
    that was given to this member for this drug under this coverage, and is still good.
    """
    key = {name: decision[name] for name in KEY}
    if carried and (held := _carried(connection, key, carried, today)) is not None:
        return held
    while True:
        issued = {
            **key,
            "number": new_number(),
            "issued_on": today,
            "expires_on": months_after(today, months),
            "decision_id": decision["id"],
        }
        new = insert_new(connection, authorization).returning(authorization.c.number)
        if connection.execute(new, issued).first() is not None:
            return issued["number"], today
        kept = select(*(authorization.c[name] for name in ("number", "issued_on", "expires_on")))
        found = connection.execute(kept.filter_by(**key)).first()
        if found is not None:
            return (found.number, found.issued_on) if today < found.expires_on else None
        # the random number itself was taken: once in 2**60, but never to be given twice


def _carried(connection: Connection, key: dict[str, Any], carried: str, today: date) -> tuple[str, date] | None:
    """That number, where no other stands for the key itself."""
    wanted = select(authorization.c.number, authorization.c.issued_on)
    if connection.execute(wanted.filter_by(**key)).first() is not None:
        return None
    same = {name: value for name, value in key.items() if name != "order_key"}
    good = authorization.c.expires_on > today
    found = connection.execute(wanted.filter_by(number=carried, **same).where(good)).first()
    return (found.number, found.issued_on) if found is not None else None
