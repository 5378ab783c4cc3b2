"""What every answer looks like, by the statements of CRD 2.2.1 on response types."""

import re
import time
from copy import deepcopy
from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace
from signing import BY_ID, EXTENSION, PUBLIC, STORIES, Ehr, Json, guidance, order_of, said_of, stated, updated

from cds_service.demo.stories import Story
from hooks import order_sign
from hooks.answer import answer
from hooks.call import parse_call
from hooks.service import Caller, Moment, Service
from hooks.wire import decode, encode

MET = BY_ID["demo-hemgenix-met"]
MISSING = BY_ID["demo-labs-missing"]
EVERY_STORY = pytest.mark.parametrize("story", STORIES, ids=[story.id for story in STORIES])
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def with_form(service: Service, ehr: Ehr, story: Story) -> Json:
    """The answer of a service whose form can be launched."""
    call = parse_call(encode(ehr.call(story)), order_sign.HOOK)
    moment = Moment(date(2026, 11, 24), time.monotonic() + 5)
    found: Json = decode(encode(answer(call, order_sign.HOOK, replace(service, form_app=True), Caller(), moment)))
    return found


@pytest.mark.conformance("resp-13", "resp-3", "resp-5", "resp-4")
@EVERY_STORY
def test_every_answer_keeps_the_base_profile(story: Story, service: Service, ehr: Ehr) -> None:
    """uuid, topic and label on cards; uuid on suggestions; description on actions; type on links."""
    found = with_form(service, ehr, story)
    assert set(found) == {"cards", "systemActions"}
    for card in found["cards"]:
        assert UUID.fullmatch(card["uuid"])
        assert 0 < len(card["summary"]) < 140
        assert card["indicator"] in ("info", "warning")
        assert card["source"]["label"] == "Example Health Plan"
        assert {"system", "code"} <= card["source"]["topic"].keys()
        for suggestion in card.get("suggestions", ()):
            assert UUID.fullmatch(suggestion["uuid"])
            assert all(action["description"] for action in suggestion.get("actions", ()))
        assert all({"label", "url", "type"} <= link.keys() for link in card.get("links", ()))
        assert ("selectionBehavior" in card) == ("suggestions" in card)
    assert all(action["description"] and action["type"] == "update" for action in found["systemActions"])


@pytest.mark.conformance("resp-1")
@EVERY_STORY
def test_a_warning_is_for_what_the_prescriber_can_do_something_about(story: Story, ehr: Ehr) -> None:
    """`info` where nothing is to be done; never `critical`."""
    for card in ehr.sign(story)["cards"]:
        said = card["extension"].get("drug-coverage.determination")
        calm = said is None or said["outcome"] in ("criteria-met", "policy-not-applicable")
        assert card["indicator"] == ("info" if calm else "warning")


@pytest.mark.conformance("resp-6", "resp-7", "resp-8", "resp-9", "resp-20")
@EVERY_STORY
def test_the_answer_comes_first_and_the_criteria_after_it(story: Story, ehr: Ehr) -> None:
    """The summary names drug and answer; the detail, which no summary could hold, opens with it."""
    for card in ehr.sign(story)["cards"]:
        if "links" not in card:
            continue
        name = {"hemgenix": "Hemgenix", "roctavian": "Roctavian"}[story.drug]
        assert card["summary"].startswith(f"{name}:")
        opening, _, rest = card["detail"].partition("\n\n")
        if card["source"]["topic"]["code"] == "guideline":
            assert name in opening
            assert rest


@pytest.mark.conformance("resp-10")
@EVERY_STORY
def test_no_link_stands_in_the_text_alone(story: Story, service: Service, ehr: Ehr) -> None:
    """Links are in `links`."""
    for card in with_form(service, ehr, story)["cards"]:
        assert "](" not in card["detail"]
        assert "http" not in card["detail"]


@pytest.mark.conformance("resp-18", "resp-19", "resp-22", "resp-21", "resp-17")
@EVERY_STORY
def test_the_guidance_is_an_external_reference(story: Story, ehr: Ehr) -> None:
    """Absolute links, all to the page of this drug's policy and no portal; no suggestion, no appContext."""
    for card in ehr.sign(story)["cards"]:
        if card["source"]["topic"]["code"] == "guideline":
            assert card["links"]
            for link in card["links"]:
                assert link["type"] == "absolute"
                assert link["url"].partition("?")[0] == f"{PUBLIC}/policies/pharmacy-109/{story.drug}"
                assert "appContext" not in link
            assert "suggestions" not in card


@pytest.mark.conformance("resp-57", "resp-58", "resp-11", "resp-51")
def test_missing_tests_are_additional_orders(ehr: Ehr) -> None:
    """`create` of ServiceRequests that the CRD profile would take; the text names each, for who orders by hand."""
    (card,) = [card for card in ehr.sign(MISSING)["cards"] if card["source"]["topic"]["code"] == "clinical-reminder"]
    assert "links" not in card
    for suggestion in card["suggestions"]:
        (action,) = suggestion["actions"]
        assert (action["type"], "resourceId" in action) == ("create", False)
        request = action["resource"]
        assert (request["resourceType"], request["status"], request["intent"]) == ("ServiceRequest", "draft", "order")
        assert request["subject"] == MISSING.order["subject"]
        assert request["requester"] == MISSING.order["requester"]
        assert request["authoredOn"]
        assert request["code"]["text"] in card["detail"]


@pytest.mark.conformance("resp-72")
def test_the_form_is_a_smart_launch(service: Service, ehr: Ehr) -> None:
    """A link of type smart with its appContext, and a suggestion without actions."""
    cards = [card for card in with_form(service, ehr, MISSING)["cards"] if card["source"]["topic"]["code"] == "claim"]
    (card,) = cards
    (link,) = card["links"]
    assert link["type"] == "smart"
    assert link["url"].startswith(PUBLIC)
    context = decode(link["appContext"].encode())
    assert set(context) == {"assertionId", "order", "coverage", "questionnaire"}
    (suggestion,) = card["suggestions"]
    assert suggestion["label"]
    assert "actions" not in suggestion


@pytest.mark.conformance("resp-25", "resp-12", "resp-48", "resp-52")
@EVERY_STORY
def test_coverage_information_is_a_system_action_and_no_card(story: Story, service: Service, ehr: Ehr) -> None:
    """An update with the extension; no card has its topic or repeats its codes."""
    found = with_form(service, ehr, story)
    (action,) = found["systemActions"]
    assert (action["type"], "resourceId" in action) == ("update", False)
    assert stated(action["resource"])
    for card in found["cards"]:
        assert card["source"]["topic"]["code"] not in ("coverage-info", "unsolicited-determ")
        assert not re.search(r"auth-needed|pa-needed|doc-needed|not-covered|withpa", encode(card).decode())


@pytest.mark.conformance("resp-29", "hook-16", "resp-28")
@EVERY_STORY
def test_every_order_that_is_signed_gets_its_coverage_information(story: Story, ehr: Ehr) -> None:
    """One action for each, governed or not, even if it only says that more is needed."""
    found = ehr.sign(story, order_of(story.id, id="one"), order_of(story.id, id="two"))
    assert [resource["id"] for resource in updated(found)] == ["one", "two"]


@pytest.mark.conformance("resp-37", "resp-47", "conf-13")
@EVERY_STORY
def test_nothing_but_coverage_information_is_changed(story: Story, ehr: Ehr) -> None:
    """What the order was, it is; so it keeps the profile that it kept."""
    order = {**deepcopy(story.order), "x": [1.10, {"y": None}], "extension": [{"url": "urn:x", "valueString": "y"}]}
    (resource,) = updated(ehr.sign(story, order))
    extensions = resource.pop("extension")
    assert extensions[0] == order.pop("extension")[0]
    assert [extension["url"] for extension in extensions[1:]] == [EXTENSION]
    assert resource == decode(encode(order))


@pytest.mark.conformance("resp-35")
def test_an_order_that_says_it_already_is_left_alone(ehr: Ehr) -> None:
    """Nothing new, no action."""
    (carried,) = updated(ehr.sign(MET))
    assert ehr.sign(MET, carried)["systemActions"] == []


@pytest.mark.conformance("conf-5", "impl-5", "resp-30")
def test_the_elements_that_have_a_value_are_filled(ehr: Ehr) -> None:
    """What is assumed of billing, quantity and period is said, and when and of what coverage."""
    said = said_of(ehr.sign(MISSING))
    assert {
        "coverage", "covered", "pa-needed", "doc-needed", "doc-purpose", "billingCode", "reason", "detail",
        "questionnaire", "date", "coverage-assertion-id",
    } <= said.keys()  # fmt: skip
    assert {detail["code"][0]["coding"][0]["code"] for detail in said["detail"]} >= {
        "allowed-quantity",
        "allowed-period",
    }


@pytest.mark.conformance("covinfo-2", "resp-38")
@EVERY_STORY
def test_there_is_one_reason_and_it_says_what_it_is_about(story: Story, ehr: Ehr) -> None:
    """No second one that would have to be told apart; where documents are asked for, the form is named."""
    said = said_of(ehr.sign(story))
    (reason,) = said["reason"]
    assert reason["text"]
    assert ("questionnaire" in said) == ("doc-needed" in said and said["covered"] == ["covered"])


@pytest.mark.conformance("dev-24", "dev-25")
def test_of_several_orders_each_card_says_which_it_is_about(ehr: Ehr) -> None:
    """In words a prescriber knows it by, and for machines; of one order it need not."""
    dosage = [{"text": "half of the dose"}]
    orders = order_of(MISSING.id, id="a"), order_of(MISSING.id, id="b", dosageInstruction=dosage)
    cards = ehr.sign(MISSING, *orders)["cards"]
    for card in cards:
        (about,) = card["extension"]["davinci-crd.associated-resource"]
        last = card["detail"].rsplit("\n\n", 1)[1]
        assert last.startswith("Order: Hemgenix")
        assert last.endswith(", written on 2026-11-24.")
        assert ("half of the dose" in last) == (about == {"reference": "MedicationRequest/b"})
    assert "\n\nOrder: " not in guidance(ehr.sign(MISSING))["detail"]


@pytest.mark.conformance("resp-15")
def test_other_response_types_are_used(service: Service, ehr: Ehr) -> None:
    """External Reference, Additional Orders and Launch SMART; Instructions at order-dispatch."""
    topics = [card["source"]["topic"]["code"] for card in with_form(service, ehr, MISSING)["cards"]]
    assert topics == ["guideline", "clinical-reminder", "claim"]


@pytest.mark.conformance("resp-42")
def test_what_is_missing_is_asked_for_by_the_form(ehr: Ehr) -> None:
    """Where an answer of the prescriber would decide."""
    said = said_of(ehr.sign(MISSING))
    assert said["doc-needed"] == ["clinical"]
    assert said["questionnaire"]


def test_the_cards_of_every_story_have_ids_of_their_own(ehr: Ehr) -> None:
    """Feedback names them."""
    found: list[Any] = [card["uuid"] for story in STORIES for card in ehr.sign(story)["cards"]]
    assert len(found) == len(set(found))
