"""The documentation form in a real browser, launched by an EHR that is not the demo's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from other_ehr import OtherEhr
from steps import AGO, THREE, answer, complete, type_result

from cds_service.demo.stories import Story
from hooks.wire import decode, encode

if TYPE_CHECKING:
    from playwright.sync_api import FrameLocator, Locator, Page

pytestmark = pytest.mark.browser


def launch(page: Page, ehr: OtherEhr) -> Page:
    """The form, after the EHR's sign-in was agreed to."""
    page.goto(f"{ehr.origin}/chart")
    page.get_by_role("link", name="Open the plan’s form").click()
    page.get_by_role("button", name="Allow").click()
    page.locator("#questions").wait_for()
    return page


def newest(ehr: OtherEhr) -> dict[str, object]:
    """The response that was written last."""
    return [one for one in ehr.written if one["resourceType"] == "QuestionnaireResponse"][-1]


def give_reason(page: Page | FrameLocator, text: str) -> None:
    """Writes into the field for the reason, which is folded away."""
    page.locator("#criterion-4b summary").click()
    page.locator('[name="q.reason"]').fill(text)


def so_far(page: Page) -> Locator:
    """The line that tells how many criteria are met."""
    return page.locator("#so-far")


def test_an_ehr_launches_the_form_and_gets_it_back(page: Page, ehr: OtherEhr, report: str) -> None:
    """Its own sign-in, its own scopes; the response and the reports are in its chart."""
    answer(launch(page, ehr), THREE, report)
    complete(page)
    assert newest(ehr)["status"] == "completed"
    assert [one["resourceType"] for one in ehr.written].count("DocumentReference") == 3


def test_the_form_stands_in_a_frame_of_the_ehr(page: Page, ehr: OtherEhr, report: str) -> None:
    """The launching EHR may frame it; it works there as in a tab."""
    page.goto(f"{ehr.origin}/chart?framed")
    frame = page.frame_locator("iframe")
    frame.get_by_role("button", name="Allow").click()
    frame.locator("#questions").wait_for()
    give_reason(frame, "in a frame")
    frame.get_by_role("button", name="Save for later").click()
    frame.get_by_text("Saved in the chart").wait_for()
    assert newest(ehr)["status"] == "in-progress"


def test_the_answer_follows_what_is_typed(page: Page, ehr: OtherEhr, report: str) -> None:
    """Without a reload: the line below, the summary above, and the mark at the criterion; nothing is written."""
    launch(page, ehr)
    assert so_far(page).inner_text() == "10 of 13 criteria are met; open: 5, 6, 8d."
    answer(page, {"aav5": "negative"}, report)
    so_far(page).get_by_text("11 of 13 criteria are met; open: 6, 8d.").wait_for()
    page.locator("#criterion-5.met", has_text="Met with what is filled in").wait_for()
    answer(page, {"inhibitor": "negative", "liver": "5.10"}, report)
    page.locator("#answer", has_text="All of the plan’s criteria are met").wait_for()
    page.locator('[name="q.prior_gene_therapy"][value="yes"]').evaluate("one => one.closest('details').open = true")
    page.check('[name="q.prior_gene_therapy"][value="yes"]')
    page.locator("#criterion-7.not-met").wait_for()
    assert ehr.written == []


def test_the_form_is_filled_by_keyboard_alone(
    page: Page, ehr: OtherEhr, report: str, tab_to: Callable[[Page, str], None]
) -> None:
    """Every field is reached by Tab, and every stop shows its focus."""
    page.on("filechooser", lambda chooser: chooser.set_files(report))  # from the start: the browser hears of it late
    launch(page, ehr)
    tab_to(page, 'a.skip[href="#questions"]')
    page.keyboard.press("Enter")
    for name, value in THREE.items():
        type_result(page, name, value, tab_to)
    tab_to(page, 'button[value="complete"]')
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="What happens next").wait_for()
    assert "All of the plan’s criteria are met" in page.locator("main").inner_text()


def test_a_form_is_left_and_gone_on_with(page: Page, ehr: OtherEhr, report: str) -> None:
    """Saved, closed and launched again, it holds what was typed and attached."""
    answer(launch(page, ehr), {"aav5": "negative", "liver": "5.10"}, report)
    page.get_by_role("button", name="Save for later").click()
    page.get_by_text("Saved in the chart").wait_for()
    launch(page, ehr)
    assert page.input_value('[name="q.liver"]') == "5.10"
    assert page.get_by_text("Attached: report.pdf").count() == 2
    answer(page, {"inhibitor": "negative"}, report)
    complete(page)
    assert newest(ehr)["status"] == "completed"


def test_nobody_leaves_with_unsaved_answers_unasked(page: Page, ehr: OtherEhr) -> None:
    """The browser asks before the page goes; after saving it does not."""
    asked: list[str] = []
    launch(page, ehr)
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    give_reason(page, "A reason")
    page.goto(f"{ehr.origin}/chart")
    assert asked == ["beforeunload"]


def test_a_token_that_runs_out_loses_nothing(page: Page, ehr: OtherEhr, report: str) -> None:
    """Signed in again in another tab, the first one saves what was typed."""
    launch(page, ehr)
    ehr.tokens.clear()
    give_reason(page, "Typed before the token ran out")
    page.fill('[name="q.liver"]', "5.10")
    so_far(page).get_by_text("could not be brought up to date").wait_for()
    page.get_by_role("button", name="Save for later").click()
    page.get_by_role("heading", name="You were signed out").wait_for()
    assert page.input_value('[name="q.reason"]') == "Typed before the token ran out"
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Sign in again").click()
    opened.value.get_by_role("button", name="Allow").click()
    opened.value.get_by_role("heading", name="You are signed in again").wait_for()
    page.get_by_role("button", name="Save for later").click()
    page.get_by_text("Saved in the chart").wait_for()
    assert page.input_value('[name="q.reason"]') == "Typed before the token ran out"
    assert page.input_value('[name="q.liver"]') == "5.10"


def test_a_form_that_the_ehr_refuses_counts_all_the_same(page: Page, ehr: OtherEhr, report: str) -> None:
    """The plan keeps it and says so; the next signature finds it."""
    ehr.refuses = {"QuestionnaireResponse", "DocumentReference"}
    answer(launch(page, ehr), THREE, report)
    complete(page)
    assert "the plan keeps it" in page.locator(".notice").inner_text()
    call = {
        "hook": "order-sign",
        "hookInstance": "5a1f4c4e-6c1f-4d6e-9a55-0d2a4c1c1d11",
        "fhirServer": ehr.base,
        "fhirAuthorization": {
            "access_token": next(iter(ehr.tokens)),
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "patient/*.read",
            "subject": "cds",
        },
        "context": {
            "userId": "Practitioner/demo-hazel",
            "patientId": ehr.story.id,
            "draftOrders": {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": ehr.story.order}]},
        },
    }
    service = ehr.launch_url.removesuffix("/smart/launch")
    signed = page.context.request.post(
        f"{service}/cds-services/order-sign-crd",
        data=encode(call).decode(),
        headers={"Content-Type": "application/json"},
    )
    body = decode(signed.body())
    assert "meets all" in body["cards"][0]["summary"]


def test_two_tabs_do_not_disturb_each_other(page: Page, ehr: OtherEhr, story: Callable[[str, str], Story]) -> None:
    """Each saves its own answers, also when the other one was opened later in the same browser."""
    first = launch(page, ehr)
    second = launch(page.context.new_page(), ehr)
    give_reason(first, "of the first tab")
    give_reason(second, "of the second tab")
    first.get_by_role("button", name="Save for later").click()
    first.get_by_text("Saved in the chart").wait_for()
    second.get_by_role("button", name="Save for later").click()
    second.get_by_text("Saved in the chart").wait_for()
    assert first.input_value('[name="q.reason"]') == "of the first tab"
    assert second.input_value('[name="q.reason"]') == "of the second tab"
    drafts = [one for one in ehr.store.all_of("QuestionnaireResponse") if one["status"] == "in-progress"]
    assert len(drafts) == 2


def test_text_of_a_hostile_chart_runs_nothing(page: Page, ehr: OtherEhr) -> None:
    """Scripts and markup in names and results of the chart are text on the page, live answer included."""
    hostile = "<script>document.title='owned'</script>\"'><img src=x onerror=\"document.title='owned'\">"
    for kind in ("Patient", "Observation", "Practitioner", "Condition", "QuestionnaireResponse"):
        for resource in ehr.store.all_of(kind):
            for told in (b"Example", b"Platelets", b"Congenital"):
                resource = decode(encode(resource).replace(told, encode(hostile)[1:-1]))
            ehr.store.put(resource)
    launch(page, ehr)
    give_reason(page, hostile)
    with page.expect_response("**/answer"):
        page.press('[name="q.reason"]', "Tab")
    page.get_by_role("button", name="Save for later").click()
    page.get_by_text("Saved in the chart").wait_for()
    assert "owned" not in page.title()
    assert page.locator("main img, main script").count() == 0
    assert hostile in page.input_value('[name="q.reason"]')


def test_the_form_works_without_javascript(new_page: Callable[..., Page], ehr: OtherEhr, report: str) -> None:
    """Every question is there with when it is asked, and it completes."""
    page = new_page(java_script_enabled=False)
    launch(page, ehr)
    assert page.get_by_text("Only if “AAV5 antibody test”").first.is_visible()
    assert page.get_by_text("Saving brings the answer up to date").is_visible()
    answer(page, THREE, report)
    complete(page)
    assert newest(ehr)["status"] == "completed"


@pytest.mark.parametrize("width", [1280, 768, 390, 320])
def test_nothing_is_wider_than_the_screen(new_page: Callable[..., Page], ehr: OtherEhr, width: int) -> None:
    """From a desk to a phone; 640 pixels is also 1280 at 200 %, and 320 is 1280 at 400 % (WCAG 1.4.10)."""
    page = launch(new_page(width, 700), ehr)
    page.wait_for_load_state("networkidle")  # style sheets and all
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_report_that_is_too_large_is_not_sent(page: Page, ehr: OtherEhr, report: str, tmp_path: Path) -> None:
    """The page says so at once, beside the field, and takes another file; a megabyte to the byte is taken."""
    large, largest = tmp_path / "large.pdf", tmp_path / "largest.pdf"
    largest.write_bytes(Path(report).read_bytes().ljust(1024 * 1024, b"\0"))
    large.write_bytes(largest.read_bytes() + b"\0")
    launch(page, ehr)
    page.check('[name="q.aav5"][value="negative"]')
    field = page.locator('[name="q.aav5.report"]')
    field.set_input_files(large)
    page.get_by_role("alert").get_by_text("large.pdf: The file is larger than 1 MB.").wait_for()
    assert field.input_value() == ""
    field.set_input_files(largest)
    assert page.get_by_role("alert").count() == 0
    page.fill('[name="q.aav5.date"]', AGO)
    page.get_by_role("button", name="Save for later").click()
    page.get_by_text("Attached: largest.pdf").wait_for()


def test_what_was_typed_is_on_the_page_when_something_does_not_work(
    page: Page, ehr: OtherEhr, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Browsers keep no form of a page that is not to be stored; so the page gives it back, to be saved from there."""
    launch(page, ehr)
    page.fill('[name="q.liver"]', "5.10")
    with monkeypatch.context() as patched:
        patched.setattr("cds_service.smart.routes.saved", lambda *_: 1 / 0)
        page.get_by_role("button", name="Save for later").click()
        page.get_by_role("heading", name="This did not work").wait_for()
    assert page.input_value('[name="q.liver"]') == "5.10"
    page.get_by_role("button", name="Save for later").click()
    page.get_by_text("Saved in the chart").wait_for()
    assert page.input_value('[name="q.liver"]') == "5.10"


def test_a_double_click_is_one_form(page: Page, ehr: OtherEhr, report: str) -> None:
    """It is written once."""
    answer(launch(page, ehr), THREE, report)
    page.dblclick('button[value="complete"]')
    page.get_by_role("heading", name="What happens next").wait_for()
    assert [one["resourceType"] for one in ehr.written].count("QuestionnaireResponse") == 1
