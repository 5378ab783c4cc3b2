"""The sample patients: valid FHIR, complete charts, dates that stay true, and nothing of the order in the chart."""

import base64
from collections.abc import Iterator
from datetime import date
from typing import Any

import fhirkit
import pytest
from fhir.resources import R4B

from cds_service.demo.store import Store, decode_json, encode_json
from cds_service.demo.stories import Story, load, stories

TODAY = date(2026, 11, 24)
STORIES = stories(TODAY, "http://127.0.0.1:8000")
BY_ID = {story.id: story for story in STORIES}
OUTCOMES = {
    "policy-not-applicable",
    "criteria-not-met",
    "documentation-missing",
    "undetermined",
    "needs-review",
    "criteria-met",
    None,
}


def chart(story_id: str, resource_type: str) -> list[dict[str, Any]]:
    return [resource for resource in BY_ID[story_id].resources if resource["resourceType"] == resource_type]


def result(story_id: str, name: str) -> dict[str, Any]:
    return next(found for found in chart(story_id, "Observation") if found["id"] == f"{story_id}-{name}")


def answers(story_id: str) -> dict[str, Any]:
    (form,) = chart(story_id, "QuestionnaireResponse")
    return {item["linkId"]: next(iter(item["answer"][0].values())) for item in form["item"]}


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.id)
def test_every_resource_is_valid_r4(story: Story) -> None:
    """Two validators find nothing in any resource of any story."""
    for resource in (*story.resources, story.order):
        body = encode_json(resource)
        assert [str(issue) for issue in fhirkit.validate(body)] == [], resource["id"]
        R4B.get_fhir_model_class(resource["resourceType"]).model_validate_json(body)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.id)
def test_every_reference_leads_to_a_resource(story: Story) -> None:
    """What a chart or an order refers to is in the chart."""
    known = {f"{resource['resourceType']}/{resource['id']}" for resource in story.resources}
    assert set(references([*story.resources, story.order])) <= known


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.id)
def test_the_order_is_a_draft_that_is_not_in_the_chart(story: Story) -> None:
    """An order about to be signed cannot be read from the server yet."""
    assert story.order["status"] == "draft"
    assert story.order["intent"] == "order"
    assert story.order["authoredOn"] == TODAY.isoformat()
    assert story.order["id"] not in {resource["id"] for resource in story.resources}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.id)
def test_no_date_lies_in_the_future(story: Story) -> None:
    """Nothing in a chart has happened after the day that the demo starts."""
    tomorrow = "2026-11-25"
    dates = [
        value
        for resource in story.resources
        for name, value in resource.items()
        if isinstance(value, str) and (name.endswith("DateTime") or name in ("issued", "authored", "date", "birthDate"))
    ]
    assert dates
    assert max(dates) < tomorrow


def test_at_least_fourteen_stories_with_all_outcomes() -> None:
    """Every outcome that an order can have is told by a story."""
    assert len(STORIES) >= 14
    assert {story.expected_outcome for story in STORIES} == OUTCOMES
    assert len(BY_ID) == len(STORIES)


def test_every_patient_is_plainly_invented() -> None:
    """Every family name is Example and every story id says demo."""
    for story in STORIES:
        (patient,) = (resource for resource in story.resources if resource["resourceType"] == "Patient")
        assert patient["name"][0]["family"] == "Example"
        assert story.id == patient["id"]
        assert story.id.startswith("demo-")


def test_one_day_late_is_three_months_and_a_day() -> None:
    """The stale platelet count lies one day before the window's last day."""
    assert result("demo-one-day-late", "platelets")["effectiveDateTime"].startswith("2026-08-23")


def test_a_late_count_stays_late_whenever_the_demo_starts() -> None:
    """On 31 May the window opens on 28 February, so the late count is of the 27th."""
    late = next(story for story in stories(date(2026, 5, 31), "http://x") if story.id == "demo-one-day-late")
    found = next(resource for resource in late.resources if resource["id"] == "demo-one-day-late-platelets")
    assert found["effectiveDateTime"].startswith("2026-02-27")


def test_limits_are_missed_by_a_hair() -> None:
    """Platelets are 49 and the untreated factor IX is 2.1 %."""
    assert result("demo-platelets-low", "platelets")["valueQuantity"]["value"] == 49
    assert str(result("demo-factor-above-limit", "baseline")["valueQuantity"]["value"]) == "2.1"


def test_the_child_is_sixteen() -> None:
    """The child turned 16 a hundred days ago."""
    (patient,) = chart("demo-sixteen", "Patient")
    assert patient["birthDate"] == "2010-08-16"


def test_answers_go_with_the_policy_form_of_the_drug() -> None:
    """The form's canonical has the public URL, the drug and the policy's version."""
    (form,) = chart("demo-roctavian-met", "QuestionnaireResponse")
    assert form["questionnaire"] == "http://127.0.0.1:8000/fhir/Questionnaire/pharmacy-109-roctavian|2025-11-20"
    assert form["status"] == "completed"


def test_history_answers_have_the_form_s_types() -> None:
    """Choices are codings, counts are integers, yes and no are booleans."""
    (form,) = chart("demo-hemgenix-met", "QuestionnaireResponse")
    typed = {item["linkId"]: next(iter(item["answer"][0])) for item in form["item"]}
    assert typed["q.dx"] == "valueCoding"
    assert typed["q.exposure_days"] == "valueInteger"
    assert typed["q.lth"] == "valueBoolean"
    assert typed["q.reason"] == "valueString"


def test_records_that_are_meant_to_agree_agree() -> None:
    """Where an inhibitor or a gene therapy is on record, the prescriber's answer says so too."""
    assert answers("demo-inhibitor-history")["q.inhibitor_history"] is True
    assert answers("demo-second-gene-therapy")["q.prior_gene_therapy"] is True
    assert answers("demo-on-demand")["q.prophylaxis"] is False
    assert "q.exposure_days" not in answers("demo-on-demand")


def test_notes_can_be_read() -> None:
    """A document holds its text."""
    note = chart("demo-hemgenix-met", "DocumentReference")[0]
    text = base64.b64decode(note["content"][0]["attachment"]["data"]).decode()
    assert text.startswith("Consultation at Example Hemophilia Treatment Center")


def test_loading_fills_the_store_and_sets_the_failures() -> None:
    """After loading, every chart can be read and one patient's results cannot be searched."""
    store = Store()
    load(store, STORIES)
    assert len(store.all_of("Patient")) == len(STORIES)
    assert store.is_failing("Observation", "demo-results-unreadable")
    assert not store.is_failing("Observation", "demo-hemgenix-met")


def test_loading_again_undoes_every_change() -> None:
    """What was added or deleted is as it was at the start."""
    store = Store()
    load(store, STORIES)
    store.add({"resourceType": "Observation", "status": "final"})
    store.remove("Patient", "demo-hemgenix-met")
    load(store, STORIES)
    assert len(store.all_of("Observation")) == sum(len(chart(story.id, "Observation")) for story in STORIES)
    assert store.get("Patient", "demo-hemgenix-met")["id"] == "demo-hemgenix-met"


def test_numbers_keep_their_digits() -> None:
    """A weight of 80.5 kg goes through JSON and back as 80.5."""
    weight = decode_json(encode_json(result("demo-hemgenix-met", "weight")))
    assert str(weight["valueQuantity"]["value"]) == "80.5"
