"""How large reports may be: one number, ruled by the largest body, on form, Questionnaire and server."""

from pathlib import Path
from typing import Any

import pytest
from sign_in import PDF, Browser, OtherEhr
from signing import BASE, BODY, PUBLIC, call_of, context_of, whole_record

from cds_service.app import create_app
from cds_service.dtr.reports import MEGABYTE, largest_report_mb
from cds_service.settings import read_settings
from fhir_mappings.needs import EVERYTHING
from hooks.service import Service
from hooks.wire import encode

Json = dict[str, Any]
LARGEST = PDF + b"\0" * (MEGABYTE - len(PDF))
RESULTS = {
    "baseline": "0.5",
    "aav5": "negative",
    "inhibitor": "negative",
    "hbv": "negative",
    "hcv": "negative",
    "hiv": "positive",
    "cd4": "500",
    "platelets": "212",
    "liver": "5.10",
}


def held(value: Any) -> list[Json]:
    """Every attachment of a report in these resources that holds its data, however deep."""
    if isinstance(value, list):
        return [found for one in value for found in held(one)]
    if not isinstance(value, dict):
        return []
    own = [value] if "data" in value and value.get("contentType") == "application/pdf" else []
    return own + [found for one in value.values() for found in held(one)]


@pytest.mark.parametrize("refused", [{"DocumentReference"}, set()])
def test_a_form_with_every_report_leaves_the_next_call_small_enough(
    browser: Browser, other_ehr: OtherEhr, three: dict[str, str], refused: set[str]
) -> None:
    """Each of nine as large as may be, in the answers or in documents, and all of the chart sent along."""
    other_ehr.refuses = refused
    browser.open()
    day = three["q.aav5.date"]
    answers = {f"q.{name}": value for name, value in RESULTS.items()}
    answers |= {f"q.{name}.date": day for name in RESULTS}
    files = {f"q.{name}.report": (LARGEST, f"{name}.pdf") for name in RESULTS}
    assert browser.send("complete", answers, files).status_code == 303
    record = whole_record(resource for kind in EVERYTHING for resource in other_ehr.store.all_of(kind))
    assert len(held(record)) == 9
    body = encode(call_of(context_of(other_ehr.story.order), record))
    assert BODY * 3 // 4 < len(body) < BODY
    response = browser.client.post(
        "/cds-services/order-sign-crd", data=body, content_type="application/json", base_url=PUBLIC
    )
    assert response.status_code == 200
    assert b"meets all" in response.data


@pytest.mark.parametrize(("more", "status"), [(0, 303), (1, 422)])
def test_a_report_as_large_as_may_be_is_taken_and_one_byte_more_is_not(
    browser: Browser, more: int, status: int
) -> None:
    """The page says why, beside the field."""
    browser.open()
    file = {"q.aav5.report": (LARGEST + b"\0" * more, "r.pdf")}
    response = browser.send("save", {"q.aav5": "negative"}, file)
    assert response.status_code == status
    assert ("The file is larger than 1 MB." in response.get_data(as_text=True)) is bool(more)


@pytest.mark.parametrize(("body", "largest"), [(BODY, "1"), (2 * BODY, "2"), (10 * BODY, "10"), (2_000_000, "0.11")])
def test_the_largest_body_rules_what_form_and_questionnaire_say(
    other_ehr: OtherEhr, tmp_path: Path, body: int, largest: str
) -> None:
    """`CDS_MAX_BODY_BYTES` is the one number."""
    settings = read_settings(
        {}, public_url=PUBLIC, auth="off", fhir_servers=(BASE,), data_dir=tmp_path, max_body_bytes=body
    )
    client = create_app(settings).test_client()
    html = Browser(client, other_ehr).open()
    assert html.count(f"up to {largest} MB") == 9
    form = client.get("/fhir/Questionnaire/pharmacy-109-hemgenix", base_url=PUBLIC).get_data(as_text=True)
    assert form.count(f'/maxSize","valueDecimal":{largest}' + "}") == 9


@pytest.mark.parametrize("body", [1, 100_000, 2_000_000, BODY, BODY + 1, 50_000_000])
def test_reports_written_inline_take_three_quarters_of_a_body_at_most(service: Service, body: int) -> None:
    """Of every policy's form, whatever the largest body; a few characters of padding aside."""
    for policy in service.library.policies:
        reports = [question for question in policy.source.questions if question.type == "attachment"]
        each = int(largest_report_mb(policy.source, body) * MEGABYTE)
        assert reports
        assert len(reports) * each * 4 <= body * 9 // 4
