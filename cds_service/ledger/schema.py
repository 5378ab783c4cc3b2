"""The tables as this version knows them. How they came to be so is in `migrations/`; a test holds the two together.

No column but the sealed ones holds a reference, a value, a date or a word from a chart: what stands for a member, an
order, a coverage or a piece of evidence is a keyed hash (`fingerprint.py`).
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy import Column as C
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

metadata = MetaData()

ROW_ID = BigInteger().with_variant(Integer, "sqlite")
HASH = String(32)
DECISION_ID = String(26)
WORD = String(200)


class Moment(TypeDecorator[datetime]):
    """A point in time, kept in UTC and read back with its zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """The value in UTC; SQLite keeps it without a zone."""
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The value with its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


decision = Table(
    "decision",
    metadata,
    C("id", DECISION_ID, primary_key=True),  # sorts by time
    C("assertion_id", WORD, nullable=False),
    C("recorded_at", Moment, nullable=False),
    C("hook", WORD, nullable=False),
    C("hook_instance", WORD, nullable=False),
    C("caller", WORD, nullable=False),
    C("dialect", WORD, nullable=False),
    C("member_key", HASH, nullable=False),
    C("order_key", HASH, nullable=False),
    C("coverage_key", HASH, nullable=False),
    C("policy", WORD, nullable=False),
    C("policy_version", Date, nullable=False),
    C("service_version", WORD, nullable=False),
    C("drug", WORD, nullable=False),
    C("day", Date, nullable=False),
    C("outcome", WORD, nullable=False),
    C("covered", WORD, nullable=False),
    C("findings", JSON, nullable=False),
    C("inputs", LargeBinary),  # sealed, or NULL where there is no key
    C("cards", JSON, nullable=False),
    C("suggestions", JSON, nullable=False),
    C("number", String(32)),
    Index("decision_assertion", "assertion_id"),
    Index("decision_member", "member_key"),
)

card = Table(
    "card",
    metadata,
    C("uuid", WORD, primary_key=True),
    C("decision_id", DECISION_ID, nullable=False),
    C("kind", WORD, nullable=False),
    Index("card_decision", "decision_id"),
)

authorization = Table(
    "authorization",
    metadata,
    C("number", String(32), primary_key=True),
    C("member_key", HASH, nullable=False),
    C("drug", WORD, nullable=False),
    C("order_key", HASH, nullable=False),
    C("coverage_key", HASH, nullable=False),
    C("issued_on", Date, nullable=False),
    C("expires_on", Date, nullable=False),
    C("decision_id", DECISION_ID, nullable=False),
    UniqueConstraint("member_key", "drug", "order_key", "coverage_key", name="authorization_once"),
)

feedback = Table(
    "feedback",
    metadata,
    C("id", ROW_ID, primary_key=True, autoincrement=True),
    C("card", WORD, nullable=False),
    C("decision_id", DECISION_ID),  # NULL for a card that is not known here
    C("kind", WORD),
    C("outcome", WORD, nullable=False),
    C("reason_code", WORD, nullable=False),
    C("reason_system", WORD, nullable=False),
    C("comment", LargeBinary),  # sealed, or NULL
    C("accepted", JSON, nullable=False),
    C("outcome_timestamp", WORD, nullable=False),
    C("received_at", Moment, nullable=False),
    UniqueConstraint("card", "outcome", "outcome_timestamp", name="feedback_once"),
    Index("feedback_decision", "decision_id"),
)

installation = Table(
    "installation",
    metadata,
    C("name", String(64), primary_key=True),
    C("value", LargeBinary, nullable=False),
    C("created_at", Moment, nullable=False),
)

access_log = Table(
    "access_log",
    metadata,
    C("id", ROW_ID, primary_key=True, autoincrement=True),
    C("at", Moment, nullable=False),
    C("who", WORD, nullable=False),
    C("action", WORD, nullable=False),
    C("about", Text, nullable=False),
    C("count", Integer, nullable=False),
)
