"""Two clients that say the same of a card at the same moment are two feedbacks."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Makes the client part of the key. No client is an empty name, since to a key no NULL equals another."""
    feedback = sa.table("feedback", sa.column("caller", sa.String))
    op.execute(feedback.update().where(feedback.c.caller.is_(None)).values(caller=""))
    with op.batch_alter_table("feedback") as table:  # SQLite makes the table anew
        table.alter_column("caller", existing_type=sa.String(200), nullable=False)
        table.drop_constraint("feedback_once", type_="unique")
        table.create_unique_constraint("feedback_once", ["card", "outcome", "outcome_timestamp", "caller"])


def downgrade() -> None:
    """Refused: the ledger is never taken back."""
    raise NotImplementedError("restore a backup instead")
