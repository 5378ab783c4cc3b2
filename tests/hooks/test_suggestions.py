"""Orders for missing tests: one click each, valid, and none for what is under way already."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from copy import deepcopy

import fhirkit
import pytest
from fhir.resources.R4B import get_fhir_model_class
from signing import BASE, BY_ID, GOVERNED, Ehr, FhirServer, Json, guidance, order_of, outcomes, story_named, updated

from cds_service.demo.store import Store
from cds_service.demo.stories import Story
from hooks.wire import encode

Serving = Callable[[Store], AbstractContextManager[FhirServer]]
LABS_MISSING = BY_ID["demo-labs-missing"]
LOINC = "http://loinc.org"
PLATELETS = {"coding": [{"system": LOINC, "code": "777-3"}], "text": "Platelet count"}


def suggestions_of(answer: Json) -> list[Json]:
    """The suggestions that order something, on all cards."""
    return [one for card in answer["cards"] for one in card.get("suggestions", []) if "actions" in one]


def labels(answer: Json) -> set[str]:
    """What is offered."""
    return {suggestion["label"] for suggestion in suggestions_of(answer)}


def requests_of(answer: Json) -> list[Json]:
    """The ServiceRequests that would be created."""
    return [action["resource"] for suggestion in suggestions_of(answer) for action in suggestion["actions"]]


def request(concept: Json, **members: object) -> Json:
    """A ServiceRequest of the patient whose tests are missing."""
    return {
        "resourceType": "ServiceRequest",
        "id": "ordered",
        "status": "active",
        "intent": "order",
        "subject": {"reference": f"Patient/{LABS_MISSING.id}"},
        "code": concept,
        **members,
    }


def test_each_missing_test_that_can_be_ordered_is_offered(ehr: Ehr) -> None:
    """One suggestion for each, in the words of the laboratory."""
    assert labels(ehr.sign(LABS_MISSING)) == {
        "Order: Hepatitis B surface antigen",
        "Order: Hepatitis C antibody",
        "Order: HIV antigen and antibody screen",
        "Order: Platelet count",
        "Order: Liver stiffness by transient elastography (FibroScan)",
    }


def test_only_the_test_that_is_missing_is_offered(ehr: Ehr) -> None:
    """A count that is too old is offered again, and nothing else."""
    assert labels(ehr.sign("demo-one-day-late")) == {"Order: Platelet count"}


@pytest.mark.parametrize(
    "story",
    [story for story in GOVERNED if story.expected_outcome != "documentation-missing"],
    ids=lambda story: story.id,
)
def test_nothing_is_offered_where_no_test_is_missing(story: Story, ehr: Ehr) -> None:
    """Met, not met, for review, or not readable: an order would not help."""
    assert suggestions_of(ehr.sign(story)) == []


def test_no_test_is_offered_for_a_patient_who_has_died(ehr: Ehr) -> None:
    """The chart may be wrong, or the wrong one: the card says so, and orders nothing."""
    story = story_named(LABS_MISSING.id)
    for resource in story.resources:
        if resource["resourceType"] == "Patient":
            resource["deceasedBoolean"] = True
    answer = ehr.sign(story)
    assert suggestions_of(answer) == []
    assert "The chart says that the patient has died" in guidance(answer)["detail"]


def test_the_card_identifies_additional_orders(ehr: Ehr) -> None:
    """Only creations, no links, any of them may be taken, and reasons to decline each with words."""
    card = ehr.sign(LABS_MISSING)["cards"][1]
    assert card["indicator"] == "info"
    assert card["selectionBehavior"] == "any"
    assert "links" not in card
    assert len(card["summary"]) < 140
    assert all(reason["display"] and reason["code"] and reason["system"] for reason in card["overrideReasons"])
    about = card["extension"]["davinci-crd.associated-resource"]
    assert about == [{"reference": f"MedicationRequest/{LABS_MISSING.order['id']}"}]
    for suggestion in card["suggestions"]:
        assert suggestion["uuid"]
        assert [(action["type"], set(action)) for action in suggestion["actions"]] == [
            ("create", {"type", "description", "resource"})
        ]


def test_the_card_works_by_hand(ehr: Ehr) -> None:
    """Its text names each test, for clients that cannot carry out a suggestion."""
    card = ehr.sign(LABS_MISSING)["cards"][1]
    for suggestion in card["suggestions"]:
        assert suggestion["label"].removeprefix("Order: ") in card["detail"]


@pytest.mark.parametrize("story_id", ["demo-labs-missing", "demo-one-day-late", "demo-three-reports"])
def test_each_order_is_valid(story_id: str, ehr: Ehr) -> None:
    """Two validators find nothing, and what the CRD profile asks for is there."""
    found = requests_of(ehr.sign(story_id))
    assert found
    for one in found:
        assert [str(issue) for issue in fhirkit.validate(encode(one))] == []
        get_fhir_model_class("ServiceRequest").model_validate_json(encode(one))
        assert (one["status"], one["intent"]) == ("draft", "order")
        assert one["meta"]["profile"] == [
            "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/profile-servicerequest"
        ]
        assert one["subject"] == {"reference": f"Patient/{story_id}"}
        assert one["authoredOn"] == "2026-11-24"
        assert one["requester"]["reference"] == "Practitioner/demo-hazel"
        assert one["code"]["text"]
        assert one["insurance"] == [{"reference": f"Coverage/{story_id}-coverage"}]


def test_each_order_has_an_id_of_its_own(ehr: Ehr) -> None:
    """So that the client can tell them apart."""
    found = requests_of(ehr.sign(LABS_MISSING))
    assert len({one["id"] for one in found}) == len(found) == 5


def test_an_order_is_coded_where_a_code_exists(ehr: Ehr) -> None:
    """LOINC for the laboratory; the AAV5 antibody has no code, and then the text does."""
    found = {one["code"]["text"]: one["code"] for one in requests_of(ehr.sign(LABS_MISSING))}
    assert found["Platelet count"]["coding"][0]["system"] == LOINC
    aav5 = next(r for r in requests_of(ehr.sign("demo-three-reports")) if "AAV5" in r["code"]["text"])
    assert "coding" not in aav5["code"]


def test_an_order_is_linked_to_the_patient_s_condition(ehr: Ehr) -> None:
    """The hemophilia that the drug is for."""
    for one in requests_of(ehr.sign(LABS_MISSING)):
        assert one["reasonReference"] == [{"reference": "Condition/demo-labs-missing-hemophilia-b"}]


def test_without_a_condition_the_order_s_own_reason_is_taken(ehr: Ehr) -> None:
    """What the prescriber gave as reason for the drug."""
    story = story_named(LABS_MISSING.id)
    for resource in story.resources:
        if resource["resourceType"] == "Condition":
            resource["verificationStatus"] = {"coding": [{"code": "entered-in-error"}]}
    order = order_of(story.id, reasonReference=None, reasonCode=[{"text": "Bleeding"}])
    for one in requests_of(ehr.sign(story, order)):
        assert one["reasonCode"] == [{"text": "Bleeding"}]


# What is under way


def test_a_test_with_an_active_order_is_not_offered(ehr: Ehr) -> None:
    """It is in the record."""
    call = ehr.call(LABS_MISSING)
    call["prefetch"]["serviceRequests"]["entry"] = [{"resource": request(PLATELETS)}]
    assert "Order: Platelet count" not in labels(ehr.answer(call))
    assert len(labels(ehr.answer(call))) == 4


def test_an_active_order_that_is_read_from_the_server_counts(ehr: Ehr, serving: Serving) -> None:
    """Where the call did not send them, they are asked for."""
    with serving(ehr.store(LABS_MISSING, request(PLATELETS))):
        assert "Order: Platelet count" not in labels(ehr.sign(LABS_MISSING, sent="none", fhirServer=BASE))


@pytest.mark.parametrize("status", ["completed", "revoked", "entered-in-error", "draft"])
def test_an_order_that_is_not_active_does_not_count(status: str, ehr: Ehr) -> None:
    """The result did not come of it."""
    call = ehr.call(LABS_MISSING)
    call["prefetch"]["serviceRequests"]["entry"] = [{"resource": request(PLATELETS, status=status)}]
    assert "Order: Platelet count" in labels(ehr.answer(call))


def test_a_request_not_to_test_does_not_count(ehr: Ehr) -> None:
    """doNotPerform orders nothing."""
    call = ehr.call(LABS_MISSING)
    call["prefetch"]["serviceRequests"]["entry"] = [{"resource": request(PLATELETS, doNotPerform=True)}]
    assert "Order: Platelet count" in labels(ehr.answer(call))


def test_another_patient_s_order_does_not_count(ehr: Ehr) -> None:
    """Whatever a prefetch holds."""
    call = ehr.call(LABS_MISSING)
    foreign = request(PLATELETS, subject={"reference": "Patient/somebody-else"})
    call["prefetch"]["serviceRequests"]["entry"] = [{"resource": foreign}]
    assert "Order: Platelet count" in labels(ehr.answer(call))


@pytest.mark.parametrize("concept", [PLATELETS, {"text": "Platelet count"}])
def test_a_test_in_the_same_draft_bundle_is_not_offered(concept: Json, ehr: Ehr) -> None:
    """The prescriber is about to sign it too."""
    drafted = request(concept, status="draft")
    assert "Order: Platelet count" not in labels(ehr.sign(LABS_MISSING, LABS_MISSING.order, drafted))


def test_a_draft_that_was_given_up_does_not_count(ehr: Ehr) -> None:
    """Revoked before it was signed."""
    drafted = request(PLATELETS, status="revoked")
    assert "Order: Platelet count" in labels(ehr.sign(LABS_MISSING, LABS_MISSING.order, drafted))


def test_accepting_every_suggestion_leaves_none(ehr: Ehr) -> None:
    """Signed again with the accepted orders as drafts, nothing more is offered, and the answer is the same."""
    first = ehr.sign(LABS_MISSING)
    again = ehr.sign(LABS_MISSING, LABS_MISSING.order, *requests_of(first))
    assert suggestions_of(again) == []
    assert outcomes(again) == ["documentation-missing"]


def test_a_test_among_the_drafts_is_told_that_no_policy_governs_it(ehr: Ehr) -> None:
    """It is an order too, and gets its own coverage-information."""
    drafted = request(PLATELETS, status="draft")
    answer = ehr.sign(LABS_MISSING, LABS_MISSING.order, drafted)
    assert [resource["resourceType"] for resource in updated(answer)] == ["MedicationRequest", "ServiceRequest"]


# What the draft order does not say


def test_an_order_without_subject_and_requester_takes_them_from_the_call(ehr: Ehr) -> None:
    """The patient of the context, and the user who signs."""
    order = order_of(LABS_MISSING.id, subject=None, requester=None)
    for one in requests_of(ehr.sign(LABS_MISSING, order)):
        assert one["subject"] == {"reference": f"Patient/{LABS_MISSING.id}"}
        assert one["requester"] == {"reference": "Practitioner/demo-hazel"}


@pytest.mark.parametrize("member", ["subject", "requester", "encounter", "insurance", "reasonReference", "reasonCode"])
@pytest.mark.parametrize("wrong", [5, "text", True])
def test_what_is_of_the_wrong_type_in_the_draft_is_not_copied(member: str, wrong: object, ehr: Ehr) -> None:
    """The suggested order stays valid."""
    order = {**deepcopy(LABS_MISSING.order), member: wrong}
    found = requests_of(ehr.sign(LABS_MISSING, order))
    assert found
    for one in found:
        assert one.get(member) != wrong
        get_fhir_model_class("ServiceRequest").model_validate_json(encode(one))
