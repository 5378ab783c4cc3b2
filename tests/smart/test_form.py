"""The form itself: what the chart fills in, what is checked, what is written, and that the answers count."""

import re
from base64 import b64decode
from datetime import date, timedelta
from typing import Any

import pytest
from sign_in import FORM, PDF, Browser, OtherEhr
from signing import BASE, BODY, PUBLIC, context_of, criterion, outcomes

from cds_service.sieve import LEFT_OUT
from hooks.wire import decode, encode

Json = dict[str, Any]
Files = dict[str, tuple[bytes, str]]
DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition"


def sign(browser: Browser, ehr: OtherEhr) -> Json:
    """The plan's answer to the order, read from the EHR."""
    call = {
        "hook": "order-sign",
        "hookInstance": "5a1f4c4e-6c1f-4d6e-9a55-0d2a4c1c1d11",
        "fhirServer": BASE,
        "context": context_of(ehr.story.order),
    }
    response = browser.client.post(
        "/cds-services/order-sign-crd", data=encode(call), content_type="application/json", base_url=PUBLIC
    )
    found: Json = decode(response.data)
    return found


def answers_of(response: Json) -> dict[str, Json]:
    """linkId → answer."""
    return {item["linkId"]: item["answer"][0] for group in response["item"] for item in group.get("item", ())}


def newest(ehr: OtherEhr, kind: str = "QuestionnaireResponse") -> Json:
    """What was written last."""
    return [resource for resource in ehr.written if resource["resourceType"] == kind][-1]


def test_the_chart_fills_in_what_it_shows(browser: Browser) -> None:
    """What is proven is folded with its fact and date; every answer says where it comes from; the rest is asked."""
    html = browser.open()
    assert html.index("To be answered") < html.index('id="criterion-5"') < html.index("Already shown by the chart<")
    assert html.index("Already shown by the chart<") < html.index('id="criterion-8c"')
    assert "Platelets 212" in html
    assert "Filled in from the form of" in html
    assert browser.fields()["q.platelets"] == "212"
    assert "Documentation must be submitted confirming that the patient was screened" in html  # the paragraph


def test_the_page_says_what_is_missing(browser: Browser, three: dict[str, str]) -> None:
    """Each save brings it up to date; a result without its report is not enough."""
    assert "10 of 13 criteria are met; open: 5, 6, 8d" in browser.open()
    assert browser.send("save", three).status_code == 303
    html = browser.load()
    assert "Attach the report." in html
    assert "10 of 13 criteria are met" in html
    assert "Saved in the chart" in html
    assert "Saved in the chart" not in browser.load()  # said once


def test_the_answer_follows_what_is_typed(browser: Browser, other_ehr: OtherEhr, three: dict[str, str]) -> None:
    """The page's script asks with the fields as they are; nothing is kept, and the session stays as it was."""
    browser.open()
    reports = ["q.aav5.report", "q.inhibitor.report", "q.liver.report"]
    asked = browser.ask({**three, "chosen": reports[:2]})
    assert "12 of 13 criteria are met; open: 8d" in asked.get_data(as_text=True)
    assert "Attach the report." in asked.get_data(as_text=True)
    assert "Set-Cookie" not in asked.headers
    assert other_ehr.written == []
    all_met = browser.ask({**three, "q.reason": None, "chosen": reports}).get_data(as_text=True)
    assert "All of the plan’s criteria are met" in all_met
    wrong = browser.ask({**three, "q.liver": "5,1", "chosen": reports}).get_data(as_text=True)
    assert "open: 8d" in wrong


def test_the_answer_to_what_is_typed_is_for_the_page_alone(browser: Browser, other_ehr: OtherEhr) -> None:
    """Another site's request, another browser's, and one after the sign-in ran out get none."""
    browser.open()
    assert browser.ask({"csrf": "another"}).status_code == 403
    assert browser.ask({"q.unknown": "yes"}).status_code == 400
    other_ehr.is_expired = True
    assert browser.ask({}).status_code == 401
    browser.client._cookies.clear()
    assert browser.ask({}).status_code == 403


def test_completed_answers_count_at_the_next_signature(
    browser: Browser, other_ehr: OtherEhr, three: dict[str, str], reports: Files
) -> None:
    """Sign, fill in, sign again: every criterion is met, with the answer as evidence."""
    before = sign(browser, other_ehr)
    assert outcomes(before) == ["documentation-missing"]
    card = next(card for card in before["cards"] if "claim" in encode(card["source"]).decode())
    other_ehr.context = decode(card["links"][0]["appContext"].encode())
    browser.open()
    done = browser.send("complete", three, reports)
    assert done.status_code == 303
    page = browser.get(done.headers["Location"]).get_data(as_text=True)
    assert "Sign the order again" in page
    assert "All of the plan’s criteria are met" in page
    after = sign(browser, other_ehr)
    assert outcomes(after) == ["criteria-met"]
    (fact,) = criterion(after, "5")["evidence"]
    assert fact["reference"].startswith("QuestionnaireResponse/")
    assert fact["reference"].endswith("#q.aav5")


def test_the_response_is_shaped_as_dtr_asks(
    browser: Browser, other_ehr: OtherEhr, three: dict[str, str], reports: Files
) -> None:
    """Form with version, order and coverage, who answered what, and digits as they were typed."""
    browser.open()
    browser.send("complete", {**three, "q.reason": "Another reason"}, reports)
    response = newest(other_ehr)
    story = other_ehr.story
    assert (response["status"], response["questionnaire"]) == ("completed", FORM)
    assert response["meta"]["profile"] == [f"{DTR}/dtr-questionnaireresponse"]
    assert response["subject"] == {"reference": f"Patient/{story.id}"}
    assert response["author"] == {"reference": "Practitioner/demo-hazel", "display": "Hazel Example, MD"}
    by_url = {found["url"].rpartition("/")[2]: found for found in response["extension"]}
    assert by_url["qr-context"]["valueReference"] == {"reference": f"MedicationRequest/{story.order['id']}"}
    assert by_url["qr-coverage"]["valueReference"] == {"reference": f"Coverage/{story.id}-coverage"}
    assert by_url["intendedUse"]["valueCodeableConcept"]["coding"][0]["code"] == "withpa"
    answers = answers_of(response)
    assert str(answers["q.liver"]["valueQuantity"]["value"]) == "5.10"
    sources = {
        name: next(p["valueCode"] for p in answer["extension"][0]["extension"] if p["url"] == "source")
        for name, answer in answers.items()
    }
    assert (sources["q.dx"], sources["q.reason"], sources["q.aav5"]) == ("auto-server", "override", "manual")


def test_the_assertion_id_ties_card_form_and_response(browser: Browser, other_ehr: OtherEhr) -> None:
    """The id in the ledger and on the order is in the launch of the card, and stands in the response."""
    signed = sign(browser, other_ehr)
    card = next(card for card in signed["cards"] if "claim" in encode(card["source"]).decode())
    other_ehr.context = decode(card["links"][0]["appContext"].encode())
    browser.open()
    browser.send("save", {})
    value = newest(other_ehr)["identifier"]["value"]
    assert value == signed["cards"][0]["extension"]["drug-coverage.determination"]["assertionId"]
    assert value in encode(signed["systemActions"]).decode()


def test_an_assertion_id_that_is_none_is_left_out(browser: Browser, other_ehr: OtherEhr) -> None:
    """What an EHR hands on as one is taken only where it could be ours."""
    other_ehr.context["assertionId"] = "<script>alert(1)</script>"
    browser.open()
    browser.send("save", {})
    assert "identifier" not in newest(other_ehr)


def test_results_of_the_chart_are_not_said_again(
    browser: Browser, other_ehr: OtherEhr, three: dict[str, str], reports: Files
) -> None:
    """A result that the chart has counts as it stands there: on a form, without its report, it would count for less."""
    browser.open()
    browser.send("complete", three, reports)
    assert not {"q.hbv", "q.hiv", "q.platelets"} & answers_of(newest(other_ehr)).keys()


def test_reports_are_kept_in_the_chart(
    browser: Browser, other_ehr: OtherEhr, three: dict[str, str], reports: Files
) -> None:
    """Each file becomes a DocumentReference of the patient, and the answer names it."""
    browser.open()
    browser.send("complete", three, reports)
    documents = [one for one in other_ehr.written if one["resourceType"] == "DocumentReference"]
    assert len(documents) == 3
    assert all(one["subject"] == {"reference": f"Patient/{other_ehr.story.id}"} for one in documents)
    assert b64decode(documents[0]["content"][0]["attachment"]["data"]) == PDF
    url = answers_of(newest(other_ehr))["q.aav5.report"]["valueAttachment"]["url"]
    kept = other_ehr.store.get(*url.split("/"))
    assert kept["content"][0]["attachment"]["title"] == "aav5.pdf"


def test_a_form_is_left_and_gone_on_with(
    browser: Browser, other_ehr: OtherEhr, three: dict[str, str], reports: Files
) -> None:
    """Saved for later it is a draft that counts for nothing; opened again, it is all there, and completes in place."""
    browser.open()
    browser.send("save", three, reports)
    draft = newest(other_ehr)
    assert draft["status"] == "in-progress"
    assert outcomes(sign(browser, other_ehr)) == ["documentation-missing"]
    html = browser.open()
    assert "Attached: <strong>aav5.pdf</strong>" in html
    assert browser.fields()["q.liver"] == "5.10"
    browser.send("complete", {})
    completed = newest(other_ehr)
    assert completed["status"] == "completed"
    forms = other_ehr.store.all_of("QuestionnaireResponse")
    assert [one["status"] for one in forms] == ["completed", "completed"]  # the demo's own, and this one: no draft left
    assert outcomes(sign(browser, other_ehr)) == ["criteria-met"]


def test_a_report_is_taken_off(browser: Browser, other_ehr: OtherEhr, three: dict[str, str], reports: Files) -> None:
    """The tick beside it takes it off the form."""
    browser.open()
    browser.send("save", three, reports)
    browser.load()
    browser.send("save", {"remove:q.aav5.report": "yes"})
    assert "q.aav5.report" not in answers_of(newest(other_ehr))
    assert "q.liver.report" in answers_of(newest(other_ehr))


TOMORROW = (date.today() + timedelta(days=2)).isoformat()  # noqa: DTZ011 - two days on it is to come everywhere


@pytest.mark.parametrize(
    ("name", "typed", "advice"),
    [
        ("q.liver", "5,1", "Use a point"),
        ("q.liver", "5.1 kPa", "Leave the unit out"),
        ("q.liver", "101", "cannot be right"),
        ("q.platelets", "212000", "Enter a number from 0 to 3000 in × 10⁹/L; 212000 cannot be right"),
        ("q.liver", "-1", "Enter a number from 0 to 100"),
        ("q.liver", "1e400", "Enter a number"),
        ("q.liver", "NaN", "Enter a number"),
        ("q.bleeds", "2.5", "Enter a whole number"),
        ("q.bleeds", "99999999999999", "Enter a whole number"),
        ("q.aav5", "maybe", "Choose one of the answers"),
        ("q.htc", "true", "Choose yes or no"),
        ("q.aav5.date", TOMORROW, "still to come"),
        ("q.aav5.date", "11/24/2026", "year-month-day"),
        ("q.aav5.date", "2026-02-30", "year-month-day"),
        ("q.aav5.date", "1826-02-03", "Check the year"),
        ("q.reason", "x" * 4001, "Shorten this"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(
    browser: Browser, other_ehr: OtherEhr, name: str, typed: str, advice: str
) -> None:
    """Nothing is written, the page shows what was typed and what to do about it, and all other answers stand."""
    browser.open()
    other = {"q.htc.name": "A center & <its> name", "q.aav5": "negative", "q.lth": "no"}
    response = browser.send("save", {**other, name: typed})
    browser.html = response.get_data(as_text=True)
    assert response.status_code == 422
    assert "QuestionnaireResponse" not in [one["resourceType"] for one in other_ehr.written]
    assert advice in browser.html
    assert f'href="#f-{name}"' in browser.html
    assert f'id="error-{name}"' in browser.html
    assert browser.fields()["q.htc.name"] == other["q.htc.name"]
    if name not in ("q.aav5", "q.htc"):  # radio buttons show no answer that they do not have
        assert browser.fields()[name] == typed


def test_a_result_needs_its_day_to_be_complete(browser: Browser, other_ehr: OtherEhr) -> None:
    """It may be saved without, and not completed."""
    browser.open()
    answer = {"q.aav5": "negative"}
    assert "Enter the day" in browser.send("complete", answer).get_data(as_text=True)
    assert browser.send("save", answer).status_code == 303


def test_a_mistyped_result_takes_nothing_with_it(browser: Browser) -> None:
    """Its day and its report stay, and are not called wrong: only the result has to be typed again."""
    browser.open()
    typed = {"q.liver": "5,1", "q.liver.date": "2026-10-01"}
    response = browser.send("complete", typed, {"q.liver.report": (PDF, "liver.pdf")})
    browser.html = response.get_data(as_text=True)
    assert "please check 1 answer<" in browser.html
    assert browser.fields()["q.liver.date"] == "2026-10-01"
    assert "Attached: <strong>liver.pdf</strong>" in browser.html


def test_an_answer_to_what_is_not_asked_is_pointed_out(browser: Browser) -> None:
    """Without JavaScript every question is on the page; an answer out of place is not dropped without a word."""
    browser.open()
    page = browser.send("save", {"q.aav5": "", "q.aav5.date": "2026-10-01"}).get_data(as_text=True)
    assert "This is asked only if “AAV5 antibody test” is Positive" in page


EXECUTABLE = b"MZ\x90\x00" + b"\0" * 100


@pytest.mark.parametrize(
    ("data", "title", "advice"),
    [
        (EXECUTABLE, "report.pdf", "is not a PDF, PNG or JPEG"),
        (b"\x7fELF", "report.pdf", "is not a PDF"),
        (b"<html><script>", "report.pdf", "is not a PDF"),
        (b" %PDF-1.4", "report.pdf", "is not a PDF"),
        (PDF, "report.exe", "does not end in .pdf"),
        (PDF, "report.pdf.exe", "does not end in .pdf"),
        (PDF, ".pdf", "does not end in .pdf"),
        (b"", "report.pdf", "The file is empty"),
    ],
)
def test_a_file_that_is_no_report_is_not_taken(
    browser: Browser, other_ehr: OtherEhr, data: bytes, title: str, advice: str
) -> None:
    """What it is counts, not what it is called; the other answers stay on the page."""
    browser.open()
    files = {"q.aav5.report": (data, title)}
    response = browser.send("save", {"q.aav5": "negative", "q.reason": "kept"}, files)
    browser.html = response.get_data(as_text=True)
    assert response.status_code == 422
    assert advice in browser.html
    assert browser.fields()["q.reason"] == "kept"
    assert other_ehr.written == []


def test_a_good_file_beside_a_bad_answer_need_not_be_chosen_again(browser: Browser, other_ehr: OtherEhr) -> None:
    """It is in the chart already, and on the form at the next try."""
    browser.open()
    wrong = {"q.aav5": "negative", "q.aav5.date": "yesterday"}
    response = browser.send("complete", wrong, {"q.aav5.report": (PDF, "reports/aav5.pdf")})
    browser.html = response.get_data(as_text=True)
    assert response.status_code == 422
    assert "Attached: <strong>aav5.pdf</strong>" in browser.html
    browser.send("complete", {"q.aav5.date": "2026-10-01"})
    assert "url" in answers_of(newest(other_ehr))["q.aav5.report"]["valueAttachment"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"q.unknown": "yes"}, 400),
        ({"q.aav5": ["negative", "positive"]}, 400),
        ({"q.aav5.report": "text in the place of a file"}, 400),
        ({"csrf": "another"}, 403),
        ({"csrf": None}, 403),
    ],
)
def test_a_form_that_is_not_the_page_s_is_refused(
    browser: Browser, other_ehr: OtherEhr, changes: Json, status: int
) -> None:
    """Changed linkIds, doubled fields and requests of other sites write nothing."""
    browser.open()
    response = browser.send("complete", changes)
    assert response.status_code == status
    assert response.mimetype == "text/html"
    assert other_ehr.written == []


def test_a_body_that_is_too_large_is_a_page(browser: Browser) -> None:
    """No report as large as may be makes it so, and it says truly that a browser keeps nothing of it."""
    browser.open()
    files = {"q.aav5.report": (PDF + b"\0" * BODY, "r.pdf")}
    response = browser.send("save", {}, files)
    assert response.status_code == 413
    assert "does not keep what you typed" in response.get_data(as_text=True)


def test_files_that_are_too_large_together_cost_nothing_that_was_typed(browser: Browser, other_ehr: OtherEhr) -> None:
    """The form is there again, with the file that was too large named; it can be sent from there."""
    browser.open()
    parts = [f'name="{name}"\r\n\r\n{value}' for name, value in {**browser.fields(), "q.reason": "as <typed>"}.items()]
    parts += [f'name="q.aav5.report"; filename="scan.pdf"\r\nContent-Length: {BODY}\r\n\r\n']
    body = "".join(f"--b\r\nContent-Disposition: form-data; {part}\r\n" for part in parts) + "--b--\r\n"
    kind = "multipart/form-data; boundary=b"
    response = browser.client.post(browser.page, data=body, content_type=kind, headers={LEFT_OUT: "1"}, base_url=PUBLIC)
    assert response.status_code == 413
    html = browser.html = response.get_data(as_text=True)
    assert "The files are too large together" in html
    assert re.search(r'id="error-q\.aav5\.report">[^/]*</strong> The file is larger than', html)
    assert '<a href="#f-q.aav5.report">' in html
    assert other_ehr.written == []
    assert browser.send("save", {}).status_code == 303
    (written,) = other_ehr.written
    assert "as <typed>" in encode(written).decode()


def test_text_of_a_hostile_chart_stays_text(browser: Browser, other_ehr: OtherEhr) -> None:
    """Names, results and answers of the chart are never markup."""
    hostile = "<script>alert(1)</script>\"'><img src=x>"
    for kind in ("Patient", "Observation", "Practitioner", "QuestionnaireResponse"):
        for resource in other_ehr.store.all_of(kind):
            changed = encode(resource).replace(b"Example", encode(hostile)[1:-1])
            other_ehr.store.put(decode(changed))
    html = browser.open()
    assert "<script>alert" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html


def test_nothing_of_the_patient_is_in_logs_or_addresses(
    browser: Browser, other_ehr: OtherEhr, three: dict[str, str], reports: Files, capfd: pytest.CaptureFixture[str]
) -> None:
    """Logs tell that a form was completed and for which drug, and addresses only which form of the browser's."""
    browser.open()
    browser.send("complete", {**three, "q.reason": "A very private reason"}, reports)
    other_ehr.refuses = {"QuestionnaireResponse"}
    browser.load()
    browser.send("save", {})
    logged = "".join(capfd.readouterr())
    for private in ("Hickory", other_ehr.story.id, "private reason", "secret-token", "negative", "aav5.pdf"):
        assert private not in logged
        assert private not in browser.page
