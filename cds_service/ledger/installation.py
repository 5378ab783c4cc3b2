"""Random keys that are made once and shared by all instances of one database."""

import secrets
from datetime import UTC, datetime

from msgspec import Struct
from sqlalchemy import Connection, select

from cds_service.ledger.dialect import insert_new
from cds_service.ledger.schema import installation


class Keys(Struct, frozen=True):
    """The keys of this installation."""

    fingerprints: bytes  # see `fingerprint.py`
    assertions: bytes  # what assertion ids are derived with


def read_keys(connection: Connection) -> Keys:
    """The keys, made on the first call of all instances; commits."""
    with connection.begin():
        kept = _kept(connection)
        missing = [name for name in Keys.__struct_fields__ if name not in kept]
        if missing:
            made = [{"name": n, "value": secrets.token_bytes(32), "created_at": datetime.now(UTC)} for n in missing]
            connection.execute(insert_new(connection, installation), made)
            kept = _kept(connection)
    return Keys(**{name: kept[name] for name in Keys.__struct_fields__})


def _kept(connection: Connection) -> dict[str, bytes]:
    rows = connection.execute(select(installation.c.name, installation.c.value))
    return {row.name: bytes(row.value) for row in rows}
