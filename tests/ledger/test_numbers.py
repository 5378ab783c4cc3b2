"""Authorization numbers: one for each member, drug, order and coverage."""

import multiprocessing
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from multiprocessing.queues import SimpleQueue
from typing import Any

import pytest
from entries import PATIENT, entry, keep, opened, soon, until
from looks import count, rows

from cds_service.ledger.ledger import Ledger
from cds_service.ledger.schema import authorization, decision
from cds_service.ledger.store import LedgerStore


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    """A ledger that is reached, and waited for."""
    with opened(url, limits=PATIENT) as found:
        yield found


def number(ledger: Ledger, order: str = "1", **given: Any) -> str:
    """The number of that order."""
    return keep(ledger, entry(order, wants_number=True, **given))[0].number


def test_a_number_can_be_read_aloud(ledger: Ledger) -> None:
    """`PA-` and twelve letters and digits, none of them I, L, O or U."""
    assert re.fullmatch("PA-[0-9A-HJKMNP-TV-Z]{12}", number(ledger))


def test_asked_again_the_same_number_comes(ledger: Ledger) -> None:
    """The second answer to an order has the first one's number, and so has its row."""
    assert number(ledger) == number(ledger)
    assert len({row.number for row in rows(ledger, decision)}) == 1
    assert count(ledger, authorization) == 1


@pytest.mark.parametrize("other", [{"order": "other"}, {"member": "other"}, {"coverage": "Coverage/other"}])
def test_another_key_has_another_number(ledger: Ledger, other: dict[str, str]) -> None:
    """Another order, member or coverage is another promise."""
    assert number(ledger) != number(ledger, **other)


def test_an_order_that_got_another_id_keeps_its_number(ledger: Ledger) -> None:
    """A draft is often renamed when it is signed; it carries what it was told."""
    given = number(ledger, "draft")
    assert number(ledger, "signed", carried=given) == given
    assert count(ledger, authorization) == 1


@pytest.mark.parametrize("other", [{"member": "other"}, {"coverage": "Coverage/other"}])
def test_a_number_that_was_given_to_another_counts_for_nothing(ledger: Ledger, other: dict[str, str]) -> None:
    """Whatever an order says of itself: the ledger knows for whom a number stands."""
    given = number(ledger, "draft", **other)
    assert number(ledger, "signed", carried=given) != given
    assert number(ledger, "signed", carried="PA-000000000000") not in (given, "PA-000000000000")


def test_a_number_that_is_no_longer_good_is_not_carried_on(url: str) -> None:
    """The renamed order gets a new one."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with opened(url, clock=lambda: now) as ledger:
        given = number(ledger, "draft")
        now = datetime(2026, 7, 1, tzinfo=UTC)
        assert number(ledger, "signed", carried=given) != given


def test_none_is_given_unasked(ledger: Ledger) -> None:
    """An entry that may not get a number gets none, though one stands for its order."""
    number(ledger)
    assert keep(ledger, entry("1"))[0].number == ""
    assert count(ledger, authorization) == 1


def test_it_counts_from_the_day_of_issue(url: str) -> None:
    """Issued today for as many months as the policy says, whatever day was judged; later it keeps its day."""
    now = datetime(2026, 8, 31, 23, 59, tzinfo=UTC)
    with opened(url, clock=lambda: now) as ledger:
        (receipt,) = keep(ledger, entry(wants_number=True))
        assert receipt.issued_on == date(2026, 8, 31)
        assert rows(ledger, authorization)[0].expires_on == date(2027, 2, 28)
        now = datetime(2026, 9, 20, tzinfo=UTC)
        assert keep(ledger, entry(wants_number=True)) == (receipt,)
        now = datetime(2027, 2, 27, tzinfo=UTC)
        assert keep(ledger, entry(wants_number=True)) == (receipt,)


def test_one_that_has_run_out_is_not_told(url: str) -> None:
    """From its last day on it satisfies nothing, and no other one is made up in its place."""
    now = datetime(2026, 8, 31, tzinfo=UTC)
    with opened(url, clock=lambda: now) as ledger:
        number(ledger)
        now = datetime(2027, 2, 28, tzinfo=UTC)
        (receipt,) = keep(ledger, entry(wants_number=True))
        assert (receipt.recorded, receipt.number, receipt.issued_on) == (True, "", None)
        assert count(ledger, authorization) == 1


def test_thirty_two_threads_get_one_number(ledger: Ledger) -> None:
    """However many ask at once for one order, they hear the same; other orders hear others."""
    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(lambda n: number(ledger, str(n % 4)), range(128)))
    assert [len(set(found[n::4])) for n in range(4)] == [1, 1, 1, 1]
    assert len(set(found)) == 4
    assert count(ledger, authorization) == 4
    assert count(ledger, decision) == 128


def _instance(url: str, found: "SimpleQueue[list[str]]") -> None:
    with opened(url) as ledger, ThreadPoolExecutor(8) as pool:
        found.put(list(pool.map(lambda n: number(ledger, str(n % 20)), range(100))))


def test_two_instances_give_one_number(url: str) -> None:
    """Two processes that start on an empty database and ask for the same orders hear the same numbers."""
    context = multiprocessing.get_context("spawn")
    found: SimpleQueue[list[str]] = context.SimpleQueue()
    processes = [context.Process(target=_instance, args=(url, found)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    first, second = found.get(), found.get()
    assert first == second
    assert len(set(first)) == 20


def test_a_number_kept_too_late_to_be_told_comes_the_next_time(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its caller heard nothing; whoever asks next hears the number that was committed then."""
    write = LedgerStore.write

    def slowly(self: LedgerStore, connection: Any, pendings: Any) -> None:
        write(self, connection, pendings)
        time.sleep(0.3)

    with monkeypatch.context() as patched:
        patched.setattr(LedgerStore, "write", slowly)
        (late,) = ledger.record((entry(wants_number=True),), soon(0.1))
        assert (late.recorded, late.number) == (False, "")
        assert until(lambda: count(ledger, authorization) == 1)
    assert number(ledger) == rows(ledger, authorization)[0].number
    assert count(ledger, authorization) == 1
