"""Record systems that are broken or hostile, and requests that no page of ours makes: a clear page, nothing done."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import requests
from sign_in import PDF, Browser, OtherEhr, Reply
from signing import BASE, PUBLIC, outcomes
from test_form import answers_of, newest, sign

from cds_service.smart.attachments import read_report
from hooks.wire import encode

Files = dict[str, tuple[bytes, str]]


@pytest.mark.parametrize(
    "context",
    [
        "[]",
        '"text"',
        "7",
        "[" * 100_000,
        '{"order": {"order": "x"}}',
        '{"order": "MedicationRequest/1", "order": "MedicationRequest/2"}',
        '{"order": "MedicationRequest/../Patient/1"}',
        '{"order": "MedicationRequest/1?_include=*"}',
        '{"order": "javascript:alert(1)"}',
        '{"coverage": "//evil.example/Coverage/1"}',
        '{"coverage": "Coverage/1\\r\\nX: y"}',
    ],
)
def test_a_context_that_no_card_had_is_refused(browser: Browser, other_ehr: OtherEhr, context: str) -> None:
    """What an EHR hands on came through others' hands: not JSON, not an object, not a reference of this record."""
    other_ehr.token = {"appContext": context}
    page = browser.get(browser.sign_in(browser.launch()))
    assert page.status_code == 400
    assert "The form could not be opened" in page.get_data(as_text=True)
    assert not any("evil" in asked or "_include" in asked for asked in other_ehr.asked)


@pytest.mark.parametrize(
    "canonical", ["<script>alert(1)</script>", "x" * 100_000, "https://evil.example/Questionnaire/1"]
)
def test_a_form_of_someone_else_is_not_fetched(browser: Browser, other_ehr: OtherEhr, canonical: str) -> None:
    """A canonical is compared with the plan's own and never read."""
    other_ehr.context["questionnaire"] = canonical
    back = browser.get(browser.sign_in(browser.launch()))
    page = browser.get(back.headers["Location"])
    assert page.status_code == 404
    assert "<script>alert" not in page.get_data(as_text=True)
    assert not any("evil" in asked for asked in other_ehr.asked)


@pytest.mark.parametrize("lasts", [10**30, -5, "3600", 1.5, True, None])
def test_a_lifetime_that_makes_no_sense_is_no_lifetime(browser: Browser, other_ehr: OtherEhr, lasts: object) -> None:
    """The form opens; without a sign of the person it ends all the same."""
    other_ehr.token = {"expires_in": lasts}
    assert "Documentation for Hemgenix" in browser.open()


@pytest.mark.parametrize("mimetype", ["application/json", "text/plain", ""])
def test_what_is_no_form_writes_nothing(browser: Browser, other_ehr: OtherEhr, mimetype: str) -> None:
    """A body of another kind has no proof that it is the page's."""
    browser.open()
    body = encode({**browser.fields(), "action": "complete"})
    response = browser.client.post(browser.page, data=body, content_type=mimetype, base_url=PUBLIC)
    assert response.status_code == 403
    assert response.mimetype == "text/html"
    assert other_ehr.written == []


def test_a_thousand_fields_are_a_page(browser: Browser, other_ehr: OtherEhr) -> None:
    """They are not even read."""
    browser.open()
    response = browser.send("save", {f"q.{number}": "x" for number in range(1000)})
    assert response.status_code == 413
    assert other_ehr.written == []


def with_answers_of_another(other_ehr: OtherEhr, subject: dict[str, Any]) -> None:
    """Has the EHR hand out a completed form with everything on it, and this subject, in every search for forms."""
    attached = {"valueAttachment": {"url": "DocumentReference/x"}}
    answers = {
        "q.aav5": {"valueCoding": {"code": "negative"}},
        "q.aav5.date": {"valueDate": "2026-10-01"},
        "q.aav5.report": attached,
        "q.reason": {"valueString": "what another patient's doctor wrote"},
    }
    form = {
        "resourceType": "QuestionnaireResponse",
        "id": "of-another",
        "questionnaire": other_ehr.context["questionnaire"],
        "status": "completed",
        "authored": "2026-11-23T10:00:00Z",
        "item": [{"linkId": name, "answer": [value]} for name, value in answers.items()],
        **subject,
    }
    given = OtherEhr.answer

    def answer(request: requests.PreparedRequest) -> Reply:
        if request.method == "GET" and "/QuestionnaireResponse" in str(request.url):
            bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": form}]}
            return 200, {"Content-Type": "application/fhir+json"}, encode(bundle)
        return given(other_ehr, request)

    other_ehr.answer = answer  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "subject", [{"subject": {"reference": "Patient/other"}}, {"subject": {"display": "someone"}}, {}]
)
def test_a_form_of_another_patient_is_not_shown_and_does_not_count(
    told: Any, form_app: Any, subject: dict[str, Any]
) -> None:
    """An EHR whose search finds too much: what is not this patient's is left out."""
    ehr = OtherEhr(told["demo-three-reports"])
    with_answers_of_another(ehr, subject)
    with ehr.serve():
        browser = Browser(form_app.test_client(), ehr)
        html = browser.open()
        assert "another patient" not in html
        assert browser.fields().get("q.aav5") == ""
        assert outcomes(sign(browser, ehr)) == ["documentation-missing"]


@pytest.mark.parametrize(
    "reply",
    [
        (302, {"Location": "https://evil.example/DocumentReference/1"}, b""),
        (201, {"Location": "https://evil.example/DocumentReference/1"}, b""),
        (201, {"Location": f"{BASE}/Patient/1"}, b""),
        (201, {}, encode({"resourceType": "DocumentReference", "id": "../../x"})),
        (201, {}, encode({"resourceType": "Patient", "id": "1"})),
        (201, {}, b"<html>"),
        (500, {}, b""),
    ],
)
def test_a_report_counts_as_kept_only_where_it_is_known_to_be(
    told: Any, form_app: Any, three: dict[str, str], reports: Files, reply: Reply
) -> None:
    """Whatever the EHR says instead: no address of another server gets into the form, which holds the report itself."""
    ehr = OtherEhr(told["demo-three-reports"])
    given = OtherEhr.answer

    def answer(request: requests.PreparedRequest) -> Reply:
        is_report = request.method == "POST" and str(request.url).endswith("/DocumentReference")
        return reply if is_report else given(ehr, request)

    ehr.answer = answer  # type: ignore[method-assign]
    with ehr.serve():
        browser = Browser(form_app.test_client(), ehr)
        browser.open()
        assert browser.send("complete", three, reports).status_code == 303
        attached = answers_of(newest(ehr))["q.aav5.report"]["valueAttachment"]
        assert "url" not in attached
        assert attached["data"]


def test_a_chart_that_cannot_be_read_is_a_page(told: Any, form_app: Any) -> None:
    """Nothing is guessed from what is not there."""
    ehr = OtherEhr(told["demo-three-reports"])
    given = OtherEhr.answer

    def answer(request: requests.PreparedRequest) -> Reply:
        return (500, {}, b"") if str(request.url).startswith(f"{BASE}/Patient") else given(ehr, request)

    ehr.answer = answer  # type: ignore[method-assign]
    with ehr.serve():
        browser = Browser(form_app.test_client(), ehr)
        back = browser.get(browser.sign_in(browser.launch()))
        page = browser.get(back.headers["Location"])
        assert page.status_code == 502
        assert "could not be read" in page.get_data(as_text=True)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("x" * 300 + ".pdf", "x" * 74 + "….pdf"),
        ("a\u202efdp.\u0000exe.pdf", None),
        ("C:\\scans\\inhibitor 2026.PDF", "inhibitor 2026.PDF"),
        ("<b>report</b>.pdf", None),
        ("Bericht für Müller.pdf", "Bericht für Müller.pdf"),
    ],
)
def test_a_file_s_name_is_made_harmless(name: str, title: str | None) -> None:
    """Its folder goes, as does what cannot be seen; a long one is cut before its ending."""
    found = read_report(name, PDF, Decimal(1)).title
    assert len(found) <= 80
    assert found.isprintable()
    assert "/" not in found
    assert "\u202e" not in found
    assert title is None or found == title
