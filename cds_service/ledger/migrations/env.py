"""Runs the steps on the connection that `migrate.py` hands over, inside the transaction that it holds."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=False)
context.run_migrations()
