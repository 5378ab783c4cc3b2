"""What a prescriber does on the demo's page and on the form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import FrameLocator, Page

AGO = (datetime.now(UTC).date() - timedelta(days=20)).isoformat()
THREE = {"aav5": "negative", "inhibitor": "negative", "liver": "5.10"}


def open_chart(page: Page, demo: str, patient: str) -> None:
    """Goes to the patient's chart in the demo."""
    page.goto(f"{demo}/demo#{patient}")
    page.locator("#results table, #results .problem").wait_for()


def sign(page: Page) -> str:
    """The first card's summary after the order was signed."""
    with page.expect_response(lambda answer: answer.url.endswith("/cds-services/order-sign-crd")):
        page.click("#sign")
    page.locator("#answer[aria-busy]").wait_for(state="detached")
    return page.locator(".card h3").first.inner_text()


def open_form(page: Page) -> Page:
    """The form that the card opens, in its tab."""
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Documentation for").click()
    opened.value.locator("#questions").wait_for()
    return opened.value


def answer(form: Page | FrameLocator, results: Mapping[str, str], report: str) -> None:
    """Fills in these results, each with its day and its report."""
    for name, value in results.items():
        field = form.locator(f'[name="q.{name}"]')
        if field.first.get_attribute("type") == "radio":
            field.and_(form.locator(f'[value="{value}"]')).check()
        else:
            field.fill(value)
        form.locator(f'[name="q.{name}.date"]').fill(AGO)
        form.locator(f'[name="q.{name}.report"]').set_input_files(report)


def type_result(form: Page, name: str, value: str, tab_to: Callable[[Page, str], None]) -> None:
    """Gives this result by keyboard alone, with its day and its report; a listener chooses the file."""
    tab_to(form, f'[name="q.{name}"]')
    if form.evaluate("document.activeElement.type") == "radio":
        for _ in range(form.locator(f'[name="q.{name}"]').count()):
            if form.input_value(f'[name="q.{name}"]:checked') == value:
                break
            form.keyboard.press("ArrowRight")
        assert form.input_value(f'[name="q.{name}"]:checked') == value
    else:
        form.keyboard.type(value)
    tab_to(form, f'[name="q.{name}.date"]')
    form.keyboard.type(f"{AGO[5:7]}{AGO[8:]}{AGO[:4]}")
    tab_to(form, f'[name="q.{name}.report"]')
    form.keyboard.press("Space")
    form.wait_for_function("name => document.getElementsByName(name)[0].files.length === 1", arg=f"q.{name}.report")


def complete(form: Page) -> None:
    """Completes the form, which must be right."""
    form.click('button[value="complete"]')
    form.get_by_role("heading", name="What happens next").wait_for()
