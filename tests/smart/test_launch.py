"""From the EHR's launch to an open form: who may launch, how a sign-in goes, and what is refused."""

import re
import secrets
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import responses
from flask import Flask
from sign_in import FORM, SIGN_IN, Browser, OtherEhr
from signing import BASE, PUBLIC
from werkzeug.test import TestResponse

from cds_service.app import create_app
from cds_service.settings import Settings, read_settings


def said(response: TestResponse, status: int) -> str:
    """The page's text; the page must be one, with that status."""
    assert response.status_code == status, response.get_data(as_text=True)
    assert response.mimetype == "text/html"
    return response.get_data(as_text=True)


def test_a_launch_goes_to_the_sign_in_with_pkce_and_state(browser: Browser) -> None:
    """The redirect carries what SMART App Launch asks for, and a cookie that scripts cannot read."""
    away = browser.launch()
    asked = parse_qs(urlsplit(away.headers["Location"]).query)
    assert away.headers["Location"].startswith(f"{SIGN_IN}/authorize?")
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["aud"] == [BASE]
    assert asked["redirect_uri"] == [f"{PUBLIC}/smart/callback"]
    assert asked["client_id"] == ["drug-coverage-form"]
    assert {"launch", "openid", "fhirUser"} < set(asked["scope"][0].split())
    assert len(asked["state"][0]) >= 32
    assert re.search(r"Secure; HttpOnly; Path=/smart/callback; SameSite=None", away.headers["Set-Cookie"])


@pytest.mark.parametrize(
    "iss",
    [
        "https://evil.example/fhir",
        "https://ehr.example/fhirx",
        "https://ehr.example/fhir/../other",
        "https://ehr.example:444/fhir",
        "http://ehr.example/fhir",
        "https://user@ehr.example/fhir",
        "",
        "file:///etc/passwd",
    ],
)
def test_only_a_registered_record_system_may_launch(browser: Browser, other_ehr: OtherEhr, iss: str) -> None:
    """A foreign iss is refused with a page, and nothing is read from it."""
    assert "not registered" in said(browser.launch(iss), 403)
    assert other_ehr.asked == []


def test_a_slash_at_the_end_of_iss_makes_no_difference(browser: Browser) -> None:
    """EHRs write their base either way; the sign-in gets it back as it was written."""
    away = browser.launch(BASE + "/")
    assert parse_qs(urlsplit(away.headers["Location"]).query)["aud"] == [BASE + "/"]


@pytest.mark.parametrize(
    "endpoint",
    ["https://evil.example/token", "http://ehr.example/token", "https://ehr.example.evil/token", "", None, 7],
)
@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint"])
def test_a_sign_in_elsewhere_is_not_used(browser: Browser, other_ehr: OtherEhr, name: str, endpoint: object) -> None:
    """Both endpoints must be https and of the iss's own origin."""
    other_ehr.discovery[name] = endpoint
    assert "cannot be used" in said(browser.launch(), 502)


def test_a_sign_in_elsewhere_is_used_where_the_operator_lists_it(
    form_settings: Settings, other_ehr: OtherEhr, tmp_path: Path
) -> None:
    """`CDS_SMART_AUTH_SERVERS` lets EHRs keep their sign-in on another host."""
    settings = read_settings(
        {"CDS_SMART_AUTH_SERVERS": "https://login.example/oauth"},
        **{**form_settings.model_dump(exclude_defaults=True), "data_dir": tmp_path},
    )
    other_ehr.discovery["authorization_endpoint"] = "https://login.example/oauth/authorize"
    away = Browser(create_app(settings).test_client(), other_ehr).launch()
    assert away.headers["Location"].startswith("https://login.example/oauth/authorize?")


def test_the_form_opens_after_the_sign_in(browser: Browser, other_ehr: OtherEhr) -> None:
    """The token stays with the server: neither page nor cookie shows it, and every read carries it."""
    html = browser.open()
    assert "Documentation for Hemgenix" in html
    assert "Hickory Example" in html
    cookies = str(browser.client._cookies)
    assert "secret-token" not in html + cookies
    assert other_ehr.tokens == {"Bearer secret-token"}


def test_a_state_counts_once(browser: Browser) -> None:
    """A callback that comes again is refused, whatever the browser still has."""
    jar = browser.client
    back = browser.sign_in(browser.launch())
    kept = dict(jar._cookies)
    assert browser.get(back).status_code == 303
    jar._cookies.update(kept)
    assert "used before" in said(browser.get(back), 403)


def test_a_state_of_another_browser_is_refused(browser: Browser, form_app: Flask, other_ehr: OtherEhr) -> None:
    """A callback link is worth nothing without the cookie of the browser that began."""
    back = browser.sign_in(browser.launch())
    other = Browser(form_app.test_client(), other_ehr)
    assert "not begun here" in said(other.get(back), 403)
    assert "not begun here" in said(other.get("/smart/callback?code=x&state="), 403)
    assert "not begun here" in said(other.get("/smart/callback?code=x&state=%00%0d%0a" + "x" * 40), 403)


def test_a_code_for_another_verifier_is_refused(browser: Browser, other_ehr: OtherEhr) -> None:
    """The EHR checks PKCE; its refusal is a clear page without its words."""
    back = browser.sign_in(browser.launch())
    other_ehr.challenges = {"code-0": "another"}
    assert "did not sign you in" in said(browser.get(back), 403)


def test_a_sign_in_that_was_declined_is_a_page(browser: Browser) -> None:
    """The EHR's error code is not shown."""
    state = parse_qs(urlsplit(browser.launch().headers["Location"]).query)["state"][0]
    page = said(browser.get(f"/smart/callback?error=access_denied&state={state}"), 403)
    assert "access_denied" not in page


@pytest.mark.parametrize(
    ("token", "status", "text"),
    [
        ({"patient": None}, 400, "No patient"),
        ({"patient": "../x"}, 400, "No patient"),
        ({"access_token": None}, 403, "did not sign you in"),
        ({"token_type": "mac"}, 403, "did not sign you in"),
        ({"appContext": "{not json"}, 400, "could not be opened"),
        ({"appContext": '{"order": 7}'}, 400, "could not be opened"),
        ({"appContext": '{"order": "https://evil.example/MedicationRequest/1"}'}, 400, "could not be opened"),
        ({"appContext": '{"order": "Patient/1"}'}, 400, "could not be opened"),
        ({"access_token": secrets.token_urlsafe(9000)}, 502, "cannot be kept"),
    ],
)
def test_a_token_response_that_cannot_be_used_is_a_page(
    browser: Browser, other_ehr: OtherEhr, token: dict[str, object], status: int, text: str
) -> None:
    """Whatever the sign-in answers, the prescriber gets a page that says what to do."""
    other_ehr.token = token
    assert text in said(browser.get(browser.sign_in(browser.launch())), status)


def test_two_tabs_have_two_forms(browser: Browser) -> None:
    """Each launch has a cookie of its own, so one tab never writes what the other one has open."""
    browser.open()
    first = browser.page
    browser.open()
    assert browser.page != first
    assert browser.get(first).status_code == 200


@pytest.mark.parametrize(
    ("context", "status", "text"),
    [
        ({"questionnaire": f"{PUBLIC}/fhir/Questionnaire/other|1"}, 404, "not one of the plan"),
        ({"questionnaire": FORM.replace("2025-11-20", "1999-01-01")}, 404, "not one of the plan"),
        ({"questionnaire": FORM.replace("hemgenix", "roctavian")}, 409, "another drug"),
        ({"order": "MedicationRequest/of-another"}, 403, "another patient"),
        ({"coverage": "Coverage/demo-hemgenix-met-coverage"}, 403, "coverage is not"),
    ],
)
def test_a_context_of_something_else_is_refused(
    browser: Browser, other_ehr: OtherEhr, context: dict[str, str], status: int, text: str
) -> None:
    """Unknown forms, and orders or coverages of another patient, are clear pages."""
    order = {**other_ehr.story.order, "id": "of-another", "subject": {"reference": "Patient/other"}}
    other_ehr.store.put(order)
    other_ehr.context |= context
    back = browser.get(browser.sign_in(browser.launch()))
    assert text in said(browser.get(back.headers["Location"]), status)


def test_an_order_that_is_not_saved_yet_needs_no_reading(browser: Browser, other_ehr: OtherEhr) -> None:
    """A draft that the EHR does not serve: the form is known by its canonical, and the chart is read all the same."""
    other_ehr.store.remove("MedicationRequest", other_ehr.story.order["id"])
    assert "Documentation for Hemgenix" in browser.open()


def test_a_launch_without_context_finds_the_open_order(browser: Browser, other_ehr: OtherEhr) -> None:
    """EHRs that cannot hand appContext on can launch from the patient."""
    other_ehr.token = {"appContext": None}
    html = browser.open()
    assert "Documentation for Hemgenix" in html
    assert "Hemgenix (etranacogene" in html


def test_a_launch_with_fhir_context_alone_finds_its_order(browser: Browser, other_ehr: OtherEhr) -> None:
    """SMART 2.2 names what is open in fhirContext."""
    reference = f"MedicationRequest/{other_ehr.story.order['id']}"
    other_ehr.token = {"appContext": None, "fhirContext": [{"reference": reference}, {"canonical": FORM}]}
    assert "Documentation for Hemgenix" in browser.open()


def test_pages_are_guarded(browser: Browser) -> None:
    """Nothing inline, nothing kept, no referrer, framed by the EHR alone."""
    browser.open()
    response = browser.get(browser.page)
    policy = response.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'self' https://ehr.example" in policy
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    html = response.get_data(as_text=True)
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", html)


def test_the_key_of_the_cookies_is_for_the_service_alone(form_settings: Settings, form_app: Flask) -> None:
    """The file with the key cannot be read by others, and no token is in any file."""
    key = form_settings.data_dir / "form-sessions.key"
    assert key.stat().st_mode & 0o077 == 0
    for path in form_settings.data_dir.rglob("*"):
        assert not path.is_file() or b"secret-token" not in path.read_bytes()


def test_no_form_without_a_session(browser: Browser) -> None:
    """A form's address alone opens nothing."""
    assert "No form is open" in said(browser.get("/smart/form"), 400)
    assert "not open in this browser" in said(browser.get("/smart/form/0123456789abcdef"), 403)
    browser.open()
    assert "not open in this browser" in said(browser.get("/smart/form/0123456789abcdef/again"), 403)


@pytest.mark.parametrize(
    "spelled", ["https://EHR.example/fhir", "https://ehr.example:443/fhir/", "HTTPS://ehr.example/fhir"]
)
def test_a_server_is_known_however_the_settings_spell_it(
    spelled: str, form_settings: Settings, other_ehr: OtherEhr, tmp_path: Path
) -> None:
    """As it is for CDS calls."""
    settings = form_settings.model_copy(update={"fhir_servers": (spelled,), "data_dir": tmp_path})
    browser = Browser(create_app(settings).test_client(), other_ehr)
    assert "To be answered" in browser.open()


def test_a_server_that_is_registered_no_more_is_not_read(
    browser: Browser, form_settings: Settings, other_ehr: OtherEhr
) -> None:
    """A session that was begun before is neither read for nor written for."""
    browser.open()
    settings = form_settings.model_copy(update={"fhir_servers": ("https://other.example/fhir",)})
    later = Browser(create_app(settings).test_client(), other_ehr)
    later.client._cookies.update(browser.client._cookies)
    later.page, later.html = browser.page, browser.html
    asked = len(other_ehr.asked)
    assert "not registered" in said(later.get(later.page), 403)
    assert "not registered" in said(later.send("save", {}), 403)
    assert len(other_ehr.asked) == asked


def test_a_server_that_is_down_is_left_alone_by_the_base_it_is_registered_with(
    form_settings: Settings, other_ehr: OtherEhr, tmp_path: Path
) -> None:
    """The form's reads count for the circuit, and in the metrics, as those of CDS calls do."""
    settings = form_settings.model_copy(update={"data_dir": tmp_path})
    browser = Browser(create_app(settings).test_client(), other_ehr)
    browser.open()
    with responses.RequestsMock() as network:  # where nothing answers
        for _ in range(4):
            assert "could not be read" in said(browser.get(browser.page), 502)
        cost = len(network.calls)
        said(browser.get(browser.page), 502)
        assert len(network.calls) == cost
    told = browser.get("/metrics").get_data(as_text=True)
    assert f'cds_fhir_circuits_open{{server="{BASE}"}} 1.0' in told
