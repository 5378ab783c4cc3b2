"""What `record` keeps and what it answers."""

import multiprocessing
import time
from typing import Any

import pytest
from entries import QUICK, entry, keep, opened, soon, until
from looks import count, rows

from cds_service.ledger.ledger import Ledger
from cds_service.ledger.schema import card, decision
from cds_service.ledger.store import LedgerStore
from hooks.book import Entry, Receipt


def test_each_entry_is_one_row(ledger: Ledger) -> None:
    """Three orders of one call and one of another are four rows."""
    receipts = keep(ledger, entry("1"), entry("2"), entry("3"))
    keep(ledger, entry("4"))
    assert receipts == (Receipt(recorded=True),) * 3
    assert count(ledger, decision) == 4
    assert count(ledger, card) == 8


def test_a_row_says_what_was_decided(ledger: Ledger) -> None:
    """Policy, versions, day, outcome and each finding's status stand in the row."""
    given = entry("1", covered="not-covered")
    keep(ledger, given)
    (row,) = rows(ledger, decision)
    assert (row.policy, row.drug, row.policy_version) == ("PHARMACY-109", "hemgenix", given.said.policy.version)
    assert (row.day, row.outcome, row.covered, row.service_version) == (
        given.facts.day,
        given.said.outcome,
        "not-covered",
        "0.0",
    )
    assert [(f["id"], f["status"], f.get("reason")) for f in row.findings] == [
        (finding.id, finding.status, finding.reason) for finding in given.said.findings
    ]
    assert row.cards == [list(pair) for pair in given.cards]


def test_no_entries_no_receipts(ledger: Ledger) -> None:
    """A call without governed orders writes nothing."""
    assert ledger.record((), soon()) == ()
    assert count(ledger, decision) == 0


def test_a_broken_entry_costs_only_itself(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that cannot be written is answered so, and the next one is kept."""
    broken: Any = Entry(**{**{name: getattr(entry(), name) for name in Entry.__struct_fields__}, "said": None})
    assert ledger.record((broken,), soon()) == (Receipt(recorded=False),)
    keep(ledger, entry("2"))
    assert ledger.ready()


def test_words_that_a_database_refuses_are_made_fit(ledger: Ledger) -> None:
    """A NUL, half a character and endless text in what a caller chose do not keep the entry from being kept."""
    keep(ledger, entry(hook_instance="a\0b\ud800" + "x" * 100_000, caller="\0"))
    (row,) = rows(ledger, decision)
    assert row.hook_instance.startswith("ab?x")
    assert len(row.hook_instance) <= 200


def test_a_deadline_that_is_past_is_answered_at_once(ledger: Ledger) -> None:
    """The caller is told that nothing was kept, and the row comes all the same."""
    began = time.monotonic()
    (receipt,) = ledger.record((entry(wants_number=True),), time.monotonic() - 1)
    assert time.monotonic() - began < 0.05
    assert receipt == Receipt(recorded=False)
    assert until(lambda: count(ledger, decision) == 1)


def test_a_caller_who_has_gone_gets_no_number(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written after its caller gave up promises nothing."""
    prepare = LedgerStore.prepare

    def slowly(self: LedgerStore, pending: Any) -> None:
        prepare(self, pending)
        time.sleep(0.3)

    monkeypatch.setattr(LedgerStore, "prepare", slowly)
    assert ledger.record((entry(wants_number=True),), soon(0.1)) == (Receipt(recorded=False),)
    assert until(lambda: count(ledger, decision) == 1)
    assert rows(ledger, decision)[0].number is None


def test_one_who_waits_gets_what_others_wait_for_too(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries that gather while a transaction runs are written in the next one together."""
    batches = []
    write = LedgerStore.write

    def slowly(self: LedgerStore, connection: Any, pendings: Any) -> None:
        batches.append(len(pendings))
        time.sleep(0.1)
        write(self, connection, pendings)

    monkeypatch.setattr(LedgerStore, "write", slowly)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(20) as pool:
        receipts = list(pool.map(lambda n: ledger.record((entry(str(n)),), soon())[0].recorded, range(20)))
    assert all(receipts)
    assert len(batches) <= 4
    assert count(ledger, decision) == 20


def test_a_forked_process_writes_for_itself(ledger: Ledger) -> None:
    """After a fork the child opens its own connection, and the parent goes on."""
    keep(ledger, entry("1"))

    def child() -> None:
        keep(ledger, entry("2"))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(10)
    assert process.exitcode == 0
    keep(ledger, entry("3"))
    assert count(ledger, decision) == 3


def test_closing_writes_what_is_waiting(url: str) -> None:
    """Entries whose callers could not wait are on disk when the process ends."""
    with opened(url, limits=QUICK) as ledger:
        for n in range(50):
            ledger.record((entry(str(n)),), time.monotonic() - 1)
    with opened(url) as again:
        assert count(again, decision) == 50
