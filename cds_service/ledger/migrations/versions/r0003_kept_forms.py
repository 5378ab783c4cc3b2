"""Completed forms that an EHR did not take."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "kept_form",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.String(32), nullable=False) for name in ("ehr_key", "patient_key", "member_key")),
        sa.Column("form", sa.LargeBinary, nullable=False),
    )
    for about in ("ehr", "patient", "member"):
        op.create_index(f"kept_form_{about}", "kept_form", [f"{about}_key"])


def downgrade() -> None:
    """Refused: the ledger is never taken back."""
    raise NotImplementedError("restore a backup instead")
