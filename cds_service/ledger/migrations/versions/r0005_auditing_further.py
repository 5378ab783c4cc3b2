"""By which value sets and lab tables a chart was read, and which client sent a feedback."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Adds the columns; of what was kept before, neither is known."""
    op.add_column("decision", sa.Column("vocabulary_digest", sa.String(64)))
    op.add_column("feedback", sa.Column("caller", sa.String(200)))


def downgrade() -> None:
    """Refused: the ledger is never taken back."""
    raise NotImplementedError("restore a backup instead")
