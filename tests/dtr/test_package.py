"""`$questionnaire-package`: which forms come back, and what a request is refused for."""

from copy import deepcopy
from typing import Any

import fhirkit
import pytest
from asking import (
    CONTEXT,
    HEMGENIX,
    PACKAGE,
    VERSIONED,
    Endpoint,
    Json,
    answer,
    answers,
    asked_for,
    coverage_of,
    known,
    outcome,
    packages,
    parameters,
    post,
)
from fhir.resources.R4B import get_fhir_model_class
from flask.testing import FlaskClient
from msgspec.structs import replace
from signing import BY_ID, PUBLIC, order_of

from cds_service.policy.reasons import Outcome
from hooks.service import Service
from hooks.wire import encode

STORY = "demo-labs-missing"
COVERAGE_INFORMATION = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"
PROFILES = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition"


def issues(found: Json, name: str = "outcome") -> list[tuple[str, str]]:
    """Severity and code of each issue that came with the packages."""
    (outcome_found,) = [one["resource"] for one in found["parameter"] if one["name"] == name]
    return [(issue["severity"], issue["code"]) for issue in outcome_found["issue"]]


@pytest.mark.parametrize("story", ["demo-hemgenix-met", "demo-labs-missing", "demo-roctavian-met"])
def test_an_order_gets_the_form_of_its_drug(forms: FlaskClient, story: str) -> None:
    """One Bundle: the Questionnaire first, then its draft response."""
    ((form, draft),) = packages(answer(post(forms, asked_for(story))))
    assert form["id"] == f"pharmacy-109-{BY_ID[story].drug}"
    assert draft["resourceType"] == "QuestionnaireResponse"
    assert draft["questionnaire"] == f"{form['url']}|{form['version']}"


def test_the_answer_is_valid_fhir(forms: FlaskClient) -> None:
    """Two models of FHIR R4 take the Parameters with all that is in it."""
    written = post(forms, asked_for(STORY)).data
    assert [str(issue) for issue in fhirkit.validate(written)] == []
    get_fhir_model_class("Parameters").model_validate_json(written)


@pytest.mark.parametrize("canonical", [HEMGENIX, VERSIONED])
def test_a_canonical_gets_its_form(forms: FlaskClient, canonical: str) -> None:
    """With a version or without."""
    body = parameters(("coverage", coverage_of(STORY)), ("questionnaire", canonical))
    ((form, _),) = packages(answer(post(forms, body)))
    assert form["version"] == "2025-11-20"


def test_a_form_asked_for_in_several_ways_comes_once(endpoint: Endpoint, service: Service) -> None:
    """Order, canonical and context that mean one form are one package, for that order."""
    client = endpoint(known(service, STORY))
    found = answer(post(client, asked_for(STORY, questionnaire=VERSIONED, context=CONTEXT)))
    ((_, draft),) = packages(found)
    assert _references(draft, "qr-context") == [f"MedicationRequest/{BY_ID[STORY].order['id']}"]


def test_two_forms_are_two_bundles(forms: FlaskClient) -> None:
    """Each Questionnaire has a Bundle of its own."""
    body = parameters(
        ("coverage", coverage_of(STORY)),
        ("questionnaire", HEMGENIX),
        ("questionnaire", f"{PUBLIC}/fhir/Questionnaire/pharmacy-109-roctavian"),
    )
    found = [form["id"] for form, _ in packages(answer(post(forms, body)))]
    assert found == ["pharmacy-109-hemgenix", "pharmacy-109-roctavian"]


def test_the_form_that_the_order_itself_names_is_enough(forms: FlaskClient) -> None:
    """A drug that cannot be read from the order alone: its coverage-information names the form."""
    order = order_of(STORY, medicationCodeableConcept=None, medicationReference={"reference": "Medication/elsewhere"})
    order["extension"] = [
        {
            "url": COVERAGE_INFORMATION,
            "extension": [{"url": "questionnaire", "valueCanonical": VERSIONED}],
        }
    ]
    body = parameters(("coverage", coverage_of(STORY)), ("order", order))
    ((form, _),) = packages(answer(post(forms, body)))
    assert form["url"] == HEMGENIX


def test_a_medication_may_be_sent_along(forms: FlaskClient) -> None:
    """An order that refers to its Medication is understood with it."""
    order = order_of(STORY, medicationCodeableConcept=None, medicationReference={"reference": "Medication/m"})
    medication = {"resourceType": "Medication", "id": "m", "code": BY_ID[STORY].order["medicationCodeableConcept"]}
    body = parameters(("coverage", coverage_of(STORY)), ("order", order), ("referenced", medication))
    ((form, _),) = packages(answer(post(forms, body)))
    assert form["url"] == HEMGENIX


REFERRING = "demo-medicare-advantage"  # its order refers to a Medication


def test_a_medication_may_be_contained_in_the_order(forms: FlaskClient) -> None:
    """A client of DTR 2.2 has no parameter of its own for it."""
    order = order_of(STORY, medicationCodeableConcept=None, medicationReference={"reference": "#m"})
    medication = {"resourceType": "Medication", "id": "m", "code": BY_ID[STORY].order["medicationCodeableConcept"]}
    body = parameters(("coverage", coverage_of(STORY)), ("order", {**order, "contained": [medication]}))
    ((form, _),) = packages(answer(post(forms, body)))
    assert form["url"] == HEMGENIX


def test_an_order_whose_medication_was_not_sent_is_told_so(forms: FlaskClient) -> None:
    """Not that no policy governs it: that is not known. What to send instead is said."""
    found = outcome(post(forms, asked_for(REFERRING)), 422)
    assert found["code"] == "not-found"
    assert "Medication" in found["diagnostics"]
    assert "contained" in found["diagnostics"]
    assert "governs" not in found["diagnostics"]


def test_the_assertion_on_the_order_is_enough(endpoint: Endpoint, service: Service) -> None:
    """The order as the plan answered it, its Medication elsewhere: the form of what was answered, for that order."""
    order = dict(BY_ID[REFERRING].order)
    part = {"url": "coverage-assertion-id", "valueString": CONTEXT}
    order["extension"] = [{"url": COVERAGE_INFORMATION, "extension": [part]}]
    body = parameters(("coverage", coverage_of(REFERRING)), ("order", order))
    ((form, draft),) = packages(answer(post(endpoint(known(service, REFERRING)), body)))
    assert form["id"] == "pharmacy-109-roctavian"
    assert _references(draft, "qr-context") == [f"MedicationRequest/{order['id']}"]
    assert outcome(post(endpoint(None), body), 422)["code"] == "not-found"


def test_the_draft_says_whom_and_what_it_is_for(forms: FlaskClient) -> None:
    """Subject, coverage, order and purpose (DTR 2.2 "DTR Questionnaire Response")."""
    ((_, draft),) = packages(answer(post(forms, asked_for(STORY))))
    assert draft["status"] == "in-progress"
    assert draft["subject"] == {"reference": f"Patient/{STORY}"}
    assert _references(draft, "qr-coverage") == [f"Coverage/{STORY}-coverage"]
    assert _references(draft, "qr-context") == [f"MedicationRequest/{BY_ID[STORY].order['id']}"]
    (use,) = [one["valueCodeableConcept"] for one in draft["extension"] if one["url"] == f"{PROFILES}/intendedUse"]
    assert use["coding"][0]["code"] == "withpa"


def _references(draft: Json, name: str) -> list[str]:
    url = f"{PROFILES}/{name}"
    return [one["valueReference"]["reference"] for one in draft["extension"] if one["url"] == url]


def test_an_older_client_is_answered_in_dtr_2_0_1(endpoint: Endpoint) -> None:
    """PackageBundle, one extension for coverage and order, and `auto` without saying on which side."""
    client = endpoint(dialect="2.0.1")
    ((_, draft),) = packages(answer(post(client, asked_for(STORY))), "PackageBundle")
    assert len(_references(draft, "qr-context")) == 2
    assert _references(draft, "qr-coverage") == []
    assert _origins(draft) == {"auto"}


def test_every_filled_in_answer_says_where_it_comes_from(endpoint: Endpoint, service: Service) -> None:
    """`auto-server`: by the payer, and by no person (DTR spec-65)."""
    ((_, draft),) = packages(answer(post(endpoint(known(service, STORY)), asked_for(STORY, context=CONTEXT))))
    assert len(answers(draft)) > 10
    assert _origins(draft) == {"auto-server"}


def _origins(draft: Json) -> set[str]:
    given = [one for group in draft["item"] for item in group.get("item", []) for one in item["answer"]]
    extensions = [one["extension"] for one in given]
    assert all(len(found) == 1 and found[0]["url"] == f"{PROFILES}/information-origin" for found in extensions)
    return {found[0]["extension"][0]["valueCode"] for found in extensions}


def test_a_context_alone_is_enough(endpoint: Endpoint, service: Service) -> None:
    """The assertion knows its order."""
    body = parameters(("coverage", coverage_of(STORY)), ("context", CONTEXT))
    ((_, draft),) = packages(answer(post(endpoint(known(service, STORY)), body)))
    assert _references(draft, "qr-context") == [f"MedicationRequest/{BY_ID[STORY].order['id']}"]


def test_a_context_whose_facts_were_not_kept_gets_its_form(endpoint: Endpoint, service: Service) -> None:
    """Then only what was sent is filled in."""
    without = replace(known(service, STORY), facts=None)
    ((_, draft),) = packages(answer(post(endpoint(without), asked_for(STORY, context=CONTEXT))))
    assert set(answers(draft)) == {"q.dx"}


@pytest.mark.parametrize("said", [Outcome.CRITERIA_MET, Outcome.POLICY_NOT_APPLICABLE])
def test_a_context_that_asks_for_nothing_says_so(endpoint: Endpoint, service: Service, said: Outcome) -> None:
    """No form, and a note that none is needed (DTR oper-8)."""
    found = known(service, STORY)
    client = endpoint(replace(found, outcome=said))
    body = parameters(("coverage", coverage_of(STORY)), ("context", CONTEXT))
    answered = answer(post(client, body))
    assert packages(answered) == []
    assert issues(answered) == [("information", "informational")]


def test_a_context_that_asks_for_nothing_says_so_even_of_an_order_that_cannot_be_read(
    endpoint: Endpoint, service: Service
) -> None:
    """The answer that is known stands beside the warning; nothing failed."""
    found = known(service, STORY)
    client = endpoint(replace(found, outcome=Outcome.CRITERIA_MET))
    order = order_of(STORY, medicationCodeableConcept=None, medicationReference={"reference": "Medication/elsewhere"})
    body = parameters(("coverage", coverage_of(STORY)), ("order", order), ("context", CONTEXT))
    assert issues(answer(post(client, body))) == [("information", "informational"), ("warning", "not-found")]


def test_an_unknown_context_beside_an_order_is_a_warning(forms: FlaskClient) -> None:
    """The order still gets its form."""
    found = answer(post(forms, asked_for(STORY, context="ca-unknown")))
    assert len(packages(found)) == 1
    assert issues(found) == [("warning", "not-found")]


def test_an_unknown_form_beside_a_known_one_is_a_warning(forms: FlaskClient) -> None:
    """What is there comes, what is not is named as missing (DTR oper-9)."""
    found = answer(post(forms, asked_for(STORY, questionnaire=f"{PUBLIC}/fhir/Questionnaire/other")))
    assert len(packages(found)) == 1
    assert issues(found) == [("warning", "not-found")]


@pytest.mark.parametrize(
    ("since", "count"),
    [
        ("2020-01-01T00:00:00Z", 1),
        ("2026-11-24T11:59:59.5Z", 1),
        ("2026-11-24T12:00:00Z", 0),
        ("2030-01-01T00:00:00+01:00", 0),
    ],
)
def test_only_what_has_changed_since_is_sent(forms: FlaskClient, since: str, count: int) -> None:
    """Nothing new since that moment: 200, a note, and no package."""
    found = answer(post(forms, asked_for(STORY, changedsince=since)))
    assert len(packages(found)) == count
    if not count:
        assert issues(found) == [("information", "informational")]


def test_a_form_can_be_asked_for_at_its_own_address(forms: FlaskClient) -> None:
    """The address names the form; the coverage is still needed."""
    path = "/fhir/Questionnaire/pharmacy-109-hemgenix/$questionnaire-package"
    ((form, _),) = packages(answer(post(forms, parameters(("coverage", coverage_of(STORY))), path)))
    assert form["url"] == HEMGENIX


# Refusals


def _changed(**members: Any) -> Json:
    return {**deepcopy(coverage_of(STORY)), **members}


ORDER = ("order", BY_ID[STORY].order)
COVERAGE = ("coverage", coverage_of(STORY))


@pytest.mark.parametrize(
    ("status", "code", "body"),
    [
        (400, "required", parameters(ORDER)),
        (400, "required", parameters(COVERAGE)),
        (400, "structure", parameters(COVERAGE, COVERAGE, ORDER)),
        (400, "structure", parameters(("coverage", BY_ID[STORY].order), ORDER)),
        (400, "structure", parameters(("coverage", "Coverage/x"), ORDER)),
        (400, "structure", parameters(COVERAGE, ("order", coverage_of(STORY)))),
        (400, "structure", parameters(COVERAGE, ("order", None))),
        (400, "structure", parameters(COVERAGE, ("questionnaire", 7))),
        (400, "structure", parameters(COVERAGE, ("context", {}))),
        (400, "structure", parameters(COVERAGE, ("context", "a"), ("context", "b"))),
        (400, "value", parameters(COVERAGE, ORDER, ("changedsince", "yesterday"))),
        (400, "value", parameters(COVERAGE, ORDER, ("changedsince", "2026-01-01"))),
        (400, "required", parameters(("coverage", _changed(id=None)), ORDER)),
        (400, "required", parameters(("coverage", _changed(beneficiary=None)), ORDER)),
        (400, "required", parameters(("coverage", _changed(beneficiary={"reference": "Group/g"})), ORDER)),
        (400, "structure", BY_ID[STORY].order),
        (400, "structure", []),
        (400, "structure", {"resourceType": "Parameters", "parameter": {}}),
        (400, "structure", {"resourceType": "Parameters", "parameter": [None]}),
        (404, "not-found", parameters(COVERAGE, ("questionnaire", f"{PUBLIC}/fhir/Questionnaire/none"))),
        (404, "not-found", parameters(COVERAGE, ("questionnaire", f"{HEMGENIX}|1999-01-01"))),
        (404, "not-found", parameters(COVERAGE, ("context", "ca-unknown"))),
    ],
)
def test_what_cannot_be_answered_is_refused(forms: FlaskClient, status: int, code: str, body: Any) -> None:
    """With a status, and an OperationOutcome that says what was expected."""
    issue = outcome(post(forms, body), status)
    assert (issue["severity"], issue["code"]) == ("error", code)
    assert issue["diagnostics"]


def test_an_order_for_a_drug_without_policy_is_refused(forms: FlaskClient) -> None:
    """There is no form for it."""
    story = next(found for found in BY_ID.values() if found.expected_outcome is None)
    assert outcome(post(forms, asked_for(story)), 422)["code"] == "business-rule"


def test_a_coverage_of_another_patient_is_refused(forms: FlaskClient) -> None:
    """One patient's form is not filled in under another's coverage, and neither is named."""
    body = parameters(("coverage", coverage_of("demo-hemgenix-met")), ORDER)
    issue = outcome(post(forms, body), 422)
    assert "demo-" not in issue["diagnostics"]


def test_facts_of_nobody_in_particular_are_not_filled_in(endpoint: Endpoint, service: Service) -> None:
    """Where the patient could not be read, it cannot be told whose they are."""
    found = known(service, STORY)
    assert found.facts is not None
    client = endpoint(replace(found, facts=replace(found.facts, person=None)))
    ((_, draft),) = packages(answer(post(client, asked_for(STORY, context=CONTEXT))))
    assert set(answers(draft)) == {"q.dx"}


def test_a_context_of_another_patient_is_refused(endpoint: Endpoint, service: Service) -> None:
    """What is known of one patient is not shown for another."""
    client = endpoint(known(service, "demo-hemgenix-met"))
    assert outcome(post(client, asked_for(STORY, context=CONTEXT)), 422)["code"] == "business-rule"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"resourceType":"Parameters","resourceType":"Parameters"}'])
def test_what_is_not_plain_json_is_refused(forms: FlaskClient, body: bytes) -> None:
    """Like everywhere in this service."""
    assert outcome(post(forms, body), 400)["code"] == "structure"


def test_a_body_of_another_type_is_refused(forms: FlaskClient) -> None:
    """415 for XML."""
    outcome(post(forms, b"<Parameters/>", PACKAGE, content_type="application/fhir+xml"), 415)


def test_a_body_that_is_too_long_is_refused(forms: FlaskClient) -> None:
    """413, before it is read."""
    outcome(post(forms, b" " * 2_000_001 + encode({})), 413)
