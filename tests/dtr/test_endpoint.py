"""The FHIR endpoint: what is there, who may call, and what every error looks like."""

from datetime import date
from typing import Any
from unittest.mock import Mock, call

import fhirkit
import pytest
from asking import HEMGENIX, PACKAGE, VERSIONED, Endpoint, Json, answer, asked_for, outcome, parameters, post
from fhir.resources.R4B import get_fhir_model_class
from flask import Flask
from flask.testing import FlaskClient
from msgspec.structs import replace
from signing import PUBLIC

from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.kept import keep
from cds_service.policy.library import Library
from hooks.refusals import Refusal
from hooks.service import Caller, Service

LOG = "/fhir/Questionnaire/$log-questionnaire-errors"
FORM = "/fhir/Questionnaire/pharmacy-109-hemgenix"
DX = f"{PUBLIC}/fhir/ValueSet/pharmacy-109-hemgenix.q.dx"
TROUBLE = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "not-found", "diagnostics": "Mrs. Example has no platelets"}],
}


def test_the_service_has_the_endpoint(app: Flask) -> None:
    """Under `/fhir` of the service itself."""
    assert app.test_client().get("/fhir/metadata").status_code == 200


def test_the_capability_statement_is_a_payer_service_of_dtr(forms: FlaskClient) -> None:
    """FHIR 4.0.1, with the operations that the guide asks of a payer."""
    found = answer(forms.get("/fhir/metadata"))
    assert (found["resourceType"], found["fhirVersion"], found["kind"]) == ("CapabilityStatement", "4.0.1", "instance")
    operations = {op["name"] for resource in found["rest"][0]["resource"] for op in resource.get("operation", [])}
    assert operations == {"questionnaire-package", "log-questionnaire-errors", "expand"}
    assert found["instantiates"] == ["http://hl7.org/fhir/us/davinci-dtr/CapabilityStatement/dtr-payer-service"]


@pytest.mark.parametrize(
    "path",
    [
        "/fhir/metadata",
        FORM,
        "/fhir/Questionnaire",
        "/fhir/CodeSystem/pharmacy-109-answers",
        "/fhir/ValueSet/pharmacy-109-hemgenix.q.dx",
        f"/fhir/ValueSet/$expand?url={DX}",
    ],
)
def test_what_is_read_is_valid_fhir(forms: FlaskClient, path: str) -> None:
    """Two models of FHIR R4 take it."""
    found = answer(forms.get(path))
    written = forms.get(path).data
    assert [str(issue) for issue in fhirkit.validate(written)] == []
    get_fhir_model_class(found["resourceType"]).model_validate_json(written)


@pytest.mark.parametrize("path", [FORM, f"{FORM}|2025-11-20", f"{FORM}%7C2025-11-20"])
def test_a_form_is_read_at_its_canonical(forms: FlaskClient, path: str) -> None:
    """With its version or without."""
    assert answer(forms.get(path))["url"] == HEMGENIX


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", ["pharmacy-109-hemgenix", "pharmacy-109-roctavian"]),
        (f"?url={HEMGENIX}", ["pharmacy-109-hemgenix"]),
        (f"?url={HEMGENIX}&version=2025-11-20", ["pharmacy-109-hemgenix"]),
        (f"?url={VERSIONED}", ["pharmacy-109-hemgenix"]),
        ("?_id=pharmacy-109-roctavian", ["pharmacy-109-roctavian"]),
        (f"?url={HEMGENIX}&version=1999-01-01", []),
        ("?url=https://other.example/Questionnaire/x", []),
        (f"?url={HEMGENIX},{PUBLIC}/fhir/Questionnaire/pharmacy-109-roctavian|1999-01-01", ["pharmacy-109-hemgenix"]),
        ("?_id=pharmacy-109-roctavian,other", ["pharmacy-109-roctavian"]),
        ("?_id=pharmacy-109-roctavian&version=1999-01-01,2025-11-20", ["pharmacy-109-roctavian"]),
        ("?version=2025-11-20", ["pharmacy-109-hemgenix", "pharmacy-109-roctavian"]),
        ("?status=draft,active", ["pharmacy-109-hemgenix", "pharmacy-109-roctavian"]),
        ("?status=retired", []),
    ],
)
def test_forms_are_searched_for(forms: FlaskClient, query: str, ids: list[str]) -> None:
    """A searchset with what fits; nothing that fits is no error."""
    found = answer(forms.get(f"/fhir/Questionnaire{query}"))
    assert (found["type"], found["total"]) == ("searchset", len(ids))
    assert sorted(entry["resource"]["id"] for entry in found.get("entry", [])) == ids


def test_a_search_may_be_posted(forms: FlaskClient) -> None:
    """As a form, as FHIR has it."""
    found = answer(forms.post("/fhir/Questionnaire/_search", data={"url": VERSIONED}))
    assert [entry["resource"]["id"] for entry in found["entry"]] == ["pharmacy-109-hemgenix"]


REFERRED = {
    "Library": f"{PUBLIC}/fhir/Library/pharmacy-109-hemgenix-prefill",
    "ValueSet": DX,
    "CodeSystem": f"{PUBLIC}/fhir/CodeSystem/pharmacy-109-answers",
}


@pytest.mark.parametrize(("kind", "url"), REFERRED.items())
def test_what_a_form_refers_to_is_found_by_its_canonical(forms: FlaskClient, kind: str, url: str) -> None:
    """With its version or without, by its id, posted or not; another version is not there, and a bad search is told."""
    found = answer(forms.get(f"/fhir/{kind}?url={url}|2025-11-20"))
    assert [entry["resource"] for entry in found["entry"]] == [answer(forms.get(url.removeprefix(PUBLIC)))]
    assert [str(issue) for issue in fhirkit.validate(forms.get(f"/fhir/{kind}?url={url}").data)] == []
    for query in (f"url={url}", f"url={url}&version=2025-11-20", f"_id={url.rpartition('/')[2]}&status=active"):
        assert answer(forms.get(f"/fhir/{kind}?{query}")) | {"link": []} == found | {"link": []}
    assert answer(forms.post(f"/fhir/{kind}/_search", data={"url": url}))["entry"] == found["entry"]
    for query in (f"url={url}|1999-01-01", f"url={url}&version=1999-01-01", "_id=none", "status=retired"):
        assert answer(forms.get(f"/fhir/{kind}?{query}"))["total"] == 0
    assert answer(forms.get(f"/fhir/{kind}"))["total"] > 0
    refused = forms.get(f"/fhir/{kind}?colour=red", headers={"Prefer": "handling=strict"})
    assert outcome(refused, 400)["code"] == "not-supported"


@pytest.mark.parametrize("kind", ["Questionnaire", *REFERRED])
def test_searches_are_stated(forms: FlaskClient, kind: str) -> None:
    """In the CapabilityStatement, type by type, with their parameters."""
    (stated,) = (one for one in answer(forms.get("/fhir/metadata"))["rest"][0]["resource"] if one["type"] == kind)
    assert {"code": "search-type"} in stated["interaction"]
    assert {one["name"] for one in stated["searchParam"]} == {"_id", "url", "version", "status"}


def test_a_search_by_url_finds_every_version(endpoint: Endpoint, service: Service) -> None:
    """One that names a version finds that one, and one that names neither finds what is in force."""
    (policy,) = (found for found in service.library.policies if found.source.drug == "hemgenix")
    later = CompiledPolicy(replace(policy.source, version=date(2026, 11, 1)))
    library = Library((*service.library.versions, keep(later)), service.library.value_sets, service.library.systems)
    client = endpoint(service=replace(service, library=library))
    for query, versions in (
        (f"url={HEMGENIX}", ["2025-11-20", "2026-11-01"]),
        (f"url={HEMGENIX}&version=2025-11-20", ["2025-11-20"]),
        (f"url={VERSIONED}", ["2025-11-20"]),
        ("_id=pharmacy-109-hemgenix", ["2026-11-01"]),
    ):
        found = answer(client.get(f"/fhir/Questionnaire?{query}"))
        assert [entry["resource"]["version"] for entry in found["entry"]] == versions
    assert answer(client.get(f"{FORM}|2025-11-20"))["version"] == "2025-11-20"
    assert answer(client.get(FORM))["version"] == "2026-11-01"


def test_a_strict_search_refuses_what_it_does_not_know(forms: FlaskClient) -> None:
    """`Prefer: handling=strict` (FHIR R4, search errors)."""
    response = forms.get("/fhir/Questionnaire?colour=red", headers={"Prefer": "handling=strict"})
    assert outcome(response, 400)["code"] == "not-supported"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/fhir/Questionnaire/none", 404),
        ("GET", f"{FORM}|1999-01-01", 404),
        ("GET", "/fhir/Patient/x", 404),
        ("GET", "/fhir/ValueSet/none", 404),
        ("GET", "/fhir/CodeSystem/none", 404),
        ("GET", "/fhir/ValueSet/$expand?url=https://other.example/x", 404),
        ("GET", f"/fhir/ValueSet/$expand?url={DX}|1999-01-01", 404),
        ("GET", "/fhir/ValueSet/$expand", 400),
        ("GET", f"/fhir/ValueSet/$expand?url={DX}&count=-1", 400),
        ("GET", f"/fhir/ValueSet/$expand?url={DX}&offset=x", 400),
        ("PUT", FORM, 405),
        ("GET", PACKAGE, 405),
        ("GET", LOG, 405),
        ("GET", f"{FORM}?_format=xml", 406),
        ("DELETE", "/fhir/Questionnaire", 405),
        ("POST", "/fhir/Questionnaire/none/$questionnaire-package", 404),
    ],
)
def test_every_error_is_an_operation_outcome(forms: FlaskClient, method: str, path: str, status: int) -> None:
    """And never an empty answer or a page."""
    outcome(forms.open(path, method=method), status)


def test_only_json_is_spoken(forms: FlaskClient) -> None:
    """A client that takes XML alone is told so; one that takes anything is answered."""
    outcome(forms.get(FORM, headers={"Accept": "application/fhir+xml"}), 406)
    for accepted in ("application/fhir+json", "application/fhir+json;q=0.9, application/json", "*/*", "application/*"):
        answer(forms.get(FORM, headers={"Accept": accepted}))


class _Closed:
    """Nobody may call."""

    def identify(self, authorization: str | None, path: str) -> Caller:
        """Refuses, with the path that the token would be for."""
        raise Refusal(401, "login", path)

    def ready(self) -> bool:
        """True."""
        return True


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", FORM),
        ("GET", "/fhir/Questionnaire"),
        ("POST", "/fhir/Questionnaire/_search"),
        ("GET", "/fhir/Library"),
        ("POST", "/fhir/ValueSet/_search"),
        ("GET", "/fhir/CodeSystem"),
        ("GET", "/fhir/Library/pharmacy-109-hemgenix-prefill"),
        ("GET", "/fhir/ValueSet/pharmacy-109-hemgenix.q.dx"),
        ("GET", "/fhir/CodeSystem/pharmacy-109-answers"),
        ("GET", "/fhir/ValueSet/$expand"),
        ("POST", "/fhir/ValueSet/$expand"),
        ("GET", "/fhir/ValueSet/x/$expand"),
        ("POST", PACKAGE),
        ("POST", f"{FORM}/$questionnaire-package"),
        ("POST", LOG),
    ],
)
def test_a_caller_without_a_token_gets_nothing(endpoint: Endpoint, method: str, path: str) -> None:
    """Whatever is asked for, and before the body is looked at; the token is for this very path."""
    assert outcome(endpoint(callers=_Closed()).open(path, method=method), 401)["diagnostics"] == path


def test_the_capability_statement_needs_no_token(endpoint: Endpoint) -> None:
    """It is how a client learns what it needs."""
    answer(endpoint(callers=_Closed()).get("/fhir/metadata"))


def test_a_value_set_is_expanded(forms: FlaskClient) -> None:
    """By GET, by POST and at its own address alike."""
    posted = parameters()
    posted["parameter"] = [{"name": "url", "valueUri": DX}]
    for response in (
        forms.get(f"/fhir/ValueSet/$expand?url={DX}"),
        post(forms, posted, "/fhir/ValueSet/$expand"),
        forms.get("/fhir/ValueSet/pharmacy-109-hemgenix.q.dx/$expand"),
    ):
        contained = answer(response)["expansion"]["contains"]
        assert [one["code"] for one in contained] == ["congenital-a", "congenital-b", "acquired", "other"]
        assert {one["system"] for one in contained} == {f"{PUBLIC}/fhir/CodeSystem/pharmacy-109-answers"}


@pytest.mark.parametrize(
    ("query", "codes"),
    [
        ("&filter=CONGENITAL", ["congenital-a", "congenital-b"]),
        ("&count=1", ["congenital-a"]),
        ("&offset=3", ["other"]),
        ("&offset=1&count=2", ["congenital-b", "acquired"]),
        ("&filter=nothing", []),
    ],
)
def test_an_expansion_can_be_narrowed_and_paged(forms: FlaskClient, query: str, codes: list[str]) -> None:
    """With the total of all that fit."""
    expansion = answer(forms.get(f"/fhir/ValueSet/$expand?url={DX}{query}"))["expansion"]
    assert [one["code"] for one in expansion.get("contains", [])] == codes
    assert expansion["total"] >= len(codes)


def test_every_choice_of_a_form_is_in_the_code_system(forms: FlaskClient) -> None:
    """So that what a form offers can be looked up."""
    known = {concept["code"] for concept in answer(forms.get("/fhir/CodeSystem/pharmacy-109-answers"))["concept"]}
    for entry in answer(forms.get("/fhir/Questionnaire"))["entry"]:
        for group in entry["resource"]["item"]:
            for item in group["item"]:
                assert {option["valueCoding"]["code"] for option in item.get("answerOption", [])} <= known


def reported(questionnaire: Any = VERSIONED, trouble: Any = TROUBLE) -> Json:
    """The parameters of a report."""
    return parameters(("questionnaire", questionnaire), ("operationOutcome", trouble))


def test_trouble_with_a_form_is_noted(endpoint: Endpoint) -> None:
    """The kind of trouble is logged; the text is not, for it may say what is in a chart."""
    log = Mock()
    found = answer(post(endpoint(log=log), reported(), LOG))
    assert [issue["severity"] for issue in found["issue"]] == ["information"]
    assert log.warning.call_args_list == [call("form trouble reported", kind="not-found")]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, parameters(("questionnaire", VERSIONED))),
        (400, parameters(("operationOutcome", TROUBLE))),
        (400, reported(trouble=None)),
        (400, reported(trouble={"resourceType": "OperationOutcome"})),
        (400, reported(trouble={"resourceType": "Patient"})),
        (400, reported(questionnaire=7)),
        (400, {"resourceType": "Parameters", "parameter": 1}),
        (400, {"resourceType": "Bundle"}),
        (404, reported(questionnaire="https://other.example/Questionnaire/x")),
    ],
)
def test_a_report_that_says_nothing_is_refused(forms: FlaskClient, status: int, body: Json) -> None:
    """A form of this service, and what went wrong."""
    outcome(post(forms, body, LOG), status)


@pytest.mark.parametrize(
    "body", [{}, [], {"resourceType": "Parameters"}, {"resourceType": "Parameters", "parameter": [1]}]
)
def test_an_expansion_of_nothing_is_refused(forms: FlaskClient, body: Any) -> None:
    """Parameters with a URL are expected."""
    outcome(post(forms, body, "/fhir/ValueSet/$expand"), 400)


def test_a_registered_client_is_spoken_to_in_its_version(endpoint: Endpoint) -> None:
    """The caller's own dialect stands above the service's."""

    class Old(_Closed):
        def identify(self, authorization: str | None, path: str) -> Caller:
            return Caller("old", "2.0.1")

    found = answer(post(endpoint(callers=Old()), asked_for("demo-labs-missing")))
    assert [one["name"] for one in found["parameter"]] == ["PackageBundle"]
