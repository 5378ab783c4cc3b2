"""appointment-book: the order that an appointment stands on is answered; an appointment of its own is too."""

from copy import deepcopy

import pytest
from calling import NOTHING, answer, book_context, hook_call, refused, with_orders
from flask import Flask
from flask.testing import FlaskClient
from signing import BASE, BY_ID, Ehr, Json, outcomes, said_of, updated

from cds_service.app import create_app
from cds_service.settings import Settings

MET = BY_ID["demo-hemgenix-met"]
ALTERNATE = "http://hl7.org/fhir/StructureDefinition/alternate-reference"
J1411 = {"coding": [{"system": "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "J1411"}]}
DRUG: Json = {**deepcopy(MET.order), "status": "active"}
SERVICE: Json = {
    "resourceType": "ServiceRequest",
    "id": "infusion",
    "status": "active",
    "intent": "order",
    "code": J1411,
    **{name: deepcopy(MET.order[name]) for name in ("subject", "requester", "authoredOn", "insurance")},
    "reasonReference": deepcopy(MET.order["reasonReference"]),
}


def appointment(**members: object) -> Json:
    """A proposed appointment of the patient."""
    return {
        "resourceType": "Appointment",
        "id": "visit",
        "status": "proposed",
        "start": "2026-12-01T09:00:00Z",
        "end": "2026-12-01T12:00:00Z",
        "participant": [{"actor": {"reference": f"Patient/{MET.id}"}, "status": "accepted"}],
        **members,
    }


def alternate(reference: str) -> Json:
    """A `basedOn` that names what R4 has no place for."""
    return {"extension": [{"url": ALTERNATE, "valueReference": {"reference": reference}}]}


def booking(ehr: Ehr, *appointments: Json, orders: tuple[Json, ...] = (DRUG,), **members: object) -> Json:
    """The call that books them, with the whole record and these orders."""
    return hook_call("appointment-book", book_context(MET, *appointments), with_orders(ehr, MET, *orders), **members)


@pytest.mark.conformance("hook-26", "resp-26", "resp-37")
def test_an_appointment_for_a_service_request_is_answered_on_the_request(client: FlaskClient, ehr: Ehr) -> None:
    """The order is updated and not the appointment, and nothing else of it changes."""
    call = booking(ehr, appointment(basedOn=[{"reference": "ServiceRequest/infusion"}]), orders=(SERVICE,))
    found = answer(client, call)
    (resource,) = updated(found)
    assert {name: value for name, value in resource.items() if name != "extension"} == SERVICE
    assert outcomes(found) == ["criteria-met"]


@pytest.mark.conformance("hook-26")
def test_an_appointment_for_a_medication_request_names_it_by_the_extension(client: FlaskClient, ehr: Ehr) -> None:
    """alternate-reference on `basedOn`: the MedicationRequest is updated."""
    call = booking(ehr, appointment(basedOn=[alternate(f"MedicationRequest/{DRUG['id']}")]))
    found = answer(client, call)
    (resource,) = updated(found)
    assert (resource["resourceType"], resource["id"]) == ("MedicationRequest", DRUG["id"])
    assert outcomes(found) == ["criteria-met"]


def test_an_absolute_reference_names_the_same_order(client: FlaskClient, ehr: Ehr) -> None:
    """As EHRs write them."""
    reference = f"https://ehr.example/fhir/MedicationRequest/{DRUG['id']}"
    found = answer(client, booking(ehr, appointment(basedOn=[alternate(reference)])))
    assert [resource["id"] for resource in updated(found)] == [DRUG["id"]]


def test_an_order_in_the_bundle_itself_is_found(client: FlaskClient, ehr: Ehr) -> None:
    """It comes back as it came in."""
    call = booking(ehr, appointment(basedOn=[{"reference": "ServiceRequest/infusion"}]), SERVICE, orders=())
    assert [resource["id"] for resource in updated(answer(client, call))] == ["infusion"]


def test_two_appointments_for_one_order_get_one_answer(client: FlaskClient, ehr: Ehr) -> None:
    """It is one order."""
    based = [alternate(f"MedicationRequest/{DRUG['id']}")]
    call = booking(ehr, appointment(id="one", basedOn=based), appointment(id="two", basedOn=based))
    assert len(answer(client, call)["systemActions"]) == 1


@pytest.mark.conformance("hook-16", "hook-26")
def test_an_appointment_of_its_own_is_conditional(client: FlaskClient, ehr: Ehr) -> None:
    """No policy speaks of it: no card, and coverage-information on the appointment itself."""
    found = answer(client, booking(ehr, appointment(), orders=()))
    (resource,) = updated(found)
    assert (found["cards"], resource["resourceType"]) == ([], "Appointment")
    said = said_of(found)
    assert (said["covered"], said["info-needed"]) == (["conditional"], ["OTH"])
    assert "names no order" in said["reason"][0]["text"]
    assert {name: value for name, value in resource.items() if name != "extension"} == appointment()


def test_an_appointment_of_its_own_gets_nothing_in_2_0_1(settings: Settings, ehr: Ehr) -> None:
    """That version's extension has no place on an Appointment."""
    app: Flask = create_app(settings.model_copy(update={"default_dialect": "2.0.1"}))
    assert answer(app.test_client(), booking(ehr, appointment(), orders=())) == NOTHING


def test_one_with_an_order_and_one_without_are_both_answered(client: FlaskClient, ehr: Ehr) -> None:
    """Each on its own resource."""
    based = appointment(id="one", basedOn=[alternate(f"MedicationRequest/{DRUG['id']}")])
    found = answer(client, booking(ehr, based, appointment(id="two")))
    assert {resource["id"] for resource in updated(found)} == {"two", DRUG["id"]}


@pytest.mark.conformance("hook-9")
def test_an_order_that_was_neither_sent_nor_read_is_a_412(client: FlaskClient, ehr: Ehr) -> None:
    """Nothing can be said of it."""
    refused(client, booking(ehr, appointment(basedOn=[{"reference": "ServiceRequest/lost"}]), orders=()), 412)


def test_a_lost_order_does_not_cost_the_other_appointment_its_answer(client: FlaskClient, ehr: Ehr) -> None:
    """The lost one is named on a card."""
    lost = appointment(id="one", basedOn=[{"reference": "ServiceRequest/lost"}])
    found = answer(client, booking(ehr, lost, appointment(id="two"), orders=()))
    assert [resource["id"] for resource in updated(found)] == ["two"]
    (card,) = found["cards"]
    assert "ServiceRequest/lost" in card["detail"]


def test_an_order_for_another_patient_is_refused(client: FlaskClient, ehr: Ehr) -> None:
    """Whoever the appointment is for."""
    other = {**SERVICE, "subject": {"reference": "Patient/other"}}
    call = booking(ehr, appointment(basedOn=[{"reference": "ServiceRequest/infusion"}]), orders=())
    call["prefetch"]["x"] = other
    assert "another patient" in refused(client, call, 400)


def test_an_appointment_for_another_patient_is_refused(client: FlaskClient, ehr: Ehr) -> None:
    """Its participants tell."""
    other = [{"actor": {"reference": "Patient/other"}, "status": "accepted"}]
    assert "another patient" in refused(client, booking(ehr, appointment(participant=other)), 400)


@pytest.mark.parametrize(
    "written", ["{}/_history/4", "https://ehr.example/fhir/{}", "https://ehr.example/fhir/{}/_history/4"]
)
def test_an_appointment_may_name_its_patient_by_url_or_version(written: str, client: FlaskClient, ehr: Ehr) -> None:
    """As orders may."""
    actor = {"reference": written.format(f"Patient/{MET.id}")}
    found = answer(client, booking(ehr, appointment(participant=[{"actor": actor, "status": "accepted"}]), orders=()))
    assert len(updated(found)) == 1


@pytest.mark.parametrize("participant", [None, 5, [], [5], [{}], [{"actor": {"reference": "Practitioner/x"}}]])
def test_an_appointment_without_a_patient_among_its_participants_is_answered(
    participant: object, client: FlaskClient, ehr: Ehr
) -> None:
    """The call says whose it is."""
    found = answer(client, booking(ehr, appointment(participant=participant), orders=()))
    assert len(found["systemActions"]) == 1


@pytest.mark.parametrize(
    "based", [5, {}, [5], [{}], [{"reference": 5}], [{"reference": "x"}], [{"extension": 5}]], ids=repr
)
def test_an_odd_based_on_counts_for_nothing(based: object, client: FlaskClient, ehr: Ehr) -> None:
    """The appointment stands on its own then."""
    found = answer(client, booking(ehr, appointment(basedOn=based), orders=()))
    assert [resource["resourceType"] for resource in updated(found)] == ["Appointment"]


@pytest.mark.parametrize(
    "written",
    ["MedicationRequest/{}", "MedicationRequest/{}/_history/3", "https://ehr.example/fhir/MedicationRequest/{}"],
    ids=["relative", "of a version", "absolute"],
)
def test_the_order_is_found_however_it_is_named(written: str, client: FlaskClient, ehr: Ehr) -> None:
    """A version of an order is that order."""
    based = appointment(basedOn=[{"reference": written.format(DRUG["id"])}])
    assert [resource["id"] for resource in updated(answer(client, booking(ehr, based)))] == [DRUG["id"]]


def test_an_order_of_another_server_is_not_looked_for_on_this_one(client: FlaskClient, ehr: Ehr) -> None:
    """The same id there is another order: it was not read, and is said to be so."""
    based = appointment(basedOn=[{"reference": f"https://other.example/fhir/MedicationRequest/{DRUG['id']}"}])
    assert "could they be read" in refused(client, booking(ehr, based, fhirServer=BASE), 412)
    found = answer(client, booking(ehr, based, appointment(id="two"), fhirServer=BASE))
    assert [resource["id"] for resource in updated(found)] == ["two"]
    (card,) = found["cards"]
    assert "://other" not in card["detail"]  # no link of a caller's


def test_an_order_that_is_named_twice_is_answered_once(client: FlaskClient, ehr: Ehr) -> None:
    """By its URL and without."""
    name = f"MedicationRequest/{DRUG['id']}"
    twice = appointment(basedOn=[{"reference": name}, {"reference": f"{BASE}/{name}"}])
    assert len(updated(answer(client, booking(ehr, twice, fhirServer=BASE)))) == 1


def test_no_appointments_get_an_empty_answer(client: FlaskClient, ehr: Ehr) -> None:
    """An empty Bundle is a completed evaluation."""
    assert answer(client, booking(ehr)) == NOTHING


@pytest.mark.parametrize("booked", [None, 5, [], {"resourceType": "Appointment"}], ids=repr)
def test_appointments_of_another_shape_are_refused(booked: object, client: FlaskClient, ehr: Ehr) -> None:
    """A Bundle is expected."""
    call = booking(ehr)
    call["context"]["appointments"] = booked
    assert "context.appointments" in refused(client, call, 400)


def test_documentation_is_asked_for_when_booking(client: FlaskClient, ehr: Ehr) -> None:
    """appointment-book is a primary hook."""
    story = BY_ID["demo-labs-missing"]
    order = {**deepcopy(story.order), "status": "active"}
    visit = {**appointment(basedOn=[alternate(f"MedicationRequest/{order['id']}")]), "participant": []}
    call = hook_call("appointment-book", book_context(story, visit), with_orders(ehr, story, order))
    assert said_of(answer(client, call))["doc-needed"] == ["clinical"]
