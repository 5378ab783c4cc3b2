"""order-dispatch: orders that are named and have to be found, and the performer as the new fact."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from copy import deepcopy
from typing import Any

import pytest
from calling import answer, hook_call, refused, under_key, with_orders
from flask.testing import FlaskClient
from signing import BASE, BY_ID, Ehr, FhirServer, Json, determinations, outcomes, said_of, updated, without

from cds_service.demo.store import Store
from cds_service.demo.stories import Story

Serving = Callable[[Store], AbstractContextManager[FhirServer]]
MET = BY_ID["demo-hemgenix-met"]
ORDER = f"MedicationRequest/{MET.order['id']}"
SIGNED: Json = {**deepcopy(MET.order), "status": "active"}
OLD: Json = {"order": ORDER}
NEW: Json = {"dispatchedOrders": [ORDER]}


def dispatch(story: Story = MET, prefetch: Json | None = None, **context: Any) -> Json:
    """An order-dispatch call; the members of its context are given, `x=None` takes one away."""
    found = {"patientId": story.id, "performer": "Organization/demo-center", **context}
    members = {"fhirServer": BASE} if prefetch is None else {}
    return hook_call(
        "order-dispatch", {name: value for name, value in found.items() if value is not None}, prefetch, **members
    )


@pytest.mark.conformance("hook-33", "resp-26")
@pytest.mark.parametrize("shape", [OLD, NEW], ids=["1.0", "1.1"])
def test_both_shapes_of_the_context_are_read(shape: Json, client: FlaskClient, ehr: Ehr) -> None:
    """`order` of version 1.0 and `dispatchedOrders` of 1.1 get the same answer."""
    found = answer(client, dispatch(prefetch=with_orders(ehr, MET, SIGNED), **shape))
    assert outcomes(found) == ["criteria-met"]
    (resource,) = updated(found)
    assert {name: value for name, value in resource.items() if name != "extension"} == SIGNED


@pytest.mark.parametrize("written", [f"{BASE}/{ORDER}", f"{ORDER}/_history/3", f"{BASE}/{ORDER}/_history/3"])
@pytest.mark.parametrize("shape", ["order", "dispatchedOrders"])
def test_an_order_may_be_named_by_its_url_or_its_version(
    written: str, shape: str, client: FlaskClient, ehr: Ehr, serving: Serving
) -> None:
    """As wherever else the call refers to something on its FHIR server."""
    with serving(ehr.store(MET, SIGNED)):
        found = answer(client, dispatch(**{shape: [written] if shape == "dispatchedOrders" else written}))
    assert [said["order"] for said in determinations(found)] == [ORDER]


def test_an_order_of_another_server_is_not_read(client: FlaskClient, ehr: Ehr, serving: Serving) -> None:
    """Its id is none of this server's."""
    with serving(ehr.store(MET, SIGNED)) as server:
        refused(client, dispatch(order=f"https://elsewhere.example/fhir/{ORDER}"), 412)
    assert server.asked == []


def test_an_order_that_is_named_twice_is_answered_once(client: FlaskClient, ehr: Ehr, serving: Serving) -> None:
    """By its id and by its URL."""
    with serving(ehr.store(MET, SIGNED)):
        found = answer(client, dispatch(dispatchedOrders=[ORDER, f"{BASE}/{ORDER}"]))
    assert (len(determinations(found)), len(found["systemActions"])) == (1, 1)


@pytest.mark.parametrize("key", ["medicationRequests", "x", "dispatched orders"])
def test_the_order_is_found_in_prefetch_under_any_key(key: str, client: FlaskClient, ehr: Ehr) -> None:
    """Clients name their keys as they like (CRD found-30)."""
    prefetch = {**with_orders(ehr, MET), **under_key(key, SIGNED, *_requests(MET))}
    assert outcomes(answer(client, dispatch(prefetch=prefetch, **NEW))) == ["criteria-met"]


def _requests(story: Story) -> list[Json]:
    return [resource for resource in story.resources if resource["resourceType"] == "MedicationRequest"]


def test_an_order_as_a_prefetch_value_of_its_own_is_found(client: FlaskClient, ehr: Ehr) -> None:
    """A single resource is as good as a Bundle of one."""
    prefetch = {**with_orders(ehr, MET), "order": SIGNED}
    assert outcomes(answer(client, dispatch(prefetch=prefetch, **NEW))) == ["criteria-met"]


@pytest.mark.conformance("resp-39", "found-5")
def test_the_order_is_read_from_the_server(client: FlaskClient, ehr: Ehr, serving: Serving) -> None:
    """Nothing was sent but its name."""
    with serving(ehr.store(MET, SIGNED)) as server:
        found = answer(client, dispatch(**NEW))
    assert ORDER in server.asked
    assert outcomes(found) == ["criteria-met"]


@pytest.mark.conformance("hook-9", "hook-10")
@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_an_order_that_cannot_be_read_is_a_412(status: int, client: FlaskClient, ehr: Ehr, serving: Serving) -> None:
    """The answer cannot do without it, and says so by an OperationOutcome."""
    with serving(ehr.store(MET, SIGNED)) as server:
        server.instead["MedicationRequest"] = (status, {"Content-Type": "application/fhir+json"}, b"{}")
        said = refused(client, dispatch(**NEW), 412)
    assert "could they be read" in said
    assert MET.order["id"] not in said


def test_an_order_that_was_not_sent_without_a_server_is_a_412(client: FlaskClient, ehr: Ehr) -> None:
    """There is nobody to ask."""
    refused(client, dispatch(prefetch=with_orders(ehr, MET), **NEW), 412)


@pytest.mark.conformance("found-34")
def test_of_two_orders_the_one_that_was_read_is_answered(client: FlaskClient, ehr: Ehr) -> None:
    """The other is named on a card of its own: silence would pass for an answer."""
    call = dispatch(prefetch=with_orders(ehr, MET, SIGNED), dispatchedOrders=[ORDER, "MedicationRequest/lost"])
    found = answer(client, call)
    assert outcomes({"cards": found["cards"][:1]}) == ["criteria-met"]
    assert [resource["id"] for resource in updated(found)] == [MET.order["id"]]
    (card,) = [card for card in found["cards"] if "could not be read" in card["summary"]]
    assert card["indicator"] == "warning"
    assert "MedicationRequest/lost" in card["detail"]
    assert card["extension"]["davinci-crd.associated-resource"] == [{"reference": "MedicationRequest/lost"}]


def test_a_lost_order_is_named_although_the_other_is_over(client: FlaskClient, ehr: Ehr) -> None:
    """An order that is over says nothing of the one that could not be read."""
    order = {**SIGNED, "status": "completed"}
    call = dispatch(prefetch=with_orders(ehr, MET, order), dispatchedOrders=[ORDER, "MedicationRequest/lost"])
    found = answer(client, call)
    assert ["MedicationRequest/lost" in card["detail"] for card in found["cards"]] == [True]
    assert found["systemActions"] == []


@pytest.mark.conformance("resp-24", "resp-23")
def test_the_card_of_an_order_that_was_not_read_is_an_instruction(client: FlaskClient, ehr: Ehr) -> None:
    """A text alone: neither link nor suggestion, a topic, a uuid, and it goes with the option of its topic."""
    orders = [ORDER, "MedicationRequest/lost"]
    call = dispatch(prefetch=with_orders(ehr, MET, SIGNED), dispatchedOrders=orders)
    (card,) = [card for card in answer(client, call)["cards"] if "could not be read" in card["summary"]]
    assert not {"links", "suggestions"} & card.keys()
    assert card["uuid"]
    assert card["detail"]
    assert card["source"]["topic"]["code"] == "guideline"
    call["extension"] = {"davinci-crd.configuration": {"guideline": False}}
    assert answer(client, call)["cards"] == []


@pytest.mark.parametrize("whose", ["Patient/somebody", "Patient/x-demo-hemgenix-met", None, 5], ids=repr)
def test_an_order_for_another_patient_is_refused(whose: object, client: FlaskClient, ehr: Ehr) -> None:
    """An order that the call names must be this patient's."""
    other = {**SIGNED, "subject": {"reference": whose}}
    prefetch = {**with_orders(ehr, MET), "order": other}
    assert "another patient" in refused(client, dispatch(prefetch=prefetch, **NEW), 400)


@pytest.mark.parametrize(
    "tasks",
    [{"task": {}}, {"fulfillmentTasks": [{}]}, {"fulfillment-tasks": [{}]}],
    ids=["task", "fulfillmentTasks", "fulfillment-tasks"],
)
def test_tasks_are_accepted_in_each_spelling(tasks: Json, client: FlaskClient, ehr: Ehr) -> None:
    """One Task in version 1.0, several in 1.1, whose page spells it in two ways."""
    task = {"resourceType": "Task", "status": "draft", "intent": "order", "for": {"reference": f"Patient/{MET.id}"}}
    sent = {name: task if isinstance(value, dict) else [task] for name, value in tasks.items()}
    call = dispatch(prefetch=with_orders(ehr, MET, SIGNED), **NEW, **sent)
    assert outcomes(answer(client, call)) == ["criteria-met"]


@pytest.mark.parametrize(
    ("tasks", "path"),
    [
        ({"task": []}, "context.task"),
        ({"task": {"resourceType": "Patient"}}, "context.task.resourceType"),
        ({"fulfillmentTasks": {}}, "context.fulfillmentTasks"),
        ({"fulfillmentTasks": [5]}, "context.fulfillmentTasks[0]"),
        (
            {"fulfillmentTasks": [{"resourceType": "Task", "for": {"reference": "Patient/other"}}]},
            "context.fulfillmentTasks[0].for",
        ),
    ],
    ids=["list", "type", "object", "number", "patient"],
)
def test_a_task_of_another_shape_or_patient_is_refused(tasks: Json, path: str, client: FlaskClient, ehr: Ehr) -> None:
    """With its place."""
    call = dispatch(prefetch=with_orders(ehr, MET, SIGNED), **NEW, **tasks)
    assert refused(client, call, 400).startswith(path)


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"order": 5},
        {"order": "x"},
        {"dispatchedOrders": []},
        {"dispatchedOrders": ORDER},
        {**NEW, "performer": None},
        {**NEW, "performer": "x"},
        {**NEW, "userId": "Device/x"},
        {**NEW, "patientId": "Patient/x"},
    ],
    ids=repr,
)
def test_a_context_of_another_shape_is_refused(context: Json, client: FlaskClient, ehr: Ehr) -> None:
    """400, with the member's path."""
    assert "context." in refused(client, dispatch(prefetch=with_orders(ehr, MET, SIGNED), **context), 400)


@pytest.mark.conformance("hook-23", "hook-30")
def test_where_both_shapes_are_sent_the_newer_counts(client: FlaskClient, ehr: Ehr) -> None:
    """What else stands in the context is ignored."""
    call = dispatch(prefetch=with_orders(ehr, MET, SIGNED), **NEW, order="MedicationRequest/y", z=[1])
    assert outcomes(answer(client, call)) == ["criteria-met"]


def _unknown_prescriber() -> Json:
    return {**SIGNED, "requester": {"reference": "Practitioner/nobody"}}


def _without_specialist(story: Story) -> list[Json]:
    """The chart with nothing that names a specialist or a center but the directory."""
    kept = []
    for resource in without(story.resources, "Encounter", "DocumentReference", "CareTeam"):
        copy = deepcopy(resource)
        if copy["resourceType"] == "QuestionnaireResponse":
            copy["item"] = [item for item in copy["item"] if not item["linkId"].startswith(("q.hematologist", "q.htc"))]
        kept.append(copy)
    return kept


def _criterion(found: Json, number: str) -> Json:
    (said,) = determinations(found)
    return next(dict(one) for one in said["criteria"] if one["id"] == number)


def test_the_performer_may_be_the_specialist(client: FlaskClient, ehr: Ehr, serving: Serving) -> None:
    """A performer of the right specialty counts where the order's requester is not known to be one."""
    order = {**_unknown_prescriber(), "dispenseRequest": {"numberOfRepeatsAllowed": 0}}
    chart = [resource for resource in _without_specialist(MET) if resource["resourceType"] != "MedicationRequest"]
    prefetch = ehr.prefetch(MET) or {}
    prefetch = {key: value for key, value in prefetch.items() if key not in ("encounter", "documents", "careTeams")}
    for key, kind in (("questionnaireResponses", "QuestionnaireResponse"), ("medicationRequests", "MedicationRequest")):
        kept = [resource for resource in chart if resource["resourceType"] == kind]
        prefetch[key] = under_key(key, *kept, *([order] if kind == "MedicationRequest" else []))[key]
    role = "PractitionerRole/demo-hazel-role"
    named = answer(client, dispatch(prefetch=prefetch, **NEW, performer=role))
    by_url = dispatch(prefetch=prefetch, **NEW, performer=f"{BASE}/{role}") | {"fhirServer": BASE}
    with serving(Store()):
        assert _criterion(answer(client, by_url), "1")["status"] == "met"
    unnamed = answer(client, dispatch(prefetch=prefetch, **NEW, performer="Practitioner/nobody"))
    assert _criterion(named, "1")["status"] == "met"
    assert _criterion(unnamed, "1")["status"] == "unknown"


def test_the_dispatched_order_is_not_its_own_earlier_gene_therapy(
    client: FlaskClient, ehr: Ehr, serving: Serving
) -> None:
    """The chart holds the order itself: that is no earlier treatment, sent or read."""
    sent = answer(client, dispatch(prefetch=with_orders(ehr, MET, SIGNED), **NEW))
    with serving(ehr.store(MET, SIGNED)):
        read = answer(client, dispatch(**NEW))
    assert _criterion(sent, "7")["status"] == _criterion(read, "7")["status"] == "met"


def test_another_order_of_the_chart_stays_an_earlier_gene_therapy(client: FlaskClient, ehr: Ehr) -> None:
    """Only the dispatched order itself is left out of the history."""
    earlier = {**SIGNED, "id": "earlier", "status": "completed", "authoredOn": "2025-01-10"}
    found = answer(client, dispatch(prefetch=with_orders(ehr, MET, SIGNED, earlier), **NEW))
    assert _criterion(found, "7")["status"] != "met"


@pytest.mark.parametrize("status", ["cancelled", "completed", "entered-in-error", "stopped"])
def test_a_dispatched_order_that_is_over_gets_an_empty_answer(status: str, client: FlaskClient, ehr: Ehr) -> None:
    """Nothing is being ordered."""
    order = {**SIGNED, "status": status}
    found = answer(client, dispatch(prefetch=with_orders(ehr, MET, order), **NEW))
    assert found == {"cards": [], "systemActions": []}


def test_an_ungoverned_dispatched_order_gets_its_coverage_information(client: FlaskClient, ehr: Ehr) -> None:
    """No card, and conditional with the reason."""
    story = BY_ID["demo-other-drug"]
    call = dispatch(story, with_orders(ehr, story, story.order), order=f"MedicationRequest/{story.order['id']}")
    found = answer(client, call)
    assert (found["cards"], said_of(found)["covered"]) == ([], ["conditional"])


def test_a_dispatched_order_that_names_its_patient_otherwise_is_answered(client: FlaskClient, ehr: Ehr) -> None:
    """R4's NutritionOrder has `patient`, and no `subject`."""
    order: Json = {"resourceType": "NutritionOrder", "id": "n", "status": "active", "intent": "order"}
    order["patient"] = {"reference": f"Patient/{MET.id}"}
    call = dispatch(prefetch={**with_orders(ehr, MET), "order": order}, dispatchedOrders=["NutritionOrder/n"])
    assert said_of(answer(client, call))["covered"] == ["conditional"]
