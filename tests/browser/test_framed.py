"""The form in a frame of an EHR's page, another site's, in a browser that gives such frames no cookies of others.

Both are served by https under names of different sites; the EHR's FHIR server and sign-in are on loopback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from other_ehr import OtherEhr, beside_the_plan
from serving import Served
from steps import THREE, answer

from cds_service.demo.stories import Story

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FrameLocator, Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def strict(started: Callable[..., Browser]) -> Iterator[Browser]:
    """A browser without third-party cookies, to which every name is this machine."""
    browser = started("--test-third-party-cookie-phaseout", "--host-resolver-rules=MAP *.example 127.0.0.1")
    yield browser
    browser.close()


@pytest.fixture
def page(strict: Browser) -> Iterator[Page]:
    """A page of it."""
    context = strict.new_context(ignore_https_errors=True, reduced_motion="reduce")
    context.set_default_timeout(8_000)
    yield context.new_page()
    context.close()


@dataclass
class Portal:
    """The address of the EHR's page with the form in a frame, the EHR, and the service."""

    chart: str
    ehr: OtherEhr
    plan: Served


@pytest.fixture
def portal(story: Callable[[str, str], Story], tmp_path: Path) -> Iterator[Portal]:
    """All of it, answering."""
    plan, front = Served("plan.example"), Served("portal.example")
    more: dict[str, Any] = {"data_dir": tmp_path, "smart_frames": (front.origin,)}
    with beside_the_plan(story, plan, Served(), **more) as ehr:
        front.app = _front(f"{ehr.launch_url}?{urlencode({'iss': ehr.base, 'launch': 'of-this-chart'})}")
        with front.running():
            yield Portal(f"{front.origin}/chart", ehr, plan)


def _front(launch: str) -> Flask:
    app = Flask(__name__)

    @app.get("/chart")
    def chart() -> str:
        frame = f'<iframe title="Form" src="{escape(launch)}" width="900" height="900"></iframe>'
        return f'<!doctype html><html lang="en"><title>Portal</title><main><h1>Chart</h1>{frame}</main>'

    return app


def signed_in(page: Page, url: str) -> FrameLocator:
    """The frame, with the form in it."""
    page.goto(url)
    frame = page.frame_locator("iframe")
    frame.get_by_role("button", name="Allow").click()
    frame.locator("#questions").wait_for()
    return frame


def test_the_form_is_completed_in_a_frame_of_another_site(page: Page, portal: Portal, report: str) -> None:
    """Its cookies belong to the EHR's page alone, and suffice."""
    frame, ehr = signed_in(page, portal.chart), portal.ehr
    answer(frame, THREE, report)
    frame.locator("#so-far", has_text="13 of 13").wait_for()
    frame.locator('button[value="complete"]').click()
    frame.get_by_role("heading", name="What happens next").wait_for()
    assert [one["status"] for one in ehr.written if one["resourceType"] == "QuestionnaireResponse"] == ["completed"]
    kept = page.context.cookies()
    assert kept
    assert {one.get("partitionKey") for one in kept if "plan" in one["domain"]} == {"https://portal.example"}


def test_signed_out_in_a_frame_what_was_typed_comes_back(page: Page, portal: Portal, report: str) -> None:
    """The sign-in goes on in the frame, for another tab has other cookies; the form holds the answers, unsaved."""
    frame, ehr = signed_in(page, portal.chart), portal.ehr
    ehr.tokens.clear()
    frame.locator('[name="q.liver"]').fill("5.10")
    frame.locator("#criterion-4b summary").click()
    frame.locator('[name="q.reason"]').fill("Typed before the token ran out")
    frame.get_by_role("button", name="Save for later").click()
    frame.get_by_role("heading", name="You were signed out").wait_for()
    frame.get_by_role("link", name="Sign in again").click()
    frame.get_by_role("button", name="Allow").click()
    frame.get_by_text("not saved yet").wait_for()
    assert frame.locator('[name="q.liver"]').input_value() == "5.10"
    assert frame.locator('[name="q.reason"]').input_value() == "Typed before the token ran out"
    frame.get_by_role("button", name="Save for later").click()
    frame.get_by_text("Saved in the chart").wait_for()
    assert ehr.written[-1]["status"] == "in-progress"


def test_where_no_cookie_is_kept_the_page_offers_a_window_of_its_own(
    page: Page, portal: Portal, findings_of: Callable[[Page], list[str]]
) -> None:
    """As to a browser that does not know `Partitioned`; it is told before the EHR is asked, and the window works."""
    portal.plan.app = _unpartitioned(portal.plan.app)
    page.goto(portal.chart)
    frame = page.frame_locator("iframe")
    frame.get_by_role("heading", name="The form needs a window of its own").wait_for()
    assert findings_of(page) == []
    with page.expect_popup() as opened:
        frame.get_by_role("link", name="Open the form in a window of its own").click()
    opened.value.get_by_role("button", name="Allow").click()
    opened.value.locator("#questions").wait_for()


def _unpartitioned(app: Any) -> Any:
    def answer(environ: Any, start: Any) -> Any:
        def started(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start(status, [(name, value.replace("; Partitioned", "")) for name, value in headers], *more)

        return app(environ, started)

    return answer
