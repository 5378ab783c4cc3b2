"""What the published profiles ask for where DTR 2.0.1 and 2.2 differ, and what their validator once found here.

DTR 2.0.1 with SDC 3.0.0 was validated with HL7's validator; each finding has its test. No package of DTR 2.2 is to be
had, so its clauses are cited.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from asking import Endpoint, Json, answer, asked_for, contents, flat, post

DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition"
STORY = "demo-labs-missing"
ONLY_IN_2_2 = {f"{DTR}/{name}" for name in ("questionnaireAudience", "request-specific", "alternativeExpression")}


def package_in(endpoint: Endpoint, version: str) -> tuple[Json, Json, Json]:
    """Form, draft and library for a client that speaks that version."""
    name = "PackageBundle" if version == "2.0.1" else "packagebundle"
    ((form, draft, library),) = contents(answer(post(endpoint(dialect=version), asked_for(STORY))), name)
    return form, draft, library


def extensions(found: Any) -> Iterator[Json]:
    """Every extension, however deep."""
    if isinstance(found, list):
        for one in found:
            yield from extensions(one)
    elif isinstance(found, dict):
        yield from found.get("extension", [])
        for value in found.values():
            yield from extensions(value)


def languages(form: Json) -> set[str]:
    """The languages of the form's expressions, alternatives left aside."""
    urls = f"{SDC}/sdc-questionnaire-initialExpression"
    return {
        one["valueExpression"]["language"]
        for item in flat(form["item"]).values()
        for one in item.get("extension", [])
        if one["url"] == urls
    }


def test_a_form_of_2_0_1_has_no_extension_of_a_later_version(endpoint: Endpoint) -> None:
    """Its package defines neither audience nor request-specific nor an alternative expression."""
    form, _, _ = package_in(endpoint, "2.0.1")
    assert ONLY_IN_2_2.isdisjoint(one["url"] for one in extensions(form))


def test_a_form_of_2_0_1_names_its_expressions_in_a_language_of_r4(endpoint: Endpoint) -> None:
    """`text/cql-identifier` is not among the codes of R4: the statement stands with its library, as CQL."""
    form, _, library = package_in(endpoint, "2.0.1")
    assert languages(form) == {"text/cql"}
    said = [one["valueExpression"]["expression"] for one in extensions(form) if "valueExpression" in one]
    assert said
    assert all(one.startswith(f'"{library["name"]}".') for one in said)


def test_a_form_of_2_2_has_audience_and_identifiers_with_elm(endpoint: Endpoint) -> None:
    """DTR 2.2 spec-86 and spec-96; audience and request-specific are must-support there."""
    form, _, _ = package_in(endpoint, "2.2")
    assert {one["url"] for one in extensions(form)} >= ONLY_IN_2_2
    assert languages(form) == {"text/cql-identifier"}


@pytest.mark.parametrize("version", ["2.2", "2.0.1"])
def test_the_type_of_the_library_is_fixed_with_its_display(endpoint: Endpoint, version: str) -> None:
    """The SDC profile of Library fixes the Coding with all its members."""
    _, _, library = package_in(endpoint, version)
    system = "http://terminology.hl7.org/CodeSystem/library-type"
    fixed = {"system": system, "code": "logic-library", "display": "Logic Library"}
    assert library["type"]["coding"] == [fixed]


@pytest.mark.parametrize("version", ["2.2", "2.0.1"])
def test_a_package_is_form_draft_and_libraries_alone(endpoint: Endpoint, version: str) -> None:
    """The slices of the Bundle are closed, and the form is first (dtrb-1)."""
    kinds = [one["resourceType"] for one in package_in(endpoint, version)]
    assert kinds == ["Questionnaire", "QuestionnaireResponse", "Library"]


@pytest.mark.parametrize("version", ["2.2", "2.0.1"])
def test_a_draft_refers_to_the_version_that_is_packed(endpoint: Endpoint, version: str) -> None:
    """DTR 2.2 spec-122, oper-16."""
    form, draft, _ = package_in(endpoint, version)
    assert draft["questionnaire"] == f"{form['url']}|{form['version']}"


def test_a_filled_in_answer_has_no_author(endpoint: Endpoint) -> None:
    """Invariant dtrx-1: an author is prohibited where nobody changed the answer."""
    _, draft, _ = package_in(endpoint, "2.2")
    origins = [one for one in extensions(draft) if one["url"] == f"{DTR}/information-origin"]
    assert origins
    assert all([part["url"] for part in one["extension"]] == ["source"] for one in origins)


def test_the_form_is_read_in_the_version_that_the_client_speaks(endpoint: Endpoint) -> None:
    """By read and by search, as in the package."""
    client = endpoint(dialect="2.0.1")
    (found,) = answer(client.get("/fhir/Questionnaire?_id=pharmacy-109-hemgenix"))["entry"]
    for form in (answer(client.get("/fhir/Questionnaire/pharmacy-109-hemgenix")), found["resource"]):
        assert ONLY_IN_2_2.isdisjoint(one["url"] for one in extensions(form))
