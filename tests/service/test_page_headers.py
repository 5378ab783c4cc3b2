"""What browsers are told with every page: nothing inline, nothing from elsewhere, no frame, no referrer."""

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from cds_service.demo.run import demo_app, demo_settings

PAGES = ("/policies", "/policies/pharmacy-109/hemgenix", "/demo", "/smart/launch", "/smart/callback")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """The service with every page that there is."""
    return demo_app(demo_settings(8080, tmp_path_factory.mktemp("data")))


@pytest.fixture
def browser(demo: Flask) -> FlaskClient:
    """A browser of it."""
    return demo.test_client()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_from_here_alone_and_is_framed_by_nobody(path: str, browser: FlaskClient) -> None:
    """Content-Security-Policy, X-Frame-Options, Referrer-Policy and nosniff, errors included."""
    response = browser.get(path, headers={"Accept": "text/html"})
    assert response.mimetype == "text/html"
    policy = dict(part.strip().split(" ", 1) for part in response.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert {value for name, value in policy.items() if name.endswith("-src")} <= {"'self'", "'none'"}
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("path", PAGES)
def test_nothing_on_a_page_is_inline(path: str, browser: FlaskClient) -> None:
    """No script, no style, no handler, no javascript: address, and nothing from another host."""
    html = browser.get(path, headers={"Accept": "text/html"}).get_data(as_text=True)
    assert re.findall(r"<script(?![^>]*\bsrc=)", html) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+\s*=|javascript:", html) == []
    loaded = re.findall(r"<(?:script|link|img|iframe)[^>]*\b(?:src|href)=\"([^\"]+)", html)
    assert [url for url in loaded if not url.startswith("/") or url.startswith("//")] == []


@pytest.mark.parametrize("path", ["/policies", "/policies/pharmacy-109/hemgenix"])
def test_a_page_that_is_only_read_may_run_and_send_nothing(path: str, browser: FlaskClient) -> None:
    """No script at all, no form."""
    policy = browser.get(path, headers={"Accept": "text/html"}).headers["Content-Security-Policy"]
    assert "script-src" not in policy
    assert "form-action 'none'" in policy


@pytest.mark.parametrize("path", ["/cds-services", "/health/live", "/metrics", "/pages/policy.css", "/nowhere"])
def test_no_answer_is_guessed_to_be_a_page(path: str, browser: FlaskClient) -> None:
    """JSON, metrics, styles and errors come with nosniff."""
    with browser.get(path) as response:
        assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_every_template_is_seen_by_these_tests() -> None:
    """A page with a template of its own is either listed here or belongs to the documentation form's tests."""
    root = Path(__file__).resolve().parents[2] / "cds_service"
    folders = {path.parent.parent.name for path in root.glob("*/templates/*.html")}
    assert folders == {"pages", "demo", "smart"}
    inline = re.compile(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=")
    assert [path.name for path in root.glob("*/templates/*.html") if inline.search(path.read_text())] == []
