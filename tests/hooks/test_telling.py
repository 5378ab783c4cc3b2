"""What the guidance card opens with: coverage before criteria, what to do at this hook, a number where there is one."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
from calling import answer, hook_call, select_context, visit_context, with_orders
from flask.testing import FlaskClient
from signing import BY_ID, Ehr, Json, bundle, guidance, order_of, said_of, updated

from cds_service.app import create_app
from cds_service.settings import Settings

MET = BY_ID["demo-hemgenix-met"]
MISSING = BY_ID["demo-labs-missing"]
LOW = BY_ID["demo-platelets-low"]
Spoken = Callable[..., FlaskClient]


@pytest.fixture
def speaking(settings: Settings, client: FlaskClient, tmp_path: Path) -> Spoken:
    """A function: a client of a service with these settings."""
    return lambda **given: create_app(settings.model_copy(update={"data_dir": tmp_path, **given})).test_client()


def with_coverage(ehr: Ehr, **members: object) -> Json:
    """A call that signs an order whose one Coverage has these members; None takes one away."""
    call = ehr.call(MET, order_of(MET.id, insurance=None))
    (coverage,) = [one for one in MET.resources if one["resourceType"] == "Coverage"]
    changed = {name: value for name, value in {**deepcopy(coverage), **members}.items() if value is not None}
    call["prefetch"]["coverage"] = bundle(changed)
    return call


def test_a_coverage_that_is_not_active_comes_first(ehr: Ehr) -> None:
    """Met criteria must not be read as the answer where nothing is covered."""
    card = guidance(ehr.answer(with_coverage(ehr, status="cancelled")))
    assert card["summary"] == "Hemgenix: coverage not active; the chart meets all of the plan's criteria"
    assert card["detail"].startswith(
        "**The coverage on file is not active on the day of the order.** Check the coverage"
    )
    assert "**The chart meets all of the plan's criteria for Hemgenix.**" in card["detail"]


@pytest.mark.parametrize("dialect", ["2.0.1", "plain"])
def test_a_coverage_that_is_not_there_comes_first(dialect: str, speaking: Spoken, ehr: Ehr) -> None:
    """Where the caller gets its guidance all the same."""
    call = ehr.call(MET, order_of(MET.id, insurance=None))
    call["prefetch"]["coverage"] = None
    card = guidance(Ehr(speaking(default_dialect=dialect), {}).answer(call))
    assert card["summary"].startswith("Hemgenix: coverage not confirmed; ")
    assert card["detail"].startswith("**Coverage not confirmed")


def test_a_coverage_that_cannot_be_pointed_at_is_none(speaking: Spoken, ehr: Ehr) -> None:
    """Without an id: a 400 in 2.2, and guidance that says so for the others."""
    call = with_coverage(ehr, id=None)
    response = ehr.post(call)
    assert (response.status_code, "an id of the patient" in response.get_data(as_text=True)) == (400, True)
    found = Ehr(speaking(default_dialect="plain"), {}).answer(call)
    assert guidance(found)["summary"].startswith("Hemgenix: coverage not confirmed; ")
    assert found["systemActions"] == []


@pytest.mark.parametrize(
    ("hook", "said"),
    [("order-select", "then sign the order."), ("encounter-start", "then check again.")],
)
def test_what_to_do_is_what_can_be_done_at_the_hook(hook: str, said: str, client: FlaskClient, ehr: Ehr) -> None:
    """Nobody signs "again" what was not signed yet, or at the door."""
    order = {**deepcopy(MISSING.order), "status": "draft" if hook == "order-select" else "active"}
    if hook == "order-select":
        context = select_context(MISSING, [order], [f"MedicationRequest/{order['id']}"])
    else:
        context = visit_context(MISSING)
    found = answer(client, hook_call(hook, context, with_orders(ehr, MISSING, order)))
    assert said in guidance(found)["detail"].partition("\n")[0]


def test_a_number_is_on_the_card(speaking: Spoken, ehr: Ehr) -> None:
    """Who reads the card alone must not send a request for what is authorized, and finds the number there."""
    found = Ehr(speaking(authorization="issue"), {}).answer(ehr.call(MET))
    (number,), (until,) = said_of(found)["satisfied-pa-id"], said_of(found)["expiry-date"]
    card = guidance(found)
    assert card["summary"] == "Hemgenix: authorized; the chart meets all of the plan's criteria"
    assert f"number {number}, until {until}" in card["detail"]
    assert "Send the prior authorization request" not in card["detail"]


def test_without_a_number_the_card_says_what_is_to_be_sent(speaking: Spoken, ehr: Ehr) -> None:
    """Where the call wants none."""
    call = ehr.call(MET, extension={"davinci-crd.configuration": {"unsolicited-determ": False}})
    card = guidance(Ehr(speaking(authorization="issue"), {}).answer(call))
    assert "Send the prior authorization request" in card["detail"]
    assert "authorized;" not in card["summary"]


def test_one_missing_test_is_one(ehr: Ehr) -> None:
    """It, and not each."""
    cards = ehr.sign("demo-one-day-late")["cards"]
    (card,) = [card for card in cards if card["source"]["topic"]["code"] == "clinical-reminder"]
    assert card["detail"] == "For Hemgenix the plan still needs: Platelet count. It can be ordered with one click."


@pytest.mark.parametrize("dialect", ["2.2", "2.0.1"])
@pytest.mark.parametrize(
    ("changed", "carried"),
    [
        ({}, True),
        ({"expiry-date": {"valueDate": "2026-11-24"}, "date": {"valueDate": "2026-05-24"}}, False),
        ({"expiry-date": {"valueDate": "soon"}, "date": {"valueDate": "then"}}, False),
        ({"coverage-assertion-id": {"valueString": "ca-of-another-answer"}}, False),
        ({"satisfied-pa-id": None}, False),
    ],
    ids=["as given", "past", "no dates", "another assertion", "no number"],
)
def test_a_number_on_the_order_counts_while_it_is_good(
    changed: Json, carried: bool, dialect: str, speaking: Spoken, ehr: Ehr
) -> None:
    """At hooks that give none: only what was given with this very answer keeps the prescriber from a request."""
    service = speaking(authorization="issue", default_dialect=dialect)
    (order,) = updated(Ehr(service, {}).answer(ehr.call(MET)))
    (extension,) = order["extension"]
    parts = {part["url"]: part for part in extension["extension"]}
    for name, value in changed.items():
        if name in parts:
            extension["extension"].remove(parts[name])
            extension["extension"] += [{"url": name, **value}] if value else []
    order["status"] = "active"
    found = answer(service, hook_call("encounter-start", visit_context(MET), with_orders(ehr, MET, order)))
    assert ("No request is needed" in guidance(found)["detail"]) is carried


def test_a_number_that_this_service_does_not_give_is_no_reason_not_to_ask(client: FlaskClient, ehr: Ehr) -> None:
    """Where numbers are not issued, what an order carries is not ours."""
    (order,) = updated(ehr.sign(MET))
    order["extension"][0]["extension"].append({"url": "satisfied-pa-id", "valueString": "PA-1"})
    assert "Send the prior authorization request" in guidance(ehr.sign(MET, order))["detail"]
