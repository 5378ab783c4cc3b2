"""A database of its own for each test: SQLite, and PostgreSQL too where `CDS_TEST_POSTGRES` names a server."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result
from entries import KEY, entry, keep, opened
from looks import rows
from sqlalchemy import Connection, create_engine, make_url, text

from cds_service.cli import main
from cds_service.ledger.ledger import Ledger
from cds_service.ledger.schema import decision

SERVER = os.environ.get("CDS_TEST_POSTGRES", "")
BACKENDS = ("sqlite", "postgresql") if SERVER else ("sqlite",)
collect_ignore = [] if SERVER else ["test_postgres_faults.py"]


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A new database of the server."""
    server = make_url(SERVER).set(drivername="postgresql+psycopg")
    name = f"ledger_{uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield server.set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A new file."""
    return f"sqlite:///{tmp_path}/data/ledger.db"


@pytest.fixture(params=BACKENDS)
def url(request: pytest.FixtureRequest) -> str:
    """A new database, of each kind in turn."""
    found = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    assert isinstance(found, str)
    return found


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    """A ledger that is reached."""
    with opened(url) as found:
        yield found


@pytest.fixture
def looking(ledger: Ledger) -> Iterator[Connection]:
    """A connection beside the ledger's own."""
    with ledger.database.connect_patiently() as connection:
        yield (
            connection.execution_options(isolation_level="AUTOCOMMIT") if not ledger.database.is_sqlite else connection
        )


@pytest.fixture
def kept(sqlite_url: str) -> str:
    """The id of one decision, sealed with KEY."""
    with opened(sqlite_url, seal_keys=KEY) as ledger:
        keep(ledger, entry())
        (found,) = rows(ledger, decision)
    return str(found.id)


@pytest.fixture
def run(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """A function: the result of a command on that ledger, which must not have ended by an exception."""
    for name in [name for name in os.environ if name.startswith("CDS_")]:
        monkeypatch.delenv(name)

    def command(*arguments: str, **given: str) -> Result:
        found = CliRunner(env={"CDS_DATABASE_URL": sqlite_url, **given}).invoke(main, arguments)
        assert found.exception is None or isinstance(found.exception, SystemExit), repr(found.exception)
        return found

    return command
