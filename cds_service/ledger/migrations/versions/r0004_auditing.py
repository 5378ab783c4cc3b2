"""Who was signed in at the EHR, and which file the policy version was."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds the columns; of what was kept before, neither is known."""
    op.add_column("decision", sa.Column("user_key", sa.String(32)))
    op.add_column("decision", sa.Column("policy_digest", sa.String(64)))


def downgrade() -> None:
    """Refused: the ledger is never taken back."""
    raise NotImplementedError("restore a backup instead")
