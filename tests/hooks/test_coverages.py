"""Which Coverage an order is answered for, where the client's prefetch does not show it."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import msgspec
import pytest
from signing import BASE, BY_ID, Ehr, FhirServer, Json, bundle, order_of, said_of, without

from cds_service.demo.store import Store

Serving = Callable[[Store], AbstractContextManager[FhirServer]]
MET = BY_ID["demo-hemgenix-met"]
(COVERAGE,) = (resource for resource in MET.resources if resource["resourceType"] == "Coverage")
UNCOVERED = msgspec.structs.replace(MET, resources=without(MET.resources, "Coverage"))


@pytest.mark.conformance("resp-45")
@pytest.mark.parametrize("insurance", [MET.order["insurance"], None], ids=["named by the order", "not named"])
@pytest.mark.parametrize("sent", [None, bundle()], ids=["null", "empty Bundle"])
def test_a_coverage_that_is_over_is_found_behind_an_empty_prefetch(
    sent: Json | None, insurance: object, ehr: Ehr, serving: Serving
) -> None:
    """The template asks for active ones alone, so that "none" says nothing of the others; one read tells."""
    call = ehr.call(MET, order_of(MET.id, insurance=insurance), fhirServer=BASE)
    call["prefetch"]["coverage"] = sent
    with serving(ehr.store(UNCOVERED, {**COVERAGE, "status": "cancelled"})) as server:
        said = said_of(ehr.answer(call))
    assert said["reason"][0]["coding"][0]["code"] == "no-active-coverage"
    assert [path.partition("?")[0].partition("/")[0] for path in server.asked] == ["Coverage"]


@pytest.mark.parametrize("status", [200, 403, 500])
def test_where_none_is_found_behind_an_empty_prefetch_none_is_there(status: int, ehr: Ehr, serving: Serving) -> None:
    """The client said so, and a look that fails takes nothing from it."""
    call = ehr.call(MET, order_of(MET.id, insurance=None), fhirServer=BASE)
    call["prefetch"]["coverage"] = None
    with serving(ehr.store(UNCOVERED)) as server:
        if status != 200:
            server.instead["Coverage"] = (status, {"Content-Type": "application/fhir+json"}, b"{}")
        response = ehr.post(call)
    assert response.status_code == 400
    assert b"found none" in response.data


def test_a_payer_that_came_with_the_coverages_is_not_read(ehr: Ehr, serving: Serving) -> None:
    """A client may include it in the searchset, whatever the template asks for."""
    call = ehr.call(MET, fhirServer=BASE)
    (payer,) = [
        entry for entry in call["prefetch"].pop("organizations")["entry"] if entry["resource"]["id"] == "demo-plan"
    ]
    call["prefetch"]["coverage"]["entry"].append({**payer, "search": {"mode": "include"}})
    with serving(Store()) as server:
        assert said_of(ehr.answer(call))["covered"] == ["covered"]
    assert not [path for path in server.asked if "demo-plan" in path]


def test_a_drug_that_came_with_the_orders_is_not_read(ehr: Ehr, serving: Serving) -> None:
    """As in the searchset of a client that resolves what the orders refer to."""
    drug = {"resourceType": "Medication", "id": "drug", "code": MET.order["medicationCodeableConcept"]}
    order = order_of(MET.id, medicationCodeableConcept=None, medicationReference={"reference": "Medication/drug"})
    call = ehr.call(MET, order, fhirServer=BASE)
    call["prefetch"]["medicationRequests"]["entry"].append({"resource": drug, "search": {"mode": "include"}})
    with serving(Store()) as server:
        assert said_of(ehr.answer(call))["covered"] == ["covered"]
    assert not [path for path in server.asked if "drug" in path]
