"""What a client was told under an assertion id."""

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from entries import entry, facts, keep, opened
from sqlalchemy import bindparam, select

from cds_service.ledger.database import Database, Limits
from cds_service.ledger.ledger import Ledger
from cds_service.ledger.lookup import LedgerAwayError, Reader
from cds_service.ledger.query import Query
from cds_service.ledger.schema import decision

CALLER = "https://ehr.example"
LOOKUP = Query(select(decision.c.assertion_id).where(decision.c.assertion_id == bindparam("id")))


@pytest.fixture
def sealed(url: str) -> Iterator[Ledger]:
    """A ledger that keeps facts."""
    with opened(url, seal_keys=Fernet.generate_key().decode()) as ledger:
        yield ledger


def test_a_decision_is_found_with_what_it_was_decided_from(sealed: Ledger) -> None:
    """By the client that was told it."""
    given = entry("1")
    keep(sealed, given)
    found = sealed.reader.answered("ca-1", CALLER)
    assert found is not None
    assert (found.policy, found.drug, found.version) == ("PHARMACY-109", "hemgenix", given.said.policy.version)
    assert (found.outcome, found.facts) == (given.said.outcome, facts())


def test_no_client_is_told_of_anothers(sealed: Ledger) -> None:
    """Nor of an id that there is not."""
    keep(sealed, entry("1"))
    assert sealed.reader.answered("ca-1", "https://other.example") is None
    assert sealed.reader.answered("ca-2", CALLER) is None


def test_without_a_key_the_decision_is_found_without_facts(ledger: Ledger) -> None:
    """They were not kept."""
    keep(ledger, entry("1"))
    found = ledger.reader.answered("ca-1", CALLER)
    assert found is not None
    assert found.facts is None


def test_facts_of_a_lost_key_are_left_out(url: str) -> None:
    """They cannot be opened; the decision can be read."""
    with opened(url, seal_keys=Fernet.generate_key().decode()) as ledger:
        keep(ledger, entry("1"))
    with opened(url, seal_keys=Fernet.generate_key().decode()) as ledger:
        found = ledger.reader.answered("ca-1", CALLER)
    assert found is not None
    assert found.facts is None


def test_of_one_answer_given_twice_the_newest_counts(sealed: Ledger) -> None:
    """The same id stands for both."""
    keep(sealed, entry("1", about=facts(unread=frozenset({"notes"}))))
    keep(sealed, entry("1"))
    found = sealed.reader.answered("ca-1", CALLER)
    assert found is not None
    assert found.facts is not None
    assert found.facts.unread == frozenset()


def test_a_reader_waits_for_no_writer(sqlite_url: str) -> None:
    """On SQLite, where one process may be writing for as long as it likes."""
    with opened(sqlite_url) as ledger:
        keep(ledger, entry("1"))
        held = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
        held.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        assert ledger.reader.answered("ca-1", CALLER) is not None
        assert time.monotonic() - began < 0.2
        held.close()


def test_a_ledger_that_is_away_says_so(ledger: Ledger) -> None:
    """And not that there is no such decision."""
    keep(ledger, entry("1"))
    with pytest.raises(LedgerAwayError):
        Reader(ledger.database, None, lambda: False).answered("ca-1", CALLER)


def test_after_a_connection_was_lost_the_next_lookup_has_a_new_one(ledger: Ledger) -> None:
    """The one that it was lost under is told that the ledger is away."""
    keep(ledger, entry("1"))
    assert ledger.reader.answered("ca-1", CALLER) is not None
    readers = ledger.database._readers
    assert readers is not None
    ((_, connection),) = readers._idle
    raw: Any = connection.dbapi_connection
    raw.close()
    with pytest.raises(LedgerAwayError):
        ledger.reader.answered("ca-1", CALLER)
    assert ledger.reader.answered("ca-1", CALLER) is not None


def test_a_database_that_cannot_be_opened_is_away(tmp_path: Path) -> None:
    """Whatever the driver says of it."""
    (tmp_path / "ledger.db").write_bytes(b"something else " * 1000)
    database = Database(f"sqlite:///{tmp_path}/ledger.db", Limits())
    with pytest.raises(LedgerAwayError):
        Reader(database, None, lambda: True).answered("ca-1", CALLER)


def test_a_purged_decision_is_not_found_again(sealed: Ledger) -> None:
    """Nothing of a lookup is remembered."""
    keep(sealed, entry("1"))
    assert sealed.reader.answered("ca-1", CALLER) is not None
    sealed.access("operator").purge(older_than_days=0)
    assert sealed.reader.answered("ca-1", CALLER) is None


def test_lookups_at_once_do_not_share_a_connection(sealed: Ledger) -> None:
    """Each has its own answer."""
    for number in range(8):
        keep(sealed, entry(str(number)))
    asked = [str(number % 8) for number in range(400)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda number: sealed.reader.rows(LOOKUP, {"id": f"ca-{number}"}), asked))
    assert [row for ((row,),) in found] == [f"ca-{number}" for number in asked]
