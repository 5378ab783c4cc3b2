"""Decisions with their cards, authorization numbers, feedback, and the keys of the installation."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Creates the tables."""
    words = ("hook", "hook_instance", "caller", "dialect")
    keys = ("member_key", "order_key", "coverage_key")
    op.create_table(
        "decision",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("assertion_id", sa.String(200), nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        *(sa.Column(name, sa.String(200), nullable=False) for name in words),
        *(sa.Column(name, sa.String(32), nullable=False) for name in keys),
        sa.Column("policy", sa.String(200), nullable=False),
        sa.Column("policy_version", sa.Date, nullable=False),
        sa.Column("service_version", sa.String(200), nullable=False),
        sa.Column("drug", sa.String(200), nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("outcome", sa.String(200), nullable=False),
        sa.Column("covered", sa.String(200), nullable=False),
        sa.Column("findings", sa.JSON, nullable=False),
        sa.Column("inputs", sa.LargeBinary),
        sa.Column("cards", sa.JSON, nullable=False),
        sa.Column("suggestions", sa.JSON, nullable=False),
        sa.Column("number", sa.String(32)),
    )
    op.create_index("decision_assertion", "decision", ["assertion_id"])
    op.create_index("decision_member", "decision", ["member_key"])
    op.create_table(
        "card",
        sa.Column("uuid", sa.String(200), primary_key=True),
        sa.Column("decision_id", sa.String(26), nullable=False),
        sa.Column("kind", sa.String(200), nullable=False),
    )
    op.create_index("card_decision", "card", ["decision_id"])
    op.create_table(
        "authorization",
        sa.Column("number", sa.String(32), primary_key=True),
        sa.Column("member_key", sa.String(32), nullable=False),
        sa.Column("drug", sa.String(200), nullable=False),
        sa.Column("order_key", sa.String(32), nullable=False),
        sa.Column("coverage_key", sa.String(32), nullable=False),
        sa.Column("issued_on", sa.Date, nullable=False),
        sa.Column("expires_on", sa.Date, nullable=False),
        sa.Column("decision_id", sa.String(26), nullable=False),
        sa.UniqueConstraint("member_key", "drug", "order_key", "coverage_key", name="authorization_once"),
    )
    op.create_table(
        "feedback",
        sa.Column("id", ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("card", sa.String(200), nullable=False),
        sa.Column("decision_id", sa.String(26)),
        sa.Column("kind", sa.String(200)),
        sa.Column("outcome", sa.String(200), nullable=False),
        sa.Column("reason_code", sa.String(200), nullable=False),
        sa.Column("reason_system", sa.String(200), nullable=False),
        sa.Column("comment", sa.LargeBinary),
        sa.Column("accepted", sa.JSON, nullable=False),
        sa.Column("outcome_timestamp", sa.String(200), nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.UniqueConstraint("card", "outcome", "outcome_timestamp", name="feedback_once"),
    )
    op.create_index("feedback_decision", "feedback", ["decision_id"])
    op.create_table(
        "installation",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
    )


def downgrade() -> None:
    """Refused: the ledger is never taken back."""
    raise NotImplementedError("restore a backup instead")
