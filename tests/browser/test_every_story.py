"""Every patient of the demo: the form closes the loop, and where none can, none is offered."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from steps import open_chart, sign, type_result

from cds_service.demo.samples import SAMPLES

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

MISSING = [one.id for one in SAMPLES if one.expected_outcome == "documentation-missing"]
OTHERS = [one for one in SAMPLES if one.expected_outcome not in ("documentation-missing", None)]
IN_HAND = {  # what the reports say that the person has
    "aav5": "negative",
    "inhibitor": "negative",
    "hbv": "negative",
    "hcv": "negative",
    "hiv": "negative",
    "platelets": "198",
    "liver": "5.10",
}
BEYOND_A_FORM = {"review", "not-retrieved"}


def reports_asked(form: Page) -> list[str]:
    """The results, each with its report, that the form asks for in what is not folded away, in its order."""
    found: list[str] = form.evaluate(
        """() => {
            const fields = [...document.querySelectorAll(".criterion:not(.folded) .field:not(.part) [name^='q.']")];
            const names = [...new Set(fields.map((one) => one.name.slice(2)))];
            return names.filter((name) => document.getElementsByName(`q.${name}.report`).length);
        }"""
    )
    return found


def determination(answer: Any) -> dict[str, Any]:
    """The determination on the first card."""
    found: dict[str, Any] = answer["cards"][0]["extension"]["drug-coverage.determination"]
    return found


@pytest.mark.parametrize("patient", MISSING)
def test_the_loop_closes_by_keyboard(
    page: Page, demo: str, report: str, tab_to: Callable[[Page, str], None], patient: str
) -> None:
    """Sign, open the form from the card, answer all that it asks, complete it, sign again: the number is issued."""
    open_chart(page, demo, patient)
    tab_to(page, "#sign")
    page.keyboard.press("Enter")
    page.locator("#answer-title:focus").wait_for()
    assert "still open" in page.locator(".card h3").first.inner_text()
    tab_to(page, ".links a[href*='/smart/launch']")
    page.context.on("page", lambda opened: opened.on("filechooser", lambda chooser: chooser.set_files(report)))
    with page.expect_popup() as opened:
        page.keyboard.press("Enter")
    form = opened.value
    form.locator("#questions").wait_for()
    asked = reports_asked(form)
    assert asked
    for name in asked:
        type_result(form, name, IN_HAND[name], tab_to)
    form.locator("#so-far", has_text="13 of 13 criteria are met").wait_for()
    tab_to(form, 'button[value="complete"]')
    form.keyboard.press("Enter")
    form.get_by_role("heading", name="What happens next").wait_for()
    assert "All of the plan’s criteria are met" in form.locator("main").inner_text()
    form.close()
    page.bring_to_front()
    tab_to(page, "#sign")
    page.keyboard.press("Enter")
    page.locator(".card h3", has_text="meets all").first.wait_for()
    assert "PA-" in page.locator("#coverage-information").inner_text()
    assert page.get_by_role("link", name="Documentation for").count() == 0


@pytest.mark.parametrize("patient", OTHERS, ids=lambda one: one.id)
def test_no_form_is_offered_where_none_would_help(page: Page, demo: str, patient: Any) -> None:
    """All met, not met, contradicting itself or unreadable: the answer says which, and what is open no form answers."""
    open_chart(page, demo, patient.id)
    with page.expect_response(lambda answer: answer.url.endswith("/cds-services/order-sign-crd")) as answered:
        sign(page)
    said = determination(json.loads(answered.value.body()))
    assert said["outcome"] == patient.expected_outcome
    unknown = {one["reason"] for one in said["criteria"] if one["blocking"] and one["status"] == "unknown"}
    assert unknown <= BEYOND_A_FORM
    assert page.get_by_role("link", name="Documentation for").count() == 0
    is_met = patient.expected_outcome == "criteria-met"
    assert ("PA-" in page.locator("#answer").inner_text()) is is_met
