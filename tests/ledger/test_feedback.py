"""Feedback: kept once, linked where the card is known, counted for the operator."""

import time

from cryptography.fernet import Fernet
from entries import entry, keep, opened, soon
from looks import count, rows

from cds_service.ledger.feedback import FeedbackItem, FeedbackRow
from cds_service.ledger.ledger import Ledger
from cds_service.ledger.schema import decision, feedback
from cds_service.ledger.sealing import parse_keys

WHEN = "2026-11-24T15:02:11Z"


def test_it_is_linked_to_the_decision(ledger: Ledger) -> None:
    """Feedback of a card that was sent finds its decision and its kind."""
    given = entry()
    keep(ledger, given)
    assert ledger.feedback((FeedbackItem(given.cards[0][0], "accepted", WHEN, accepted=("s1",)),), soon())
    (row,) = rows(ledger, feedback)
    assert (row.decision_id, row.kind) == (rows(ledger, decision)[0].id, "guidance")
    assert (row.accepted, row.outcome_timestamp) == (["s1"], WHEN)


def test_an_unknown_card_is_kept_unlinked(ledger: Ledger) -> None:
    """Feedback of a card that is not known here is kept all the same."""
    assert ledger.feedback((FeedbackItem("other", "overridden", WHEN),), soon())
    (row,) = rows(ledger, feedback)
    assert (row.card, row.decision_id, row.kind) == ("other", None, None)


def test_said_twice_is_kept_once(ledger: Ledger) -> None:
    """The same card, outcome and timestamp again, in one call or in two, is one row; another timestamp is another."""
    item = FeedbackItem("c", "accepted", WHEN)
    assert ledger.feedback((item, item), soon())
    assert ledger.feedback((item, FeedbackItem("c", "accepted", "2026-11-25T00:00:00Z")), soon())
    assert count(ledger, feedback) == 2


def test_two_clients_that_say_the_same_are_both_kept(ledger: Ledger) -> None:
    """Of the same card at the same moment; what the same client says again is kept once."""
    items = tuple(FeedbackItem("c", "accepted", WHEN, caller=name) for name in ("first", "second"))
    assert ledger.feedback(items, soon())
    assert ledger.feedback(items[:1], soon())
    assert [row.caller for row in rows(ledger, feedback)] == ["first", "second"]


def test_a_comment_is_sealed_or_not_kept(url: str) -> None:
    """With a key the comment opens; without one it is not there."""
    key = Fernet.generate_key().decode()
    item = FeedbackItem("c", "overridden", WHEN, comment="seen last week")
    with opened(url) as ledger:
        ledger.feedback((item,), soon())
        assert rows(ledger, feedback)[0].comment is None
    with opened(url, seal_keys=key) as ledger:
        ledger.feedback((FeedbackItem("d", "overridden", WHEN, comment="seen last week"),), soon())
        sealed = rows(ledger, feedback)[1].comment
    seal = parse_keys(key)
    assert seal is not None
    assert seal.open(bytes(sealed), "d") == b"seen last week"


def test_the_operator_sees_what_became_of_each_kind(ledger: Ledger) -> None:
    """Counts by kind of card, outcome and reason."""
    given = [entry(str(n)) for n in range(3)]
    keep(ledger, *given)
    for one in given:
        ledger.feedback((FeedbackItem(one.cards[0][0], "accepted", WHEN),), soon())
    overridden = FeedbackItem(given[0].cards[1][0], "overridden", WHEN, reason_code="known", reason_system="urn:x")
    ledger.feedback((overridden,), soon())
    assert set(ledger.access("test").feedback_table()) == {
        FeedbackRow("guidance", "accepted", "", "", 3),
        FeedbackRow("tests", "overridden", "urn:x", "known", 1),
    }


def test_false_when_it_could_not_be_kept(ledger: Ledger) -> None:
    """After the deadline nobody is told that it is on disk."""
    assert not ledger.feedback((FeedbackItem("c", "accepted", WHEN),), time.monotonic() - 1)


def test_it_says_which_client_sent_it(ledger: Ledger) -> None:
    """Where a token is asked for; else nobody knows."""
    given = entry(caller="")
    keep(ledger, given)
    (guidance, _), (tests, _) = given.cards
    items = (FeedbackItem(guidance, "accepted", WHEN, caller=""), FeedbackItem("other", "accepted", WHEN, caller="ehr"))
    assert ledger.feedback((*items, FeedbackItem(tests, "accepted", WHEN)), soon())
    assert {row.card: row.caller for row in rows(ledger, feedback)} == {guidance: "", "other": "ehr", tests: ""}
    (shown,) = ledger.access("ada").show("ca-1")
    assert [one["caller"] for one in shown["feedback"]] == [None, None]


def test_a_clients_word_on_anothers_card_is_not_linked(ledger: Ledger) -> None:
    """It is kept like that of an unknown card; its own is linked."""
    given = entry()
    keep(ledger, given)
    items = [FeedbackItem(given.cards[0][0], "accepted", WHEN, caller="https://second.example")]
    items += [FeedbackItem(given.cards[1][0], "accepted", WHEN, caller=given.caller)]
    assert ledger.feedback(tuple(items), soon())
    assert {row.card: row.decision_id is not None for row in rows(ledger, feedback)} == {
        given.cards[0][0]: False,
        given.cards[1][0]: True,
    }
