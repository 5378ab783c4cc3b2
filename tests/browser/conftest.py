"""Debian's Chromium, the demo as `make demo` serves it, and the service with an EHR that is not the demo's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.fernet import Fernet
from other_ehr import OtherEhr, beside_the_plan
from serving import FLAGS, Served

from cds_service.demo.run import demo_app, demo_settings
from cds_service.demo.stories import Story, stories

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MODULES = Path(__file__).parent / "node_modules"
PDF = b"%PDF-1.7\n%report\n"


@pytest.fixture(scope="session")
def started() -> Iterator[Callable[..., Browser]]:
    """A function: the browser, started with these flags as well."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        yield lambda *flags: playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags])


@pytest.fixture(scope="session")
def chromium(started: Callable[..., Browser]) -> Iterator[Browser]:
    """The browser."""
    browser = started()
    yield browser
    browser.close()


@pytest.fixture
def new_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """A function: a page of a browser that has seen nothing. What it says on its console as an error fails the test."""
    contexts, errors = [], []

    def open_page(width: int = 1280, height: int = 900, **options: Any) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce", **options)
        context.set_default_timeout(8_000)
        contexts.append(context)
        context.on("weberror", lambda error: errors.append(str(error.error)))
        context.on("console", lambda said: errors.append(said.text) if "Security Policy" in said.text else None)
        return context.new_page()

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    """One of them, as wide as a desk's."""
    return new_page()


@pytest.fixture(scope="session")
def demo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo's origin."""
    served = Served()
    served.app = demo_app(demo_settings(served.port, tmp_path_factory.mktemp("demo")))
    with served.running():
        yield served.origin


@pytest.fixture
def demo(demo_server: str) -> str:
    """The demo's origin, its charts as at the start."""
    import requests

    requests.post(f"{demo_server}/demo/api/reset", timeout=20).raise_for_status()
    return demo_server


@pytest.fixture
def story() -> Callable[[str, str], Story]:
    """A function: the story of that id, for a service at that origin."""
    today = datetime.now(UTC).date()
    return lambda name, origin: next(one for one in stories(today, origin) if one.id == name)


@pytest.fixture
def ehr(story: Callable[[str, str], Story], tmp_path: Path) -> Iterator[OtherEhr]:
    """The other EHR, its chart lacking three reports, and a service that keeps forms which the EHR does not take."""
    key = Fernet.generate_key().decode()
    with beside_the_plan(story, Served(), Served(), data_dir=tmp_path, ledger_keys=key) as found:
        yield found


@pytest.fixture
def keyless(story: Callable[[str, str], Story], tmp_path: Path) -> Iterator[OtherEhr]:
    """The same with a service that keeps nothing of forms."""
    with beside_the_plan(story, Served(), Served(), data_dir=tmp_path) as found:
        yield found


@pytest.fixture
def report(tmp_path: Path) -> str:
    """A PDF to attach."""
    path = tmp_path / "report.pdf"
    path.write_bytes(PDF)
    return str(path)


@pytest.fixture(scope="session")
def findings_of() -> Callable[[Page], list[str]]:
    """A function: what axe-core finds on a page against WCAG 2.2 AA and its own best practices."""
    (axe,) = MODULES.glob("axe-core-*/axe.min.js")
    source = axe.read_text()

    def find(page: Page) -> list[str]:
        page.evaluate(source)  # by the debugger, beside the page's Content-Security-Policy
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {json.dumps([node['target'] for node in one['nodes']][:5])} {one['help']}"
            for one in found["violations"]
        ]

    return find


@pytest.fixture(scope="session")
def tab_to() -> Callable[[Page, str], None]:
    """A function: presses Tab until the focus is on what the selector names, and each stop shows its focus."""

    def go(page: Page, selector: str) -> None:
        for _ in range(150):
            page.keyboard.press("Tab")
            is_there, is_seen = page.evaluate(
                """(selector) => {
                    const one = document.activeElement, style = getComputedStyle(one);
                    const box = one.getBoundingClientRect();
                    const inView = box.top < innerHeight && box.bottom > 0;
                    return [one.matches(selector), one === document.body || (style.outlineStyle !== "none" && inView)];
                }""",
                selector,
            )
            assert is_seen, page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
            if is_there:
                return
        raise AssertionError(f"Tab never comes to {selector}")

    return go
