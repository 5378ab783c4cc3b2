"""What an operator can do, and that it is written down."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from entries import MARK, QUICK, entry, keep, opened, soon, until
from looks import count, rows
from msgspec.structs import replace

from cds_service.ledger.access import Use
from cds_service.ledger.feedback import FeedbackItem
from cds_service.ledger.ledger import Ledger
from cds_service.ledger.schema import authorization, card, decision, feedback


def uses(ledger: Ledger) -> list[tuple[str, str, int]]:
    """Who did what, to how many rows."""
    return [(use.who, use.action, use.count) for use in ledger.access("").uses()]


def test_show_finds_by_any_name(ledger: Ledger) -> None:
    """A decision is found by its id, its assertion id and its number, with its feedback."""
    given = entry("1", wants_number=True)
    (receipt,) = keep(ledger, given)
    keep(ledger, entry("2"))
    ledger.feedback((FeedbackItem(given.cards[0][0], "accepted", "2026-11-24T00:00:00Z"),), soon())
    operator = ledger.access("ada")
    (found,) = operator.show("ca-1")
    assert operator.show(receipt.number) == operator.show(found["id"]) == (found,)
    assert [one["outcome"] for one in found["feedback"]] == ["accepted"]
    assert operator.show("nothing") == ()


def test_export_is_a_line_for_each_decision(ledger: Ledger) -> None:
    """JSON lines, oldest first, of all or of one member."""
    for one in (*(entry(str(n)) for n in range(3)), entry("x", member="other")):
        keep(ledger, one)
        time.sleep(0.002)  # an id tells milliseconds apart
    operator = ledger.access("ada")
    assert [json.loads(line)["assertion_id"] for line in operator.export()] == ["ca-0", "ca-1", "ca-2", "ca-x"]
    assert [json.loads(line)["assertion_id"] for line in operator.export(member="other")] == ["ca-x"]


def test_purge_of_a_member_leaves_the_others(ledger: Ledger) -> None:
    """Decisions, cards, feedback and numbers of the one are gone; those of others stay."""
    mine, others = entry("1", wants_number=True), entry("2", wants_number=True, member="other")
    keep(ledger, mine, others)
    for one in (mine, others):
        ledger.feedback((FeedbackItem(one.cards[0][0], "accepted", "t"),), soon())
    assert ledger.access("ada").purge(member=mine.member) == (1, 1, 0, 0)
    assert [row.assertion_id for row in rows(ledger, decision)] == ["ca-2"]
    assert (count(ledger, card), count(ledger, feedback), count(ledger, authorization)) == (2, 1, 1)


def test_purge_by_age(url: str) -> None:
    """What is older goes; a number stays as long as it is good for."""
    with opened(url) as ledger:
        keep(ledger, entry("1", wants_number=True))
        ledger.feedback((FeedbackItem("unknown", "accepted", "t"),), soon())
        assert ledger.access("ada").purge(older_than_days=1) == (0, 0, 0, 0)
    in_ten_days = datetime.now(UTC) + timedelta(days=10)
    with opened(url, clock=lambda: in_ten_days) as ledger:
        assert ledger.access("ada").purge(older_than_days=9) == (1, 0, 0, 1)
        assert [count(ledger, table) for table in (decision, card, feedback, authorization)] == [0, 0, 0, 1]
    next_year = datetime.now(UTC) + timedelta(days=365)
    with opened(url, clock=lambda: next_year) as ledger:
        ledger.access("ada").purge(older_than_days=9)
        assert count(ledger, authorization) == 0


def test_a_purge_of_many(ledger: Ledger) -> None:
    """More rows than go at once all go."""
    keep(ledger, *(entry(str(n)) for n in range(1100)))
    assert ledger.access("ada").purge(older_than_days=0).decisions >= 1099
    assert count(ledger, decision) <= 1


def test_a_purge_needs_a_choice(ledger: Ledger) -> None:
    """Without a member or an age nothing goes."""
    with pytest.raises(ValueError, match="name a member or an age"):
        ledger.access("ada").purge()


def test_retention_takes_out_what_is_past_it(url: str) -> None:
    """With a retention set, a service that has nothing else to do removes older decisions by itself."""
    with opened(url) as ledger:
        keep(ledger, entry("1"))
    later = datetime.now(UTC) + timedelta(days=31)
    with opened(url, clock=lambda: later, retention_days=32) as ledger:
        assert not until(lambda: count(ledger, decision) == 0, 0.6)
    with opened(url, clock=lambda: later, retention_days=30) as ledger:
        assert until(lambda: count(ledger, decision) == 0)


def test_a_clock_that_was_set_takes_nothing_out_for_a_while(url: str) -> None:
    """Neither by a service that starts with it, nor by one under which it is set: it may be wrong."""
    later = datetime.now(UTC) + timedelta(days=300)
    steady = replace(QUICK, steady_s=1.0)
    with opened(url) as ledger:
        keep(ledger, entry("1"))
    with opened(url, clock=lambda: later, retention_days=30, limits=steady) as ledger:
        assert not until(lambda: count(ledger, decision) == 0, 0.7)
    now = datetime.now(UTC)
    with opened(url, clock=lambda: now, retention_days=30, limits=steady) as ledger:
        assert not until(lambda: count(ledger, decision) == 0, 1.5)
        now = later
        assert not until(lambda: count(ledger, decision) == 0, 0.7)
        assert until(lambda: count(ledger, decision) == 0)


def test_each_use_is_written_down(ledger: Ledger) -> None:
    """Who, what and how many; a member by hash alone."""
    keep(ledger, entry("1"))
    operator = ledger.access("ada")
    operator.show("ca-1")
    list(operator.export(member=entry().member))
    operator.purge(member=entry().member)
    assert uses(ledger) == [("ada", "show", 1), ("ada", "export", 1), ("ada", "purge", 0), ("ada", "purge", 1)]
    written: list[Use] = list(ledger.access("ada").uses())
    assert all(MARK not in use.about for use in written)
    assert written[0].at.tzinfo is not None
