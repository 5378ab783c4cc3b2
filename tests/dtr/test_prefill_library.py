"""The Library by which DTR clients fill in the form themselves."""

import base64
import json
import shutil
from pathlib import Path

import fhirkit
import pytest
from asking import Endpoint, Json, answer, asked_for, contents, flat, outcome, post
from fhir.resources.R4B import get_fhir_model_class
from flask.testing import FlaskClient
from msgspec.structs import replace
from signing import BODY, PUBLIC, TODAY

from cds_service.app import POLICIES, load_knowledge
from cds_service.dtr.forms import Form, Forms
from cds_service.dtr.prefill_library import Prefill, compiled_files, to_compile
from hooks.service import Service
from hooks.wire import encode

CORE = "http://hl7.org/fhir/StructureDefinition"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition"
ALTERNATIVE = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/alternativeExpression"
DRUGS = pytest.mark.parametrize("drug", ["hemgenix", "roctavian"])


def form_of(service: Service, drug: str = "hemgenix") -> tuple[Form, Prefill]:
    """The drug's form and what fills it in."""
    forms = Forms(service.library, service.vocabulary.labs, PUBLIC, BODY).every()
    form = next(found for found in forms if found.policy.source.drug == drug)
    assert form.filled_in_by is not None
    return form, form.filled_in_by


def written(library: Json) -> tuple[str, Json]:
    """CQL and ELM of a Library."""
    content = {one["contentType"]: base64.b64decode(one["data"]).decode() for one in library["content"]}
    return content["text/cql"], json.loads(content["application/elm+json"])["library"]


@DRUGS
def test_the_compiled_files_are_of_the_policy(service: Service, drug: str) -> None:
    """A change of the policy, a value set or the lab table asks for `make elm`."""
    form, _ = form_of(service, drug)
    file, _ = compiled_files(POLICIES, form.policy.source)
    wanted = to_compile(form.policy, service.library, service.vocabulary.labs)
    assert wanted is not None
    assert file.read_text(encoding="utf-8") == wanted.text


@DRUGS
def test_the_library_holds_cql_and_elm(service: Service, drug: str) -> None:
    """DTR spec-92, spec-93, spec-95, spec-99: both in `content.data`, CQL in the context of a patient."""
    form, filled = form_of(service, drug)
    cql, elm = written(filled.resource)
    assert f"library {filled.resource['name']} version '{form.version}'" in cql
    assert "\ncontext Patient\n" in cql
    assert elm["identifier"] == {"id": filled.resource["name"], "version": form.version}
    assert {one["context"] for one in elm["statements"]["def"]} == {"Patient"}


@DRUGS
def test_every_item_that_is_filled_in_names_a_statement_of_the_library(service: Service, drug: str) -> None:
    """By identifier (DTR spec-86), with the same as ELM beside it (spec-96)."""
    form, filled = form_of(service, drug)
    _, elm = written(filled.resource)
    statements = {one["name"] for one in elm["statements"]["def"]}
    named = {}
    for link, item in flat(form.questionnaire["item"]).items():
        for one in item.get("extension", []):
            if one["url"] == f"{SDC}/sdc-questionnaire-initialExpression":
                said = one["valueExpression"]
                assert said["language"] == "text/cql-identifier"
                (also,) = said["extension"]
                assert also["url"] == ALTERNATIVE
                reference = json.loads(also["valueExpression"]["expression"])
                own = filled.resource["name"]
                assert reference == {"type": "ExpressionRef", "name": said["expression"], "libraryName": own}
                named[link] = said["expression"]
    assert named == filled.statements
    assert set(named.values()) <= statements
    assert {"q.dx", "q.baseline", "q.platelets", "q.platelets.date", "q.hbv", "q.hiv", "q.liver"} <= named.keys()


@DRUGS
def test_the_form_refers_to_its_library_with_the_version(service: Service, drug: str) -> None:
    """DTR spec-87, oper-16."""
    form, filled = form_of(service, drug)
    extensions = form.questionnaire["extension"]
    libraries = [one["valueCanonical"] for one in extensions if one["url"] == f"{CORE}/cqf-library"]
    assert libraries == [filled.canonical] == [f"{PUBLIC}/fhir/Library/pharmacy-109-{drug}-prefill|2025-11-20"]


def test_choices_are_written_in_the_code_system_of_this_service(service: Service) -> None:
    """Whatever address it was compiled for."""
    _, filled = form_of(service)
    cql, elm = written(filled.resource)
    systems = {one["name"]: one["id"] for one in elm["codeSystems"]["def"]}
    assert systems["answers"] == f"{PUBLIC}/fhir/CodeSystem/pharmacy-109-answers"
    assert f"codesystem \"answers\": '{systems['answers']}'" in cql


@DRUGS
def test_only_what_the_policy_asks_for_is_read(service: Service, drug: str) -> None:
    """Each requirement has its codes (DTR sec-3): never every problem, never every result."""
    form, filled = form_of(service, drug)
    for requirement in filled.resource["dataRequirement"]:
        assert requirement["type"] in ("Condition", "Observation")
        (codes,) = [one["code"] for one in requirement["codeFilter"]]
        assert codes
    assert "[Observation]" not in written(filled.resource)[0]
    assert "[Condition]" not in written(filled.resource)[0]
    assert len(filled.resource["dataRequirement"]) <= len(form.policy.tests) + len(form.policy.sets)


def test_the_library_comes_with_the_package(forms: FlaskClient) -> None:
    """After the form and its draft (DTR oper-12)."""
    ((form, draft, library),) = contents(answer(post(forms, asked_for("demo-labs-missing"))))
    assert [one["resourceType"] for one in (form, draft, library)] == [
        "Questionnaire",
        "QuestionnaireResponse",
        "Library",
    ]
    assert f"{library['url']}|{library['version']}" in [one.get("valueCanonical") for one in form["extension"]]


def test_the_library_is_valid_fhir(service: Service) -> None:
    """Two models of FHIR R4 take it."""
    body = encode(form_of(service)[1].resource)
    assert [str(issue) for issue in fhirkit.validate(body)] == []
    get_fhir_model_class("Library").model_validate_json(body)


@pytest.mark.parametrize("name", ["pharmacy-109-hemgenix-prefill", "pharmacy-109-hemgenix-prefill|2025-11-20"])
def test_the_library_is_read_at_its_address(forms: FlaskClient, name: str) -> None:
    """With its version or without; another version is not there."""
    assert answer(forms.get(f"/fhir/Library/{name}"))["resourceType"] == "Library"
    outcome(forms.get("/fhir/Library/pharmacy-109-hemgenix-prefill|1999-01-01"), 404)


def test_files_of_another_policy_are_not_served(service: Service, tmp_path: Path) -> None:
    """A policy that was changed without compiling has a form without expressions, not with stale ones."""
    folder = tmp_path / "policies"
    shutil.copytree(POLICIES, folder)
    file = folder / "pharmacy-109/hemgenix/2025-11-20.yaml"
    file.write_text(file.read_text("utf-8").replace("min: 0, max: 3000", "min: 0, max: 2999"), "utf-8")
    changed = load_knowledge(folder)
    found = {
        form.policy.source.drug: form.filled_in_by is not None
        for form in Forms(changed.library, changed.labs, PUBLIC, BODY).every()
    }
    assert found == {"hemgenix": False, "roctavian": True}


def test_a_form_without_library_is_packed_alone(endpoint: Endpoint, service: Service, tmp_path: Path) -> None:
    """Policies of a folder where nothing was compiled."""
    folder = tmp_path / "policies"
    shutil.copytree(POLICIES, folder, ignore=shutil.ignore_patterns("*.elm.json"))
    library = load_knowledge(folder).library
    client = endpoint(service=replace(service, library=library))
    ((form, _),) = contents(answer(post(client, asked_for("demo-labs-missing"))))
    assert f"{CORE}/cqf-library" not in [one["url"] for one in form["extension"]]


@pytest.mark.parametrize("change", ["", "{}", '{"library": '])
def test_a_file_that_changed_after_the_start_fills_in_nothing(change: str, tmp_path: Path) -> None:
    """It is of another policy than the one that was read then, or of none."""
    folder = tmp_path / "policies"
    shutil.copytree(POLICIES, folder)
    known = load_knowledge(folder)
    forms = Forms(known.library, known.labs, PUBLIC, BODY)
    (folder / "pharmacy-109/hemgenix/2025-11-20.elm.json").write_text(change, "utf-8")
    assert {form.policy.source.drug: form.filled_in_by is not None for form in forms.every()} == {
        "hemgenix": False,
        "roctavian": True,
    }


@pytest.mark.parametrize("written", ['{"library": ', "{}", "[]", '{"library": {"codeSystems": {"def": [1]}}}'])
def test_what_is_no_elm_is_not_served(written: str, tmp_path: Path) -> None:
    """The form is there all the same."""
    folder = tmp_path / "policies"
    shutil.copytree(POLICIES, folder)
    (folder / "pharmacy-109/hemgenix/2025-11-20.elm.json").write_text(written, "utf-8")
    known = load_knowledge(folder)
    form = Forms(known.library, known.labs, PUBLIC, BODY).at("pharmacy-109-hemgenix", TODAY)
    assert form is not None
    assert form.filled_in_by is None
