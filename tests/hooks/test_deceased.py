"""A patient who has died by the chart: the card says so, and whatever the policy says no number is given."""

import re
import time
from collections.abc import Callable
from datetime import date

import pytest
from msgspec.structs import replace
from signing import GOVERNED, Ehr, Json, guidance, story_named

from cds_service.demo.stories import Story
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.determination import Determination, determine
from cds_service.policy.facts import Facts
from cds_service.policy.reasons import Outcome
from hooks import order_sign
from hooks.answer import answer
from hooks.book import Entry, Receipt
from hooks.call import parse_call
from hooks.service import Caller, Moment, Service
from hooks.wire import encode

DIED = pytest.mark.parametrize("members", [{"deceasedBoolean": True}, {"deceasedDateTime": "2026-11-01"}], ids=str)
SENTENCE = "The chart says that the patient has died."


def story_of(members: Json, name: str = "demo-hemgenix-met") -> Story:
    """That chart, by default the one that meets all criteria, with these members on its Patient."""
    story = story_named(name)
    for resource in story.resources:
        if resource["resourceType"] == "Patient":
            resource.update(members)
    return story


@DIED
def test_the_card_says_so_above_the_criteria(members: Json, ehr: Ehr) -> None:
    """In its first paragraph and in its summary. It may be the wrong chart."""
    card = guidance(ehr.sign(story_of(members)))
    opening, _, _ = card["detail"].partition("\n\n")
    assert SENTENCE in opening
    assert card["summary"].startswith("Hemgenix: the patient has died by the chart; ")


@pytest.mark.parametrize("name", [story.id for story in GOVERNED])
def test_nothing_is_to_be_sent_or_added(name: str, ehr: Ehr) -> None:
    """Whatever the outcome: the order is to be checked, and the guidance stands alone."""
    answer = ehr.sign(story_of({"deceasedBoolean": True}, name))
    detail = guidance(answer)["detail"]
    assert f"{SENTENCE} Check the order; if the chart is wrong, correct it and sign again." in detail
    assert not re.search(r"(?i)send the|\brequest with|add what|attach to", detail)
    assert len(answer["cards"]) == 1


def test_nothing_is_said_of_the_living(ehr: Ehr) -> None:
    """Nor where the chart says that the patient has not died."""
    assert SENTENCE not in guidance(ehr.sign(story_of({"deceasedBoolean": False})))["detail"]


class Book:
    """A book that keeps what it was given."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def record(self, entries: tuple[Entry, ...], deadline: float) -> tuple[Receipt, ...]:
        """A receipt without a number for each."""
        self.entries += entries
        return tuple(Receipt(True, "", None) for _ in entries)


@pytest.fixture
def wants(ehr: Ehr, service: Service, today: date) -> Callable[[Story], bool]:
    """A function: whether signing the story's order wants a number from a policy that has all it asks for."""

    def satisfied(policy: CompiledPolicy, facts: Facts) -> Determination:
        return replace(determine(policy, facts), outcome=Outcome.CRITERIA_MET)

    def asked(story: Story) -> bool:
        book = Book()
        issuing = replace(service, book=book, issues_numbers=True, determine=satisfied)
        call = parse_call(encode(ehr.call(story)), order_sign.HOOK)
        answer(call, order_sign.HOOK, issuing, Caller(), Moment(today, time.monotonic() + 5))
        (entry,) = book.entries
        return entry.wants_number

    return asked


@DIED
def test_no_number_is_given_even_by_a_policy_without_an_age(members: Json, wants: Callable[[Story], bool]) -> None:
    """PHARMACY-109 holds it open by the age; another policy may ask for none."""
    assert wants(story_of({}))
    assert not wants(story_of(members))
