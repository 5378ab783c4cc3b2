"""Brings the tables up to date at start, and refuses those of a newer version.

Two instances that start at once take turns: by an advisory lock on PostgreSQL, by the write lock on SQLite. Alembic
is only loaded where there is something to do.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from cds_service.ledger.errors import NewerSchemaError

REVISIONS = ("0001", "0002", "0003", "0004")  # oldest first; a test holds them against `migrations/versions`
HEAD = REVISIONS[-1]
_LOCK = 0x0CD5_1ED6  # any number that no other program of this database takes


def migrate(connection: Connection, target: str = HEAD) -> bool:
    """True when something was changed; commits. Raises NewerSchemaError."""
    with connection.begin():
        before = revision_of(connection)
    if not _is_behind(before, target):
        return False
    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if not _is_behind(revision_of(connection), target):
            return False  # another instance was faster
        _run(connection, target)
    return True


def revision_of(connection: Connection) -> str | None:
    """The revision that the tables have; None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _is_behind(found: str | None, target: str) -> bool:
    if found is None:
        return True
    if found not in REVISIONS:
        raise NewerSchemaError(
            f"CDS_DATABASE_URL: the ledger's tables are at revision {found[:40]}, and this version knows them up to "
            f"{HEAD}; run the version that changed them, or give this one a database of its own"
        )
    return REVISIONS.index(found) < REVISIONS.index(target)


def _run(connection: Connection, target: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, target)
