"""The card that launches the form for what the chart lacks."""

from typing import Any

import pytest
from msgspec.structs import replace
from signing import BY_ID, PUBLIC, TODAY, Ehr, Json, determinations, said_of, story_named, without

from hooks.answer import answer
from hooks.call import parse_call
from hooks.hook import Hook
from hooks.registry import HOOK_OF
from hooks.service import Caller, Moment, Service
from hooks.wire import decode, encode

STORY = "demo-labs-missing"
LAUNCH = f"{PUBLIC}/smart/launch"


@pytest.fixture
def with_form(service: Service) -> Service:
    """A service whose form can be launched."""
    return replace(service, form_app=True)


def signed(service: Service, call: Json, caller: Caller | None = None, hook: Hook | None = None) -> Json:
    """The answer to a call."""
    asked = hook or HOOK_OF["order-sign-crd"]
    found = answer(parse_call(encode(call), asked), asked, service, caller or Caller(), Moment(TODAY, 0.0))
    return dict(decode(encode(found)))


def form_cards(answered: Json) -> list[Json]:
    """The cards with a link that launches an app."""
    return [card for card in answered["cards"] if any(link["type"] == "smart" for link in card.get("links", []))]


def test_missing_documentation_offers_the_form(ehr: Ehr, with_form: Service) -> None:
    """One smart link, and one suggestion without actions to say that it is done (CRD "Launch SMART Application")."""
    (card,) = form_cards(signed(with_form, ehr.call(story_named(STORY))))
    (link,) = card["links"]
    assert link["url"] == LAUNCH
    (suggestion,) = card["suggestions"]
    assert suggestion["label"] == "Documentation completed"
    assert "actions" not in suggestion
    assert len(card["summary"]) < 140


def test_the_form_is_told_what_it_is_for(ehr: Ehr, with_form: Service) -> None:
    """The same assertion, order, coverage and questionnaire as the coverage-information has."""
    answered = signed(with_form, ehr.call(story_named(STORY)))
    (card,) = form_cards(answered)
    said, (determination,) = said_of(answered), determinations(answered)
    assert decode(card["links"][0]["appContext"].encode()) == {
        "assertionId": determination["assertionId"],
        "order": f"MedicationRequest/{BY_ID[STORY].order['id']}",
        "coverage": f"Coverage/{STORY}-coverage",
        "questionnaire": said["questionnaire"][0],
    }
    assert said["coverage-assertion-id"] == [determination["assertionId"]]


@pytest.mark.parametrize(
    ("dialect", "system", "about"),
    [
        ("2.2", "http://terminology.hl7.org/CodeSystem/cdshooks-card-type", "object"),
        ("plain", "http://terminology.hl7.org/CodeSystem/cdshooks-card-type", "object"),
        ("2.0.1", "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp", "text"),
    ],
)
def test_the_topic_is_in_the_callers_code_system(
    ehr: Ehr, with_form: Service, dialect: Any, system: str, about: str
) -> None:
    """`claim`, as the version of CRD has it."""
    (card,) = form_cards(signed(with_form, ehr.call(story_named(STORY)), Caller(dialect=dialect)))
    assert card["source"]["topic"] == {"system": system, "code": "claim", "display": "Claim"}
    (order,) = card["extension"]["davinci-crd.associated-resource"]
    assert isinstance(order, dict if about == "object" else str)


def test_no_form_is_offered_where_it_cannot_be_launched(ehr: Ehr, service: Service) -> None:
    """No link leads nowhere."""
    assert form_cards(signed(service, ehr.call(story_named(STORY)))) == []


@pytest.mark.parametrize("story", [s for s, told in BY_ID.items() if told.expected_outcome != "documentation-missing"])
def test_no_form_is_offered_where_none_is_needed(ehr: Ehr, with_form: Service, story: str) -> None:
    """Met, not met, for review, not to be told: the form would change nothing."""
    assert form_cards(signed(with_form, ehr.call(story_named(story)))) == []


def test_the_card_can_be_turned_off(ehr: Ehr, with_form: Service) -> None:
    """By a client that launches the form itself (option `claim`)."""
    off = {"davinci-crd.configuration": {"claim": False}}
    assert form_cards(signed(with_form, ehr.call(story_named(STORY), extension=off))) == []


def test_a_hook_that_may_not_ask_offers_no_form(ehr: Ehr, with_form: Service) -> None:
    """Secondary hooks ask for no documentation (CRD hook-19)."""
    call = ehr.call(story_named(STORY))
    call["hook"] = "order-select"
    call["context"]["selections"] = [f"MedicationRequest/{BY_ID[STORY].order['id']}"]
    assert form_cards(signed(with_form, call, hook=HOOK_OF["order-select-crd"])) == []


def test_without_a_coverage_no_form_is_offered(ehr: Ehr, with_form: Service) -> None:
    """There is nothing to document for."""
    story = story_named(STORY)
    bare = replace(story, resources=without(story.resources, "Coverage"))
    answered = signed(with_form, ehr.call(bare), Caller(dialect="plain"))
    assert determinations(answered)
    assert form_cards(answered) == []


def test_the_form_comes_after_the_missing_tests(ehr: Ehr, with_form: Service) -> None:
    """Most important first, so that `max-cards` keeps what matters most."""
    answered = signed(with_form, ehr.call(story_named(STORY)))
    topics = [card["source"]["topic"]["code"] for card in answered["cards"]]
    assert topics == ["guideline", "clinical-reminder", "claim"]
