"""The order-entry page in a real browser, and the whole loop: sign, fill in, sign again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from steps import THREE, answer, complete, open_chart, open_form, sign

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_a_missing_test_is_ordered_added_and_counts(page: Page, demo: str) -> None:
    """A prescriber signs, orders the missing test, adds its result, signs again and sees another answer."""
    sent: list[Any] = []
    page.on(
        "request", lambda one: sent.append(json.loads(one.post_data or "")) if "/cds-services/" in one.url else None
    )
    open_chart(page, demo, "demo-one-day-late")
    page.click("#wire summary")
    page.select_option("#prefetch", "all")
    assert "1 of the plan’s criteria is still open" in sign(page).replace("'", "’")
    page.get_by_role("button", name="Order: Platelet").click()
    page.locator("#orders", has_text="Platelet").wait_for()
    page.click("#add-fold summary")
    page.select_option("#test", "platelets")
    page.fill("#number", "198.50")
    page.get_by_role("button", name="Add to the chart").click()
    page.locator("#results", has_text="198.50").wait_for()
    assert "meets all" in sign(page)
    assert "Authorization number" in page.locator("#coverage-information").inner_text()

    first, feedback, second = sent
    assert first["context"]["userId"] == "Practitioner/demo-hazel"
    assert "patient" in first["prefetch"]
    assert feedback["feedback"][0]["outcome"] == "accepted"
    assert second["hookInstance"] != first["hookInstance"]
    assert second["context"]["draftOrders"]["entry"][0]["resource"]["extension"]

    page.click("#reset")
    page.locator("#results", has_not_text="198.50").wait_for()


def test_a_part_of_the_chart_that_cannot_be_read_says_so(page: Page, demo: str) -> None:
    """It is not shown as empty."""
    open_chart(page, demo, "demo-results-unreadable")
    assert page.locator("#results").inner_text() == "This part of the chart could not be loaded."


def test_text_of_a_card_never_becomes_markup(page: Page, demo: str) -> None:
    """Markdown is shown; HTML in it is text, and only web addresses are links."""
    page.goto(f"{demo}/demo")
    text = "**bold**\n\n| a | b |\n|---|---|\n| 1 | x \\| y |\n\n<img src=x>\n"
    text += "[good](https://a.example/) [bad](javascript:alert(1))"
    shown = page.evaluate(
        """async (text) => {
            const { markdown } = await import("/demo/static/markdown.js");
            const box = document.createElement("div");
            box.append(markdown(text));
            return box.innerHTML;
        }""",
        text,
    )
    assert "<strong>bold</strong>" in shown
    assert "<td>x | y</td>" in shown
    assert "&lt;img" in shown
    assert "javascript:" not in shown.replace("[bad](javascript:", "")
    assert shown.count("href=") == 1


def test_the_chart_shows_what_the_form_wrote(page: Page, demo: str, report: str) -> None:
    """Back at the chart, the form and its reports are among the documents."""
    open_chart(page, demo, "demo-three-reports")
    sign(page)
    form = open_form(page)
    answer(form, THREE, report)
    complete(form)
    form.close()
    page.bring_to_front()
    sign(page)
    page.locator("#documents", has_text="report.pdf").wait_for()


def test_the_demo_works_by_keyboard(page: Page, demo: str, tab_to: Callable[[Page, str], None]) -> None:
    """The order is signed without a mouse, and the focus goes to the answer."""
    open_chart(page, demo, "demo-three-reports")
    tab_to(page, "#sign")
    page.keyboard.press("Enter")
    page.locator(".card").first.wait_for()
    page.locator("#answer-title:focus").wait_for()
    tab_to(page, ".links a[href*='/smart/launch']")
    with page.expect_popup() as opened:
        page.keyboard.press("Enter")
    opened.value.locator("#questions").wait_for()
