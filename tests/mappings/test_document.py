"""Documents and reports to notes."""

import base64
from typing import Any

import pytest
from mapping_samples import CODES, of_patient, record

from cds_service.policy.facts import Note
from fhir_mappings.document import ATTACHMENT_CHARACTERS, read_notes, sentences

SAID = "There was no prior gene therapy."


def text_attachment(text: str, **members: Any) -> list[dict[str, Any]]:
    data = base64.b64encode(text.encode()).decode()
    return [{"attachment": {"contentType": "text/plain; charset=utf-8", "data": data, **members}}]


def document(**members: Any) -> dict[str, Any]:
    return of_patient("DocumentReference", "d1", **{"status": "current", "date": "2026-03-04T05:06:07Z", **members})


def notes(*resources: Any) -> tuple[Note, ...]:
    return read_notes(record(*resources), CODES)


def test_a_sentence_of_a_text_attachment_is_a_note() -> None:
    """Only the sentence that says it, with the document and its date."""
    text = f"Seen today. {SAID} Plan: refer."
    (found,) = notes(document(type={"text": "Consult note"}, content=text_attachment(text)))
    assert (found.sets, found.reference) == ({"statement.none"}, "DocumentReference/d1")
    assert found.display == f"Consult note of 2026-03-04: “{SAID}”"
    assert found.date is not None


@pytest.mark.parametrize(
    "members",
    [
        {"description": SAID},
        {"type": {"text": SAID}},
        {"category": [{"text": SAID}]},
        {"content": [{"attachment": {"title": SAID}}]},
    ],
)
def test_what_a_document_says_of_itself_counts(members: dict[str, Any]) -> None:
    """Description, type, category and title."""
    assert [found.sets for found in notes(document(**members))] == [{"statement.none"}]


@pytest.mark.parametrize(
    "members",
    [
        {"status": "superseded"},
        {"status": "entered-in-error"},
        {"docStatus": "entered-in-error"},
        {"docStatus": "preliminary"},
    ],
)
def test_a_document_that_does_not_stand_says_nothing(members: dict[str, Any]) -> None:
    """Superseded, in error, or not signed."""
    assert notes(document(description=SAID, **members)) == ()


def test_the_conclusion_of_a_final_report_is_a_note() -> None:
    """Amended and corrected reports too, preliminary ones not."""
    report = of_patient(
        "DiagnosticReport", "r1", code={"text": "Consult"}, conclusion=SAID, effectiveDateTime="2026-01"
    )
    assert [found.display for found in notes({**report, "status": "final"})] == [f"Consult of 2026-01: “{SAID}”"]
    assert notes({**report, "status": "preliminary"}) == ()


def test_an_attachment_elsewhere_is_not_followed() -> None:
    """Only text that is in the record is read."""
    content = [{"attachment": {"contentType": "text/plain", "url": "https://elsewhere.example/note.txt"}}]
    assert notes(document(content=content)) == ()


@pytest.mark.parametrize("data", ["not base64!", 5, "A" * (2 * ATTACHMENT_CHARACTERS)])
def test_text_that_cannot_be_read_is_counted_as_broken(data: object) -> None:
    """It may hold a statement."""
    held = record(document(content=[{"attachment": {"contentType": "text/plain", "data": data}}]))
    assert read_notes(held, CODES) == ()
    assert held.broken == {"notes": ["DocumentReference/d1"]}


def test_text_beyond_the_share_of_a_chart_is_unread() -> None:
    """A chart of endless notes cannot hold up the answer, and is not said to be read."""
    long = text_attachment("word " * 13_000)
    held = record(*({**document(content=long), "id": f"d{number}"} for number in range(10)))
    read_notes(held, CODES)
    assert held.unread == {"notes"}


def test_a_wrapped_line_is_one_sentence() -> None:
    """`no prior` and `gene therapy` belong together."""
    assert list(sentences("There was no\nprior gene therapy.\nNext")) == ["There was no prior gene therapy.", "Next"]


def test_a_line_stands_under_its_heading() -> None:
    """Below "Family history:" a sentence is not the patient's."""
    text = "Family history:\n- Brother has inhibitors\n- Father well\n\nAssessment: stable"
    assert list(sentences(text)) == [
        "Family history: - Brother has inhibitors",
        "Family history: - Father well",
        "Assessment: stable",
    ]


@pytest.mark.parametrize(
    "junk", [5, "x", [5], ["x"], {"a": 1}, None, [{"attachment": 5}], [{"attachment": {"title": 5}}]]
)
def test_members_of_the_wrong_type_never_raise(junk: Any) -> None:
    """One bad member costs itself only."""
    bad = document(**dict.fromkeys(("type", "category", "content", "date", "docStatus"), junk), description=SAID)
    assert len(notes(bad)) == 1
