"""Brings the tables up to date at start, and refuses those of a newer version.

Two instances that start at once take turns: by an advisory lock on PostgreSQL, by the write lock on SQLite. Alembic
is only loaded where tables of an earlier version have to be changed.
"""

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert, inspect, select, text

from cds_service.ledger.errors import NewerSchemaError
from cds_service.ledger.schema import metadata

# Oldest first; a test holds them against `migrations/versions`.
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006")
HEAD = REVISIONS[-1]
_VERSION = Table(  # as Alembic makes it
    "alembic_version",
    MetaData(),
    Column("version_num", String(32)),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
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
        found = revision_of(connection)
        if not _is_behind(found, target):
            return False  # another instance was faster
        if found is None and target == HEAD:
            _make(connection)
        else:
            _run(connection, target)
    return True


def revision_of(connection: Connection) -> str | None:
    """The revision that the tables have; None for an empty database."""
    if not inspect(connection).has_table(_VERSION.name):
        return None
    return connection.execute(select(_VERSION.c.version_num)).scalar()


def _is_behind(found: str | None, target: str) -> bool:
    if found is None:
        return True
    if found not in REVISIONS:
        raise NewerSchemaError(
            f"CDS_DATABASE_URL: the ledger's tables are at revision {found[:40]}, and this version knows them up to "
            f"{HEAD}; run the version that changed them, or give this one a database of its own"
        )
    return REVISIONS.index(found) < REVISIONS.index(target)


def _make(connection: Connection) -> None:
    """The tables as they are now, in an empty database."""
    metadata.create_all(connection, checkfirst=False)  # a table of that name is somebody else's
    _VERSION.create(connection, checkfirst=False)
    connection.execute(insert(_VERSION).values(version_num=HEAD))


def _run(connection: Connection, target: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, target)
