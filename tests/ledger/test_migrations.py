"""The tables at start: made once, brought up to date, and left alone when they belong to a newer version."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from entries import QUICK, entry, keep, opened, until
from looks import count, rows
from sqlalchemy import Connection, insert, inspect, select, text
from sqlalchemy.exc import DBAPIError

from cds_service.ledger import migrate as migrating
from cds_service.ledger.database import Database
from cds_service.ledger.installation import read_keys
from cds_service.ledger.ledger import Ledger, NewerSchemaError
from cds_service.ledger.migrate import HEAD, REVISIONS, migrate, revision_of
from cds_service.ledger.schema import access_log, decision, feedback, installation, metadata


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    """A connection to an empty database."""
    with Database(url, QUICK).connect_patiently() as found:
        yield found


@pytest.mark.parametrize("steps", [(HEAD,), REVISIONS])
def test_every_way_leads_to_the_tables_that_are_used(connection: Connection, steps: tuple[str, ...]) -> None:
    """A database made at once, or step by step, has the tables of `schema.py`, column by column."""
    assert all(migrate(connection, step) for step in steps)
    with connection.begin():
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert revision_of(connection) == HEAD


def test_tables_made_at_once_are_those_of_the_steps(tmp_path: Path) -> None:
    """Their constraints and indexes, too."""
    made = []
    for steps in ((HEAD,), REVISIONS):
        database = Database(f"sqlite:///{tmp_path / str(len(steps))}.db", QUICK)
        with database.connect_patiently() as connection:
            assert all(migrate(connection, step) for step in steps)
            with connection.begin():
                tables = connection.execute(text("SELECT name, sql FROM sqlite_master")).all()
                made.append({(name, " ".join((sql or "").replace('"', "").split())) for name, sql in tables})
    assert made[0] == made[1]


def test_another_program_s_table_is_not_taken_for_ours(connection: Connection) -> None:
    """A database that has a table of one of these names is not empty, and is left as it is."""
    with connection.begin():
        connection.execute(text("CREATE TABLE feedback (id INTEGER)"))
    with pytest.raises(DBAPIError):
        migrate(connection)
    with connection.begin():
        assert set(inspect(connection).get_table_names()) == {"feedback"}


def test_nothing_is_done_twice(connection: Connection) -> None:
    """A database that is up to date is left alone."""
    migrate(connection)
    assert not migrate(connection)


def test_every_step_is_known() -> None:
    """`REVISIONS` names the modules of `migrations/versions`, in order."""
    folder = Path(migrating.__file__).parent / "migrations" / "versions"
    assert tuple(sorted(path.name[1:5] for path in folder.glob("r*.py"))) == REVISIONS


def test_an_older_database_keeps_its_rows(connection: Connection) -> None:
    """Tables of the first revision get what came later, and lose nothing."""
    migrate(connection, REVISIONS[0])
    keys = read_keys(connection)
    assert migrate(connection)
    assert read_keys(connection) == keys
    with connection.begin():
        assert connection.execute(select(access_log)).all() == []


def test_feedback_of_before_it_was_kept_by_client_stays(connection: Connection) -> None:
    """With its card, its comment and its decision; where no client was known, there is none."""
    migrate(connection, "0005")
    kept = {name: "x" for name in ("card", "decision_id", "kind", "reason_code", "reason_system", "outcome_timestamp")}
    kept |= {"comment": b"\0sealed", "accepted": ["s"], "received_at": datetime(2026, 11, 24, tzinfo=UTC)}
    given = [{**kept, "outcome": "accepted", "caller": None}, {**kept, "outcome": "overridden", "caller": "ehr"}]
    with connection.begin():
        connection.execute(insert(feedback), given)
    assert migrate(connection)
    with connection.begin():
        found = connection.execute(select(feedback).order_by(feedback.c.id)).mappings().all()
    assert [{name: row[name] for name in row if name != "id"} for row in found] == [
        {**given[0], "caller": ""},
        given[1],
    ]


def test_instances_that_start_at_once_take_turns(url: str) -> None:
    """Eight that find an empty database at the same moment all serve, with the same keys."""
    ledgers = [Ledger(url, service_version="0.0", limits=QUICK) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda ledger: ledger.prepare(), ledgers))
        assert all(pool.map(lambda ledger: ledger.start(5.0) or until(ledger.ready), ledgers))
    assert len({ledger.assertion_secret() for ledger in ledgers}) == 1
    keep(ledgers[0], entry())
    assert count(ledgers[7], decision) == 1
    for ledger in ledgers:
        ledger.close()


def test_newer_tables_are_refused(url: str) -> None:
    """The start ends with a message that names the setting and both revisions, and nothing is written."""
    with opened(url) as ledger, ledger.database.connect_patiently() as connection, connection.begin():
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    later = Ledger(url, service_version="0.0", limits=QUICK)
    with pytest.raises(NewerSchemaError, match=f"CDS_DATABASE_URL.* 9999.* {HEAD}"):
        later.prepare()
    assert not later.start(1.0)
    later.close()


def test_the_keys_of_an_installation_stay(url: str) -> None:
    """Assertion ids and hashes are made with the same keys after a restart, and before it is reached with others."""
    unreached = Ledger(url, service_version="0.0", limits=QUICK).assertion_secret()
    with opened(url) as ledger:
        first = ledger.assertion_secret()
        keep(ledger, entry())
    with opened(url) as ledger:
        assert ledger.assertion_secret() == first != unreached
        keep(ledger, entry())
        assert len({row.member_key for row in rows(ledger, decision)}) == 1
        assert {row.name for row in rows(ledger, installation)} == {"fingerprints", "assertions"}
