"""What axe-core finds on the pages that a person sees: nothing; and what it cannot see: zoom, and focus in view."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest
from other_ehr import OtherEhr
from steps import THREE, answer, complete, open_chart, open_form, sign

from cds_service.smart.problems import ProblemError
from cds_service.smart.routes import FILES_TOO_LARGE
from hooks.refusals import Refusal

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
Findings = Callable[["Page"], list[str]]


def unfold(page: Page) -> None:
    """Opens everything that is folded away."""
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")


@pytest.mark.parametrize("width", [1280, 768, 390])
def test_the_whole_loop_has_no_finding(
    new_page: Callable[..., Page], demo: str, report: str, findings_of: Findings, width: int
) -> None:
    """The demo before and after signing, the form as it opens, with errors and with all of it shown, and its end."""
    page = new_page(width)
    open_chart(page, demo, "demo-three-reports")
    assert findings_of(page) == []
    sign(page)
    unfold(page)
    assert findings_of(page) == []
    form = open_form(page)
    assert findings_of(form) == []
    answer(form, THREE, report)
    form.fill('[name="q.liver"]', "5,1")
    form.click('button[value="complete"]')
    form.locator("#errors").wait_for()
    unfold(form)
    assert findings_of(form) == []
    form.locator('[name="q.liver"]').fill("5.1")
    complete(form)
    assert findings_of(form) == []


POLICY = "/policies/pharmacy-109/hemgenix"


@pytest.mark.parametrize("path", ["/policies", POLICY, "/policies/pharmacy-109/roctavian", "/policies/pharmacy-109/no"])
@pytest.mark.parametrize("width", [1280, 768, 390])
def test_policy_pages_have_no_finding(
    new_page: Callable[..., Page], demo: str, findings_of: Findings, path: str, width: int
) -> None:
    """Wide and narrow, all of it unfolded, and nothing sticks out."""
    page = new_page(width)
    page.goto(demo + path)
    page.get_by_role("heading").first.wait_for()
    unfold(page)
    assert findings_of(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_pages_for_what_goes_wrong_have_no_finding(page: Page, ehr: OtherEhr, findings_of: Findings) -> None:
    """A refused launch, signed out with what was typed, and signed in again."""
    page.goto(ehr.launch_url + "?iss=https://evil.example&launch=x")
    page.get_by_role("heading", name="not registered").wait_for()
    assert findings_of(page) == []
    page.goto(f"{ehr.origin}/chart")
    page.get_by_role("link").click()
    page.get_by_role("button", name="Allow").click()
    ehr.tokens.clear()
    page.get_by_role("button", name="Save for later").click()
    page.get_by_role("heading", name="You were signed out").wait_for()
    assert findings_of(page) == []
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Sign in again").click()
    again = opened.value
    again.get_by_role("button", name="Allow").click()
    again.get_by_role("heading", name="You are signed in again").wait_for()
    assert findings_of(again) == []


# What a form's page answers with what was typed, and the heading of each.
TROUBLES = (
    (RuntimeError(), "This did not work"),
    (ProblemError(413, *FILES_TOO_LARGE), "The files are too large together"),
    (Refusal(429, "throttled", "too many requests"), "Too much was asked for at once"),
)


@pytest.mark.parametrize(("width", "scale"), [(390, 1), (768, 1), (640, 2)])
def test_pages_that_end_a_form_have_no_finding_at_any_width(
    new_page: Callable[..., Page],
    ehr: OtherEhr,
    findings_of: Findings,
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    scale: int,
) -> None:
    """Refused launches, what goes wrong with a form, signed out, and done with criteria still open.

    640 twice as dense is 1280 at 200 %.
    """
    page = new_page(width, 800, device_scale_factor=scale)

    def look() -> None:
        page.wait_for_load_state("networkidle")
        assert findings_of(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    def launch() -> None:
        page.goto(f"{ehr.origin}/chart")
        page.get_by_role("link").click()
        page.get_by_role("button", name="Allow").click()
        page.locator("#questions").wait_for()

    service = ehr.launch_url.removesuffix("/launch")
    for path in ("/launch?iss=https://evil.example&launch=x", "/launch", "/callback?state=none", "/form"):
        page.goto(service + path)
        page.locator(".problem h1").wait_for()
        look()
    for trouble, heading in TROUBLES:
        launch()
        with monkeypatch.context() as patched:
            patched.setattr("cds_service.smart.routes.saved", Mock(side_effect=trouble))
            page.get_by_role("button", name="Save for later").click()
            page.get_by_role("heading", name=heading).wait_for()
        look()
    ehr.tokens.clear()
    page.get_by_role("button", name="Save for later").click()
    page.get_by_role("heading", name="You were signed out").wait_for()
    look()
    launch()
    page.click('button[value="complete"]')
    page.get_by_role("heading", name="What happens next").wait_for()
    look()


def to_print(page: Page, ehr: OtherEhr, report: str) -> None:
    """Goes to the form to print, which the EHR has not taken."""
    page.goto(f"{ehr.origin}/chart")
    page.get_by_role("link").click()
    page.get_by_role("button", name="Allow").click()
    answer(page, THREE, report)
    ehr.refuses = {"QuestionnaireResponse", "DocumentReference"}
    page.click('button[value="complete"]')
    page.get_by_role("heading", name="not saved anywhere").wait_for()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_form_to_print_has_no_finding(
    new_page: Callable[..., Page], keyless: OtherEhr, report: str, findings_of: Findings, width: int
) -> None:
    """Wide and narrow, and the way back from it."""
    page = new_page(width)
    to_print(page, keyless, report)
    assert findings_of(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("button", name="Go back to the answers").click()
    page.get_by_text("Your answers are still on this page").wait_for()
    assert page.input_value('[name="q.liver"]') == "5.10"
    assert findings_of(page) == []


def pages_of(page: Page) -> int:
    """How many sheets of paper it takes."""
    return len(re.findall(rb"/Type /Page\b(?!s)", page.pdf(format="Letter")))


def test_the_form_is_printed_without_what_is_for_the_screen(page: Page, keyless: OtherEhr, report: str) -> None:
    """Whose it is, and every answer, on few sheets; no button, and nothing of what went wrong."""
    to_print(page, keyless, report)
    page.emulate_media(media="print")
    shown = page.locator("body").inner_text()
    for text in ("Hickory Example, born", "Member number", "5.10 kPa", "Filled in"):
        assert text in shown
    for text in ("Go back", "not saved anywhere"):
        assert text not in shown
    assert pages_of(page) <= 3


def test_the_policy_is_printed_with_its_codes(page: Page, demo: str) -> None:
    """Every criterion with its results and units; of the code lists at the end, those that were unfolded."""
    page.goto(demo + POLICY)
    page.locator("#order\\.hemgenix summary").click()
    page.emulate_media(media="print")
    shown = page.locator("body").inner_text()
    for text in ("Results, units and codes", "LOINC 26515-7", "J1411", "Hemgenix (etranacogene dezaparvovec-drlb)"):
        assert text in shown
    for text in ("Skip", "All policies", "Immune tolerance induction, stated statement."):
        assert text not in shown
    assert pages_of(page) <= 20


@pytest.mark.parametrize("width", [1280, 1024, 768, 640, 390, 320])
def test_nothing_of_the_demo_is_wider_than_the_screen(new_page: Callable[..., Page], demo: str, width: int) -> None:
    """640 pixels is also 1280 at 200 %, and 320 is 1280 at 400 % (WCAG 1.4.10)."""
    page = new_page(width)
    open_chart(page, demo, "demo-three-reports")
    sign(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_bar_with_the_buttons_covers_no_focus(new_page: Callable[..., Page], ehr: OtherEhr) -> None:
    """At 200 % of a low window it lies still, and the field with the focus is in full view (WCAG 2.4.11)."""
    page = new_page(640, 360)
    page.goto(f"{ehr.origin}/chart")
    page.get_by_role("link").click()
    page.get_by_role("button", name="Allow").click()
    page.locator("#questions").wait_for()
    for _ in range(25):
        page.keyboard.press("Tab")
        top = page.evaluate(
            """() => {
                const box = document.activeElement.getClientRects()[0];
                const there = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
                if (document.activeElement === document.body) return true; // past the last one
                return document.activeElement === there || document.activeElement.contains(there);
            }"""
        )
        assert top, page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
