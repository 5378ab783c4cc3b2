"""The tables as this version knows them. How they came to be so is in `migrations/`; a test holds the two together.

No column but the sealed ones holds a reference, a value, a date or a word from a chart: what stands for a member, an
order, a coverage or a piece of evidence is a keyed hash (`fingerprint.py`).
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
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
    Column("id", DECISION_ID, primary_key=True),  # sorts by time
    Column("assertion_id", WORD, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    Column("hook", WORD, nullable=False),
    Column("hook_instance", WORD, nullable=False),
    Column("caller", WORD, nullable=False),
    Column("dialect", WORD, nullable=False),
    Column("member_key", HASH, nullable=False),
    Column("order_key", HASH, nullable=False),
    Column("coverage_key", HASH, nullable=False),
    Column("policy", WORD, nullable=False),
    Column("policy_version", Date, nullable=False),
    Column("service_version", WORD, nullable=False),
    Column("drug", WORD, nullable=False),
    Column("day", Date, nullable=False),
    Column("outcome", WORD, nullable=False),
    Column("covered", WORD, nullable=False),
    Column("findings", JSON, nullable=False),
    Column("inputs", LargeBinary),  # sealed, or NULL where there is no key
    Column("cards", JSON, nullable=False),
    Column("suggestions", JSON, nullable=False),
    Column("number", String(32)),
    Column("user_key", HASH),  # NULL where the hook names none, and before revision 0004
    Column("policy_digest", String(64)),  # SHA-256 of the policy's file; NULL before revision 0004
    Column("vocabulary_digest", String(64)),  # SHA-256 of value sets and lab tables; NULL before revision 0005
    Index("decision_assertion", "assertion_id"),
    Index("decision_member", "member_key"),
)

card = Table(
    "card",
    metadata,
    Column("uuid", WORD, primary_key=True),
    Column("decision_id", DECISION_ID, nullable=False),
    Column("kind", WORD, nullable=False),
    Index("card_decision", "decision_id"),
)

authorization = Table(
    "authorization",
    metadata,
    Column("number", String(32), primary_key=True),
    Column("member_key", HASH, nullable=False),
    Column("drug", WORD, nullable=False),
    Column("order_key", HASH, nullable=False),
    Column("coverage_key", HASH, nullable=False),
    Column("issued_on", Date, nullable=False),
    Column("expires_on", Date, nullable=False),
    Column("decision_id", DECISION_ID, nullable=False),
    UniqueConstraint("member_key", "drug", "order_key", "coverage_key", name="authorization_once"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("card", WORD, nullable=False),
    Column("decision_id", DECISION_ID),  # NULL for a card that is not known here
    Column("kind", WORD),
    Column("outcome", WORD, nullable=False),
    Column("reason_code", WORD, nullable=False),
    Column("reason_system", WORD, nullable=False),
    Column("comment", LargeBinary),  # sealed, or NULL
    Column("accepted", JSON, nullable=False),
    Column("outcome_timestamp", WORD, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("caller", WORD, nullable=False),  # empty where no token is asked for, and before revision 0005
    UniqueConstraint("card", "outcome", "outcome_timestamp", "caller", name="feedback_once"),
    Index("feedback_decision", "decision_id"),
)

kept_form = Table(
    "kept_form",
    metadata,
    Column("id", DECISION_ID, primary_key=True),  # sorts by time
    Column("kept_at", Moment, nullable=False),
    Column("ehr_key", HASH, nullable=False),
    Column("patient_key", HASH, nullable=False),  # of the patient's id at that EHR
    Column("member_key", HASH, nullable=False),
    Column("form", LargeBinary, nullable=False),  # sealed
    Index("kept_form_ehr", "ehr_key"),
    Index("kept_form_patient", "patient_key"),
    Index("kept_form_member", "member_key"),
)

installation = Table(
    "installation",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary, nullable=False),
    Column("created_at", Moment, nullable=False),
)

access_log = Table(
    "access_log",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("at", Moment, nullable=False),
    Column("who", WORD, nullable=False),
    Column("action", WORD, nullable=False),
    Column("about", Text, nullable=False),
    Column("count", Integer, nullable=False),
)
