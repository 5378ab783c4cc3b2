"""The form in a frame: which cookies it is given, who may frame it, and what a browser without cookies is shown."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sign_in import Browser, OtherEhr
from signing import BASE, PUBLIC
from test_trouble import later
from werkzeug.test import TestResponse

from cds_service.app import create_app
from cds_service.settings import read_settings

FRAMED = {"Sec-Fetch-Dest": "iframe"}
PORTAL = "https://portal.example"
LAUNCH = f"/smart/launch?iss={BASE}&launch=L1"


def client_of(folder: Path, **more: Any) -> FlaskClient:
    """A client of the service, reached by https."""
    given = {"auth": "off", "fhir_servers": (BASE,), "data_dir": folder, **more}
    return create_app(read_settings({}, public_url=PUBLIC, **given)).test_client()


def test_in_a_window_no_cookie_is_partitioned(other_ehr: OtherEhr, tmp_path: Path) -> None:
    """As before: a sign-in again in another tab finds the form."""
    cookies = client_of(tmp_path).get(LAUNCH, base_url=PUBLIC).headers.getlist("Set-Cookie")
    assert cookies
    assert not any("Partitioned" in cookie for cookie in cookies)


def test_in_a_frame_the_browser_is_asked_first(other_ehr: OtherEhr, tmp_path: Path) -> None:
    """It gets a partitioned cookie and comes again; what brings it back goes on to the EHR with partitioned ones."""
    client = client_of(tmp_path)
    asked = client.get(LAUNCH, base_url=PUBLIC, headers=FRAMED)
    assert asked.status_code == 302
    (cookie,) = asked.headers.getlist("Set-Cookie")
    assert all(part in cookie for part in ("Partitioned", "Secure", "HttpOnly", "SameSite=None"))
    again = client.get(asked.headers["Location"], base_url=PUBLIC, headers=FRAMED)
    assert again.headers["Location"].startswith("https://ehr.example")
    assert all("Partitioned" in cookie for cookie in again.headers.getlist("Set-Cookie"))


def test_a_frame_without_cookies_is_offered_a_window(other_ehr: OtherEhr, tmp_path: Path) -> None:
    """The EHR is not asked, so the launch is still good in that window."""
    client = client_of(tmp_path)
    asked = client.get(LAUNCH, base_url=PUBLIC, headers=FRAMED)
    client.delete_cookie("kept", domain="plan.example", path="/smart/launch")
    page = client.get(asked.headers["Location"], base_url=PUBLIC, headers=FRAMED)
    assert "window of its own" in page.text
    assert 'target="_blank"' in page.text
    assert f"frame-ancestors 'self' {BASE.rsplit('/', 1)[0]}" in page.headers["Content-Security-Policy"]


def test_only_the_ehr_and_those_named_may_frame_the_form(other_ehr: OtherEhr, tmp_path: Path) -> None:
    """Its own origin, the EHR's, and what `CDS_SMART_FRAMES` names; nobody where there is no EHR."""
    browser = Browser(client_of(tmp_path, smart_frames=(PORTAL,)), other_ehr)
    browser.open()
    policy = browser.get(browser.page).headers["Content-Security-Policy"]
    assert policy.split("frame-ancestors ")[1].split(";")[0] == f"'self' {'/'.join(BASE.split('/')[:3])} {PORTAL}"
    assert "frame-ancestors 'none'" in browser.get("/smart/form").headers["Content-Security-Policy"]


def test_typed_answers_of_another_page_are_not_kept(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed out in a frame, what was typed waits in the cookie only where it came with the page's own token."""
    browser.open()
    own = browser.fields()["csrf"]
    later(monkeypatch, 16)

    def reply(csrf: str) -> TestResponse:
        sent = {"csrf": csrf, "action": "save", "q.reason": "typed"}
        return browser.client.post(browser.page, data=sent, base_url=PUBLIC, headers=FRAMED)

    for csrf, is_kept in (("wrong", False), (own, True)):
        found = reply(csrf)
        assert found.status_code == 401
        assert ("Set-Cookie" in found.headers) is is_kept
    assert browser.client.get(browser.page, base_url=PUBLIC).status_code == 401  # and the session is over as before
