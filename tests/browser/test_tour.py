"""docs/tour.md, walked with mouse and keyboard: what it counts is what it takes.

TOUR_PICTURES=docs/pictures makes its pictures anew, and the two of the README.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from steps import AGO, open_chart, sign

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser

TOUR = Path(__file__).parents[2] / "docs" / "tour.md"
COUNTING = """
addEventListener("pointerdown", (event) => event.isTrusted && counted("clicks"), true);
addEventListener("keydown", (event) => event.isTrusted && counted("keys"), true);
"""


def picture(seen: Page | Locator, name: str) -> None:
    """Keeps what is seen, where pictures are asked for."""
    if "TOUR_PICTURES" in os.environ:
        seen.screenshot(path=Path(os.environ["TOUR_PICTURES"]) / f"{name}.png")


def test_the_tour_takes_what_it_says(new_page: Callable[..., Page], demo: str, report: str) -> None:
    """Clicks, keys and files from the first signature to the number, for the patient with three reports missing."""
    page = new_page(1180, 860)
    took: Counter[str] = Counter()
    page.context.expose_binding("counted", lambda _, kind: took.update([kind]))
    page.context.add_init_script(COUNTING)
    open_chart(page, demo, "demo-three-reports")
    page.click("#sign")
    page.locator(".card").first.wait_for()
    picture(page.locator(".card").first, "tour-1-missing")
    picture(page.locator(".card").last, "tour-2-card")
    link = page.get_by_role("link", name="Documentation for")
    with page.expect_popup() as opened:
        link.click()
    form = opened.value
    form.locator("#questions").wait_for()
    picture(form, "tour-3-form")

    form.get_by_role("group", name="AAV5 antibody test").get_by_label("Negative").click()
    form.get_by_role("group", name="Latest factor IX inhibitor test").get_by_label("Negative").click()
    form.get_by_label("Liver stiffness by elastography").click()
    form.keyboard.type("5.1")
    for name in ("aav5", "inhibitor", "liver"):
        form.locator(f'[name="q.{name}.date"]').click(position={"x": 20, "y": 20})
        form.keyboard.type(f"{AGO[5:7]}{AGO[8:]}{AGO[:4]}")
        with form.expect_file_chooser() as chooser:
            form.locator(f'[name="q.{name}.report"]').click()
        chooser.value.set_files(report)
        took["files"] += 1
        if name == "aav5":
            form.locator("#criterion-5.met").wait_for()
            form.locator("#criterion-5").scroll_into_view_if_needed()
            picture(form, "tour-4-answers")
    form.locator("#so-far", has_text="13 of 13").wait_for()
    form.get_by_role("button", name="Complete").click()
    form.get_by_role("heading", name="What happens next").wait_for()
    picture(form, "tour-5-complete")
    form.close()

    page.bring_to_front()
    page.click("#sign")
    page.locator("#coverage-information", has_text="Authorization number").wait_for()
    picture(page.locator("#answer"), "tour-6-number")
    said = {kind: int(number) for number, kind in re.findall(r"\*\*(\d+) (clicks|keys|files)\*\*", TOUR.read_text())}
    assert said == dict(took)


def test_the_readme_shows_the_demo_and_its_card(new_page: Callable[..., Page], demo: str) -> None:
    """The patient whose platelet count is a day too old, before and after signing."""
    page = new_page(1280, 760)
    open_chart(page, demo, "demo-one-day-late")
    picture(page, "demo")
    assert "still open" in sign(page)
    picture(page.locator(".card").first, "card")
