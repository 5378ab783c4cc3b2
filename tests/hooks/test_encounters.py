"""encounter-start and encounter-discharge: open governed orders are spoken of, and never by mistake as if none were."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from copy import deepcopy

import pytest
from calling import NOTHING, answer, hook_call, refused, visit_context, with_orders
from flask.testing import FlaskClient
from signing import BASE, BY_ID, Ehr, FhirServer, Json, determinations, outcomes, said_of, updated

from cds_service.demo.store import Store
from cds_service.demo.stories import Story

Serving = Callable[[Store], AbstractContextManager[FhirServer]]
MET = BY_ID["demo-hemgenix-met"]
HOOKS = pytest.mark.parametrize("hook", ["encounter-start", "encounter-discharge"])


def open_order(story: Story = MET, **members: object) -> Json:
    """The story's order as the chart has it after signing."""
    order = {**deepcopy(story.order), "status": "active", **members}
    return {name: value for name, value in order.items() if value is not None}


def given(order: Json, **members: object) -> Json:
    """The record that the drug of this order was given."""
    return {
        "resourceType": "MedicationAdministration",
        "id": "given",
        "status": "completed",
        "medicationCodeableConcept": order["medicationCodeableConcept"],
        "subject": order["subject"],
        "effectiveDateTime": "2026-11-20",
        "request": {"reference": f"MedicationRequest/{order['id']}"},
        **members,
    }


def visit(ehr: Ehr, hook: str, story: Story = MET, *more: Json) -> Json:
    """The call at a visit, with the whole record and these resources."""
    return hook_call(hook, visit_context(story), with_orders(ehr, story, *more))


@HOOKS
@pytest.mark.conformance("resp-27", "ops-1", "hook-4")
@pytest.mark.parametrize("status", ["active", "draft", "on-hold"])
def test_an_open_governed_order_gets_guidance_and_coverage_information(
    status: str, hook: str, client: FlaskClient, ehr: Ehr
) -> None:
    """On the order that the chart holds, which comes back as it was."""
    order = open_order(status=status)
    found = answer(client, visit(ehr, hook, MET, order))
    assert outcomes(found) == ["criteria-met"]
    (resource,) = updated(found)
    assert {name: value for name, value in resource.items() if name != "extension"} == order


@HOOKS
@pytest.mark.parametrize("status", ["cancelled", "completed", "stopped", "entered-in-error", "unknown", None])
def test_an_order_that_is_not_open_is_not_spoken_of(
    status: str | None, hook: str, client: FlaskClient, ehr: Ehr
) -> None:
    """Silence: nothing is being ordered."""
    assert answer(client, visit(ehr, hook, MET, open_order(status=status))) == NOTHING


@HOOKS
def test_an_order_to_refrain_is_not_spoken_of(hook: str, client: FlaskClient, ehr: Ehr) -> None:
    """doNotPerform orders nothing."""
    assert answer(client, visit(ehr, hook, MET, open_order(doNotPerform=True))) == NOTHING


@HOOKS
@pytest.mark.conformance("found-13")
def test_a_chart_without_open_governed_orders_gets_an_empty_answer(hook: str, client: FlaskClient, ehr: Ehr) -> None:
    """The running order for factor is governed by no policy here."""
    assert answer(client, visit(ehr, hook)) == NOTHING


@HOOKS
def test_an_order_whose_drug_was_given_is_not_spoken_of(hook: str, client: FlaskClient, ehr: Ehr) -> None:
    """MedicationAdministration.request says so."""
    order = open_order()
    assert answer(client, visit(ehr, hook, MET, order, given(order))) == NOTHING


@HOOKS
@pytest.mark.parametrize("members", [{"status": "not-done"}, {"request": None}, {"request": {"reference": "x/y"}}])
def test_an_administration_that_is_not_of_this_order_leaves_it_open(
    members: Json, hook: str, client: FlaskClient, ehr: Ehr
) -> None:
    """Not done, or of no order, or of another."""
    order = open_order()
    found = answer(client, visit(ehr, hook, MET, order, given(order, **members)))
    assert [said["order"] for said in determinations(found)] == [f"MedicationRequest/{order['id']}"]


@HOOKS
@pytest.mark.conformance("hook-19")
def test_no_documentation_is_asked_for(hook: str, client: FlaskClient, ehr: Ehr) -> None:
    """Covered, to be authorized, with the reason alone."""
    story = BY_ID["demo-labs-missing"]
    found = answer(client, visit(ehr, hook, story, open_order(story)))
    assert outcomes(found) == ["documentation-missing"]
    said = said_of(found)
    assert (said["covered"], said["pa-needed"]) == (["covered"], ["auth-needed"])
    assert not {"doc-needed", "doc-purpose", "questionnaire", "info-needed"} & said.keys()


@HOOKS
def test_an_open_order_is_read_from_the_server(hook: str, client: FlaskClient, ehr: Ehr, serving: Serving) -> None:
    """Nothing was sent but the ids."""
    with serving(ehr.store(MET, open_order())):
        found = answer(client, hook_call(hook, visit_context(MET), fhirServer=BASE))
    assert outcomes(found) == ["criteria-met"]


@HOOKS
@pytest.mark.conformance("hook-9")
@pytest.mark.parametrize("kind", ["MedicationRequest", "ServiceRequest"])
def test_orders_that_could_not_be_looked_for_are_not_none(
    kind: str, hook: str, client: FlaskClient, ehr: Ehr, serving: Serving
) -> None:
    """A 412, for an empty answer would say that nothing is required; there is no order to write "technical" on."""
    with serving(ehr.store(MET)) as server:
        server.instead[kind] = (500, {"Content-Type": "application/fhir+json"}, b"{}")
        said = refused(client, hook_call(hook, visit_context(MET), fhirServer=BASE), 412)
    assert "open orders" in said


@HOOKS
def test_an_open_order_that_was_found_is_answered_although_others_could_not_be_looked_for(
    hook: str, client: FlaskClient, ehr: Ehr, serving: Serving
) -> None:
    """What can be said is said (CRD found-34)."""
    with serving(ehr.store(MET, open_order())) as server:
        server.instead["ServiceRequest"] = (403, {"Content-Type": "application/fhir+json"}, b"{}")
        found = answer(client, hook_call(hook, visit_context(MET), fhirServer=BASE))
    assert len(found["systemActions"]) == 1


@HOOKS
def test_a_visit_without_anything_to_look_in_is_a_412(hook: str, client: FlaskClient) -> None:
    """Neither prefetch nor server."""
    refused(client, hook_call(hook, visit_context(MET)), 412)


@HOOKS
def test_whether_it_was_given_need_not_be_known(hook: str, client: FlaskClient, ehr: Ehr, serving: Serving) -> None:
    """An order is open as long as nothing says otherwise, and its answer says that the chart could not be read."""
    with serving(ehr.store(MET, open_order())) as server:
        server.instead["MedicationAdministration"] = (500, {"Content-Type": "application/fhir+json"}, b"{}")
        found = answer(client, hook_call(hook, visit_context(MET), fhirServer=BASE))
    assert outcomes(found) == ["undetermined"]


@HOOKS
@pytest.mark.parametrize("missing", ["userId", "patientId", "encounterId"])
def test_each_member_of_the_context_is_required(missing: str, hook: str, client: FlaskClient, ehr: Ehr) -> None:
    """The hook's definition makes no exception."""
    call = visit(ehr, hook)
    del call["context"][missing]
    assert f"context.{missing}" in refused(client, call, 400)


@HOOKS
def test_an_open_order_that_was_never_a_drug_of_ours_is_passed_over_beside_one_that_is(
    hook: str, client: FlaskClient, ehr: Ehr
) -> None:
    """Only governed orders are spoken of: encounter hooks are no place for "ask the plan"."""
    other = {**deepcopy(BY_ID["demo-other-drug"].order), "status": "active", "subject": MET.order["subject"]}
    found = answer(client, visit(ehr, hook, MET, open_order(), other))
    assert [resource["id"] for resource in updated(found)] == [MET.order["id"]]
