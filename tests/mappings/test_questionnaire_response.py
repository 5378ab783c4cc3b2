"""Answered forms to answers."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from mapping_samples import of_patient, record

from cds_service.policy.dates import day_span
from cds_service.policy.facts import Interval, exactly
from fhir_mappings.questionnaire_response import Answers, read_answers

FORM = "https://plan.example/fhir/Questionnaire/form"


def item(link_id: str, **value: Any) -> dict[str, Any]:
    return {"linkId": link_id, "answer": [value]}


def response(*items: Any, own_id: str = "a", authored: str = "2026-10-01", **members: Any) -> dict[str, Any]:
    return of_patient(
        "QuestionnaireResponse",
        own_id,
        **{"status": "completed", "questionnaire": f"{FORM}|1", "authored": authored, "item": list(items), **members},
    )


def answers(*responses: Any, together: dict[str, str] | None = None) -> Answers:
    return read_answers(record(*responses), [FORM], together or {})


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ({"valueBoolean": False}, False),
        ({"valueInteger": 3}, 3),
        ({"valueString": "twice"}, "twice"),
        ({"valueCoding": {"code": "positive", "display": "Positive"}}, "positive"),
        ({"valueDate": "2026-09-08"}, day_span(date(2026, 9, 8))),
        ({"valueDecimal": Decimal("1.20")}, exactly(Decimal("1.20"))),
        ({"valueQuantity": {"value": Decimal("1.2"), "unit": "%"}}, exactly(Decimal("1.2"))),
        ({"valueQuantity": {"value": 1, "comparator": "<"}}, Interval(Decimal(0), Decimal(1), high_open=True)),
        ({"valueQuantity": {"value": 1, "comparator": ">="}}, Interval(Decimal(1), None)),
        ({"valueAttachment": {"data": "AAAA"}}, True),
        ({"valueAttachment": {"title": "empty"}}, False),
    ],
)
def test_each_type_of_answer_is_read(value: dict[str, Any], read: object) -> None:
    """With a reference to the item itself."""
    found = answers(response(item("q.x", **value))).by_link["q.x"]
    assert found.value == read
    assert type(found.value) is type(read)
    assert found.reference == "QuestionnaireResponse/a#q.x"
    assert found.authored == day_span(date(2026, 10, 1))


def test_a_display_says_question_answer_and_day() -> None:
    """With the digits and the unit of the source."""
    asked = {
        **item("q.x", valueQuantity={"value": Decimal("1.20"), "comparator": "<", "unit": "%"}),
        "text": "Lowest activity",
    }
    found = answers(response(asked))
    assert found.by_link["q.x"].display == "Lowest activity: <1.20 % (answered 2026-10-01)"
    assert found.quantities["q.x"]["unit"] == "%"


def test_nested_items_are_found() -> None:
    """In groups and below answers."""
    deep = {"linkId": "q.y", "answer": [{"valueBoolean": True, "item": [item("q.z", valueInteger=1)]}]}
    assert set(answers(response({"linkId": "g", "item": [deep]})).by_link) == {"q.y", "q.z"}


@pytest.mark.parametrize(
    "members",
    [
        {"status": "in-progress"},
        {"status": "entered-in-error"},
        {"status": "stopped"},
        {"status": 5},
        {"subject": {"reference": "Patient/p2"}},
        {"questionnaire": "https://other.example/fhir/Questionnaire/form"},
        {"questionnaire": f"{FORM}-2"},
        {"questionnaire": None},
    ],
)
def test_only_finished_answers_of_this_patient_to_this_form_count(members: dict[str, Any]) -> None:
    """Another status, patient or form is nothing."""
    assert answers(response(item("q.x", valueBoolean=True), **members)).by_link == {}


@pytest.mark.parametrize("canonical", [FORM, f"{FORM}|1", f"{FORM}|2020-01-01"])
def test_any_version_of_the_form_counts(canonical: str) -> None:
    """With and without a version."""
    assert answers(response(item("q.x", valueBoolean=True), questionnaire=canonical)).by_link


def test_the_newest_response_wins_item_by_item() -> None:
    """What it leaves out comes from the one before."""
    old = response(item("q.x", valueBoolean=False), item("q.y", valueInteger=2), own_id="old", authored="2026-01-01")
    new = response(item("q.x", valueBoolean=True), own_id="new", authored="2026-02-01T09:00:00Z", status="amended")
    found = answers(old, new).by_link
    assert (found["q.x"].reference, found["q.y"].reference) == (
        "QuestionnaireResponse/new#q.x",
        "QuestionnaireResponse/old#q.y",
    )


def test_a_value_never_gets_the_date_of_another_response() -> None:
    """Value, date and report come from one response."""
    old = response(
        item("q.x", valueInteger=1),
        item("q.x.date", valueDate="2025-01-01"),
        item("q.x_stage", valueInteger=4),
        own_id="old",
        authored="2025-02-01",
    )
    new = response(item("q.x", valueInteger=2), own_id="new", authored="2026-02-01")
    assert "q.x.date" not in answers(old, new).by_link
    assert "q.x_stage" not in answers(old, new, together={"q.x_stage": "q.x"}).by_link
    assert "q.x_stage" in answers(old, new).by_link


@pytest.mark.parametrize(
    "answer",
    [5, "yes", [5], [{}], [{"valueBoolean": "yes"}], [{"valueQuantity": {"value": "1"}}], {"valueBoolean": True}],
)
def test_an_answer_that_cannot_be_read_is_counted_as_broken(answer: object) -> None:
    """The other items of the form count."""
    held = record(response({"linkId": "q.x", "answer": answer}, item("q.y", valueBoolean=True), "x", 5))
    assert set(read_answers(held, [FORM], {}).by_link) == {"q.y"}
    assert held.broken == {"answers": ["QuestionnaireResponse/a"]}


def test_an_item_without_answer_is_no_answer() -> None:
    """Shown and left empty."""
    held = record(response({"linkId": "q.x"}, {"linkId": "q.y", "answer": []}))
    assert (read_answers(held, [FORM], {}).by_link, held.broken) == ({}, {})
