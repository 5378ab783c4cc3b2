"""Authorization numbers: one for each member, drug, order and coverage, whoever asks, as often as it is asked."""

from datetime import date
from typing import Any

from sqlalchemy import Connection, select

from cds_service.ledger.dialect import insert_new
from cds_service.ledger.fingerprint import new_number
from cds_service.ledger.schema import authorization
from cds_service.policy.dates import months_after

KEY = ("member_key", "drug", "order_key", "coverage_key")


def number_for(connection: Connection, decision: dict[str, Any], today: date, months: int) -> tuple[str, date] | None:
    """The number that stands for the decision's key, with the day it was issued; issued now where there is none.

    None where it has run out: it satisfies nothing any more. It is the caller's to commit before anyone is told.
    """
    key = {name: decision[name] for name in KEY}
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
