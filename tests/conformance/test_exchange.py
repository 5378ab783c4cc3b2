"""What calls may bring and lack, by the statements of CRD 2.2.1 on data, errors and time."""

import socket
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from msgspec.structs import replace
from signing import BY_ID, STORIES, Ehr, Json, determinations, order_of, outcomes, said_of, without

from cds_service.app import create_app
from cds_service.demo.stories import Story
from cds_service.settings import Settings
from hooks.wire import decode, encode

MET = BY_ID["demo-hemgenix-met"]
BILLING = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-billing-options"
HCPCS = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"


def billed(code: str) -> Json:
    """The billing-options extension with that code."""
    return {"url": BILLING, "valueCodeableConcept": {"coding": [{"system": HCPCS, "code": code}]}}


def drug(*codings: Json, text: str = "", **members: Any) -> Json:
    """A CodeableConcept."""
    found: Json = {"coding": list(codings)} if codings else {}
    return {**found, **({"text": text} if text else {}), **members}


@pytest.mark.conformance("billopt-2")
def test_billing_options_are_not_needed(ehr: Ehr) -> None:
    """The order is known by its own codes."""
    assert "extension" not in MET.order["medicationCodeableConcept"]
    assert outcomes(ehr.sign(MET)) == ["criteria-met"]


@pytest.mark.conformance("billopt-3")
@pytest.mark.parametrize("place", ["order", "drug"])
def test_billing_options_are_considered(place: str, ehr: Ehr) -> None:
    """They tell the drug where the order's own words do not."""
    unknown = drug(text="gene therapy, see billing")
    extension = [billed("J1411")]
    order = (
        order_of(MET.id, medicationCodeableConcept=unknown, extension=extension)
        if place == "order"
        else order_of(MET.id, medicationCodeableConcept={**unknown, "extension": extension})
    )
    assert [said["drug"] for said in determinations(ehr.sign(MET, order))] == ["hemgenix"]
    assert determinations(ehr.sign(MET, order_of(MET.id, medicationCodeableConcept=unknown))) == []


@pytest.mark.conformance("found-10", "resp-51")
@pytest.mark.parametrize(
    "written",
    [
        drug({"system": HCPCS, "code": "J1411"}),
        drug({"system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "j1411"}),
        drug({"system": "http://hl7.org/fhir/sid/ndc", "code": "00053030030"}),
        drug({"system": "http://hl7.org/fhir/sid/ndc", "code": "0053-0300-30"}),
        drug({"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "2626772"}),
        drug(text="Hemgenix"),
        drug(text="etranacogene dezaparvovec-drlb, one infusion"),
    ],
    ids=["HCPCS", "HCPCS in other letters", "NDC of 11 digits", "NDC with dashes", "RxNorm", "brand", "substance"],
)
def test_a_drug_is_known_however_it_is_coded(written: Json, ehr: Ehr) -> None:
    """The same policy for the same drug."""
    found = ehr.sign(MET, order_of(MET.id, medicationCodeableConcept=written))
    assert [said["drug"] for said in determinations(found)] == ["hemgenix"]


@pytest.mark.conformance("conf-2")
@pytest.mark.parametrize("version", ["3.1.1", "6.1.0", "7.0.0"])
@pytest.mark.parametrize("story", STORIES, ids=[story.id for story in STORIES])
def test_charts_of_each_us_core_version_are_read(version: str, story: Story, ehr: Ehr) -> None:
    """Their profiles' names, and the categories of problems that each of them has."""
    category = {"3.1.1": "problem-list-item", "6.1.0": "health-concern", "7.0.0": "problem-list-item"}[version]
    changed = []
    for resource in deepcopy(story.resources):
        profiles = resource.get("meta", {}).get("profile", [])
        if profiles:
            resource["meta"]["profile"] = [f"{profile.partition('|')[0]}|{version}" for profile in profiles]
        if version == "3.1.1" and resource["resourceType"] == "Coverage":
            resource.pop("meta")  # it has no profile for it
        if resource["resourceType"] == "Condition":
            resource["category"] = [{"coding": [{"code": category}]}]
        changed.append(resource)
    expected = [story.expected_outcome] if story.expected_outcome else []
    assert outcomes(ehr.sign(replace(story, resources=tuple(changed)))) == expected


@pytest.mark.conformance("conf-4", "conf-9")
def test_the_facts_on_the_cards_are_from_the_guides_resources(ehr: Ehr) -> None:
    """What decided is named, and it is of types that US Core, HRex or CRD have."""
    known = {
        "Condition", "Coverage", "DiagnosticReport", "DocumentReference", "Encounter", "MedicationRequest",
        "MedicationAdministration", "MedicationDispense", "MedicationStatement", "Observation", "Organization",
        "Patient", "Practitioner", "PractitionerRole", "Procedure", "QuestionnaireResponse", "ServiceRequest",
    }  # fmt: skip
    kinds = {
        fact["reference"].partition("/")[0]
        for story in STORIES
        for said in determinations(ehr.sign(story))
        for criterion in said["criteria"]
        for fact in criterion["evidence"]
    }
    assert {"Condition", "Observation", "Patient"} <= kinds <= known


def _bare(resource: Json) -> Json:
    """The resource without what a profile leaves to the sender: narrative, profile, names, notes."""
    left_out = {"meta", "text", "note", "telecom", "address", "implicitRules", "language"}
    return {name: value for name, value in resource.items() if name not in left_out}


@pytest.mark.conformance("conf-7", "conf-8", "conf-12", "hook-22")
@pytest.mark.parametrize("story", STORIES, ids=[story.id for story in STORIES])
def test_nothing_that_may_be_left_out_is_missed(story: Story, ehr: Ehr) -> None:
    """Orders and charts with no more than must be there get the same answer."""
    bare = replace(story, resources=tuple(_bare(resource) for resource in story.resources))
    kept = {
        "resourceType", "id", "status", "intent", "medicationCodeableConcept", "medicationReference", "subject",
        "authoredOn", "requester", "reasonReference", "dosageInstruction", "contained", "dispenseRequest",
    }  # fmt: skip
    order = {name: value for name, value in story.order.items() if name in kept}
    expected = [story.expected_outcome] if story.expected_outcome else []
    assert outcomes(ehr.sign(bare, order)) == expected


@pytest.mark.conformance("found-32", "found-34")
@pytest.mark.parametrize("kind", ["Condition", "Observation", "DocumentReference", "QuestionnaireResponse"])
def test_a_chart_that_lacks_something_is_answered(kind: str, ehr: Ehr) -> None:
    """200 with what can be said: no 412 for what was looked for and is not there."""
    found = ehr.sign(replace(MET, resources=without(MET.resources, kind)))
    assert len(found["systemActions"]) == 1
    assert outcomes(found)[0] in ("documentation-missing", "criteria-met", "needs-review")


@pytest.mark.conformance("found-33", "hook-23")
def test_what_is_not_expected_is_ignored(ehr: Ehr) -> None:
    """In the call, its context, its Bundle and its resources."""
    call = ehr.call(MET)
    expected = ehr.answer(call)["systemActions"]
    for place in (call, call["context"], call["context"]["draftOrders"], call["prefetch"]):
        place["x-unknown"] = {"y": [1, None]}
    assert ehr.answer(call)["systemActions"] == expected


@pytest.mark.conformance("hook-9", "hook-10")
@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b"[]", 400), (b"{}", 400), (b'{"hook": "x"}', 400), (b'{"a": NaN}', 400)],
    ids=repr,
)
def test_a_bad_call_gets_an_operation_outcome(body: bytes, status: int, ehr: Ehr) -> None:
    """A 4xx, and what was expected."""
    response = ehr.post(body)
    assert response.status_code == status
    outcome = decode(response.data)
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["diagnostics"]


@pytest.mark.conformance("found-2", "resp-43")
@pytest.mark.parametrize("slow", ["frozen", "nobody there"])
def test_the_answer_comes_in_time(slow: str, tmp_path: Path, settings: Settings, client: FlaskClient, ehr: Ehr) -> None:
    """Whatever the FHIR server does; what could not be read is said to be so."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if slow == "frozen":
            listener.listen()
        base = f"http://127.0.0.1:{listener.getsockname()[1]}/fhir"
        app = create_app(settings.model_copy(update={"fhir_servers": (base,), "deadline_s": 1.0}))
        call = ehr.call(MET, sent="none", fhirServer=base)
        started = time.monotonic()
        found = Ehr(app.test_client(), {}).answer(call)
        assert time.monotonic() - started < 1.5
    assert said_of(found)["covered"] == ["indeterminate"]


@pytest.mark.conformance("found-40")
def test_no_white_space_is_sent_that_says_nothing(ehr: Ehr) -> None:
    """The body is as short as JSON can be."""
    response = ehr.post(ehr.call(MET))
    assert response.data == encode(decode(response.data))


@pytest.mark.conformance("sec-1")
def test_who_has_no_token_is_not_answered(settings: Settings, ehr: Ehr, tmp_path: Path) -> None:
    """CDS Hooks: the caller shows who it is; 401 tells no more."""
    clients = tmp_path / "clients.json"
    clients.write_text("[]")
    app = create_app(settings.model_copy(update={"auth": "required", "trusted_clients": clients}))
    response = Ehr(app.test_client(), {}).post(ehr.call(MET))
    assert response.status_code == 401
    assert MET.id.encode() not in response.data
