"""The form that is built from a policy."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import fhirkit
import pytest
from asking import HEMGENIX, Json, flat
from fhir.resources.R4B import get_fhir_model_class
from msgspec.structs import replace
from signing import BODY, PUBLIC

from cds_service.dtr.forms import Forms
from cds_service.dtr.questionnaire import questionnaire
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.kept import keep
from cds_service.policy.library import Library
from hooks.service import Service
from hooks.wire import encode

CORE = "http://hl7.org/fhir/StructureDefinition"
DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition"

# linkId → type: what the outside relies on
BOTH = {
    **dict.fromkeys(("q.hematologist", "q.htc", "q.baseline.below", "q.lth", "q.prophylaxis"), "boolean"),
    **dict.fromkeys(("q.convenience", "q.inhibitor_history", "q.prior_gene_therapy", "q.other_coag"), "boolean"),
    **dict.fromkeys(("q.hematologist.name", "q.htc.name", "q.lth.detail", "q.bleeds.detail"), "string"),
    "q.prophylaxis.detail": "string",
    "q.reason": "text",
    "q.bleeds": "integer",
    **dict.fromkeys(("q.baseline", "q.cd4", "q.platelets", "q.liver"), "quantity"),
    **dict.fromkeys(("q.dx", "q.aav5", "q.inhibitor", "q.hbv", "q.hcv", "q.hiv", "q.liver_stage"), "choice"),
}
RESULTS = ("q.baseline", "q.aav5", "q.inhibitor", "q.hbv", "q.hcv", "q.hiv", "q.cd4", "q.platelets", "q.liver")
WITH_REPORTS = {
    f"{link}.{part}": kind for link in RESULTS for part, kind in (("date", "date"), ("report", "attachment"))
}
HEMGENIX_ALONE = {"q.exposure_days": "integer"}
UNITS = {"q.baseline": "%", "q.cd4": "/uL", "q.platelets": "10*9/L", "q.liver": "kPa"}
CHOICES = {
    "q.dx": ["congenital-a", "congenital-b", "acquired", "other"],
    "q.aav5": ["positive", "negative", "not-done"],
    "q.inhibitor": ["positive", "negative"],
    "q.hbv": ["negative", "active"],
    "q.hcv": ["negative", "active"],
    "q.hiv": ["negative", "positive"],
    "q.liver_stage": ["F0", "F1", "F2", "F3", "F4"],
}
DRUGS = pytest.mark.parametrize("drug", ["hemgenix", "roctavian"])


def policy_of(service: Service, drug: str) -> CompiledPolicy:
    """The policy in force for the drug."""
    return next(found for found in service.library.policies if found.source.drug == drug)


def form_of(service: Service, drug: str = "hemgenix") -> Json:
    """The drug's form."""
    return questionnaire(policy_of(service, drug), service.vocabulary.labs, PUBLIC, BODY)


def items_of(service: Service, drug: str = "hemgenix") -> dict[str, Json]:
    """The form's items by linkId."""
    return flat(form_of(service, drug)["item"])


def extension(item: Json, url: str) -> Any:
    """The value of the item's one extension of that URL; None where it has none."""
    found = [one for one in item.get("extension", []) if one["url"] == url]
    if not found:
        return None
    (only,) = found
    return next(value for name, value in only.items() if name.startswith("value"))


def conditions(item: Json) -> Iterator[tuple[str, str, Any]]:
    """Each `enableWhen`: the question, the operator, and the answer or its code."""
    for one in item.get("enableWhen", []):
        answer = next(value for name, value in one.items() if name.startswith("answer"))
        yield one["question"], one["operator"], answer.get("code") if isinstance(answer, dict) else answer


@DRUGS
def test_the_form_has_the_agreed_questions_with_their_types(service: Service, drug: str) -> None:
    """Every linkId that an answer counts under is there, with its type, and no other."""
    asked = {link: item["type"] for link, item in items_of(service, drug).items() if link.startswith("q.")}
    assert asked == {**BOTH, **WITH_REPORTS, **(HEMGENIX_ALONE if drug == "hemgenix" else {})}


@DRUGS
def test_the_form_is_a_valid_questionnaire(service: Service, drug: str) -> None:
    """Two models of FHIR R4 take it without complaint."""
    written = encode(form_of(service, drug))
    assert [str(issue) for issue in fhirkit.validate(written)] == []
    get_fhir_model_class("Questionnaire").model_validate_json(written)


@DRUGS
def test_the_form_is_named_by_its_policy_and_version(service: Service, drug: str) -> None:
    """URL, version, subject and profile are what a DTR client looks a form up by."""
    form = form_of(service, drug)
    assert form["url"] == f"{PUBLIC}/fhir/Questionnaire/pharmacy-109-{drug}"
    assert (form["version"], form["status"], form["subjectType"]) == ("2025-11-20", "active", ["Patient"])
    assert form["meta"]["profile"] == ["http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/dtr-std-questionnaire"]


@DRUGS
def test_each_question_stands_under_the_paragraph_that_asks_for_it(service: Service, drug: str) -> None:
    """A group for each criterion with questions, which opens with the policy's own words."""
    policy = policy_of(service, drug).source
    quoted = {criterion.id: criterion.paragraph for criterion in policy.criteria}
    for group in form_of(service, drug)["item"]:
        assert group["type"] == "group"
        assert quoted[group["prefix"]] in group["item"][0]["text"]
        assert group["item"][0]["type"] == "display"
        asked = {item["linkId"] for item in group["item"][1:]}
        assert asked
        assert asked <= {link for found in policy.criteria if found.id == group["prefix"] for link in found.questions}


@DRUGS
def test_no_link_id_is_used_twice(service: Service, drug: str) -> None:
    """A question of two criteria is asked once."""

    def link_ids(items: list[Json]) -> Iterator[str]:
        for item in items:
            yield item["linkId"]
            yield from link_ids(item.get("item", []))

    found = list(link_ids(form_of(service, drug)["item"]))
    assert len(found) == len(set(found))


@pytest.mark.parametrize(("link", "unit"), UNITS.items())
def test_a_number_is_asked_in_one_unit_and_inside_a_range(service: Service, link: str, unit: str) -> None:
    """The unit is UCUM, and the limits are in it."""
    item = items_of(service)[link]
    option = extension(item, f"{CORE}/questionnaire-unitOption")
    assert (option["system"], option["code"]) == ("http://unitsofmeasure.org", unit)
    for name in ("min", "max"):
        limit = extension(item, f"{SDC}/sdc-questionnaire-{name}Quantity")
        assert (limit["system"], limit["code"]) == ("http://unitsofmeasure.org", unit)


def test_a_count_has_limits(service: Service) -> None:
    """Bleeds and exposure days are whole numbers that cannot be negative."""
    for link in ("q.bleeds", "q.exposure_days"):
        assert extension(items_of(service)[link], f"{CORE}/minValue") == 0
        assert extension(items_of(service)[link], f"{CORE}/maxValue") > 150


@pytest.mark.parametrize(("link", "codes"), CHOICES.items())
def test_a_choice_offers_the_agreed_codes(service: Service, link: str, codes: list[str]) -> None:
    """Each with the service's own code system and a display."""
    options = [option["valueCoding"] for option in items_of(service)[link]["answerOption"]]
    assert [option["code"] for option in options] == codes
    assert {option["system"] for option in options} == {f"{PUBLIC}/fhir/CodeSystem/pharmacy-109-answers"}
    assert all(option["display"] for option in options)


@pytest.mark.parametrize("link", [link for link in RESULTS if link != "q.liver"])
def test_date_and_report_are_asked_only_for_a_result(service: Service, link: str) -> None:
    """They are shown by the result alone, and the day is then required: without it no result counts."""
    items = items_of(service)
    for part in ("date", "report"):
        item = items[f"{link}.{part}"]
        assert {asked for asked, _, _ in conditions(item)} == {link}
        assert item.get("required", False) is (part == "date")


def test_a_test_that_was_not_done_has_no_date(service: Service) -> None:
    """Only a positive or negative AAV5 test shows the date."""
    assert set(conditions(items_of(service)["q.aav5.date"])) == {
        ("q.aav5", "=", "positive"),
        ("q.aav5", "=", "negative"),
    }


def test_stiffness_or_stage_shows_the_date_of_the_liver_test(service: Service) -> None:
    """The two share one date and report, and either shows it."""
    item = items_of(service)["q.liver.date"]
    assert {asked for asked, _, _ in conditions(item)} == {"q.liver", "q.liver_stage"}
    assert item["enableBehavior"] == "any"


@pytest.mark.parametrize(
    ("link", "condition"),
    [
        ("q.exposure_days", ("q.prophylaxis", "=", True)),
        ("q.hematologist.name", ("q.hematologist", "=", True)),
        ("q.lth.detail", ("q.lth", "=", True)),
        ("q.bleeds.detail", ("q.bleeds", ">", 0)),
        ("q.bleeds", ("q.lth", "!=", True)),
        ("q.cd4", ("q.hiv", "!=", "negative")),
    ],
)
def test_a_question_is_shown_only_where_it_matters(
    service: Service, link: str, condition: tuple[str, str, Any]
) -> None:
    """What an earlier answer makes needless is not asked (DTR spec-17)."""
    assert list(conditions(items_of(service)[link])) == [condition]


@DRUGS
def test_a_condition_looks_at_a_question_of_the_form(service: Service, drug: str) -> None:
    """No item hangs on one that is not there, nor on an answer that cannot be given."""
    items = items_of(service, drug)
    for item in items.values():
        for asked, _, answer in conditions(item):
            offered = [option["valueCoding"]["code"] for option in items[asked].get("answerOption", [])]
            assert not offered or answer in offered


@DRUGS
def test_an_item_code_is_a_verified_loinc_code(service: Service, drug: str) -> None:
    """Only codes of the lab table, with the display that was verified there."""
    labs = service.vocabulary.labs
    verified = {c.code: c.display for test in labs.tests.values() for c in test.codes if c.status == "verified"}
    coded = {link: code for link, item in items_of(service, drug).items() for code in item.get("code", [])}
    assert {"q.baseline", "q.cd4", "q.platelets", "q.hiv"} <= coded.keys()
    for code in coded.values():
        assert (code["system"], code["display"]) == ("http://loinc.org", verified[code["code"]])


def test_help_stands_below_its_question(service: Service) -> None:
    """In plain words, as a display item with the help control."""
    (help_item,) = items_of(service)["q.bleeds"]["item"]
    assert help_item["type"] == "display"
    assert "Serious" in help_item["text"]
    assert extension(help_item, f"{CORE}/questionnaire-itemControl")["coding"][0]["code"] == "help"


def test_the_launch_context_names_patient_and_user(service: Service) -> None:
    """What the expressions of the form may use (SDC launchContext)."""
    launched = [
        {part["url"]: next(v for n, v in part.items() if n.startswith("value")) for part in one["extension"]}
        for one in form_of(service)["extension"]
        if one["url"] == f"{SDC}/sdc-questionnaire-launchContext"
    ]
    assert [(one["name"]["code"], one["type"]) for one in launched] == [
        ("patient", "Patient"),
        ("user", "Practitioner"),
    ]


def test_a_group_can_be_closed_and_is_open_at_first(service: Service) -> None:
    """Nothing is hidden (DTR sec-4); what the record proves is closed by whoever reads it (SDC collapsible)."""
    form = form_of(service)
    assert {extension(group, f"{SDC}/sdc-questionnaire-collapsible") for group in form["item"]} == {"default-open"}
    assert not [item for item in flat(form["item"]).values() if extension(item, f"{CORE}/questionnaire-hidden")]


def test_the_form_says_whom_it_asks_and_that_each_order_has_its_own(service: Service) -> None:
    """DTR 2.2 questionnaireAudience and request-specific."""
    form = form_of(service)
    assert extension(form, f"{DTR}/questionnaireAudience") == "clinical"
    assert extension(form, f"{DTR}/request-specific") is True


@pytest.fixture
def two_versions(service: Service) -> Forms:
    """The forms of a library with a second, later Hemgenix version."""
    (policy,) = (found for found in service.library.policies if found.source.drug == "hemgenix")
    later = CompiledPolicy(replace(policy.source, version=date(2027, 3, 1)))
    library = Library((*service.library.versions, keep(later)), service.library.value_sets, service.library.systems)
    return Forms(library, service.vocabulary.labs, PUBLIC, BODY)


def test_an_old_version_stays_readable(two_versions: Forms) -> None:
    """By its versioned canonical, with the last day on which it was in force."""
    for version, period in (
        ("2025-11-20", {"start": "2025-11-20", "end": "2027-02-28"}),
        ("2027-03-01", {"start": "2027-03-01"}),
    ):
        form = two_versions.find(f"{HEMGENIX}|{version}", date(2027, 6, 1))
        assert form is not None
        assert form.questionnaire["version"] == version
        assert form.questionnaire["effectivePeriod"] == period


@pytest.mark.parametrize(("day", "version"), [(date(2027, 2, 28), "2025-11-20"), (date(2027, 3, 1), "2027-03-01")])
def test_without_a_version_the_form_in_force_is_meant(two_versions: Forms, day: date, version: str) -> None:
    """The version changes with the day, not before."""
    form = two_versions.find(HEMGENIX, day)
    assert form is not None
    assert form.version == version
