"""What a client was told under an assertion id."""

import sqlite3
import time
from collections.abc import Iterator

import pytest
from cryptography.fernet import Fernet
from entries import entry, facts, keep, opened

from cds_service.ledger.ledger import Ledger
from cds_service.ledger.lookup import LedgerAwayError, Reader

CALLER = "https://ehr.example"


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
