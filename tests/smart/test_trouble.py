"""What becomes of a form when the sign-in runs out or the record system does not take it."""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sign_in import PDF, Browser, OtherEhr
from signing import BASE, PUBLIC, criterion, outcomes
from test_form import answers_of, newest, sign

from cds_service.app import create_app
from cds_service.settings import Settings, read_settings

Files = dict[str, tuple[bytes, str]]


def later(monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    """Lets so many minutes pass for the form."""
    import cds_service.smart.session as session

    now = session.now_s()
    for module in ("desk", "routes"):
        monkeypatch.setattr(f"cds_service.smart.{module}.now_s", lambda: now + minutes * 60)


def test_a_token_that_runs_out_costs_nothing_that_was_typed(
    browser: Browser, other_ehr: OtherEhr, three: dict[str, str]
) -> None:
    """The EHR says 401: the page comes again with the answers, and after signing in they are saved from there."""
    browser.open()
    other_ehr.is_expired = True
    typed = {**three, "q.reason": "typed before the token ran out"}
    response = browser.send("save", typed, {"q.aav5.report": (PDF, "a.pdf")})
    browser.html = response.get_data(as_text=True)
    assert response.status_code == 401
    assert typed.items() <= browser.fields().items()
    assert "Choose the file again" in browser.html
    assert "Hickory" not in browser.html
    again = re.search(r'href="(/smart/form/[0-9a-f]{16}/again)"', browser.html)
    assert again is not None
    other_ehr.is_expired = False
    other_ehr.token = {"access_token": "second-token"}
    page = browser.get(browser.sign_in(browser.get(again[1])))
    assert "You are signed in again" in page.get_data(as_text=True)
    assert browser.send("save", {}).status_code == 303
    assert answers_of(newest(other_ehr))["q.reason"]["valueString"] == typed["q.reason"]
    assert "Bearer second-token" in other_ehr.tokens


@pytest.mark.parametrize(("minutes", "status"), [(-1, 200), (-2, 401)])
def test_a_clock_that_is_set_back_keeps_no_session_open(
    minutes: int, status: int, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long nobody was there cannot be told, so who it is is asked anew; instances may differ by a minute."""
    browser.open()
    later(monkeypatch, minutes)
    assert browser.get(browser.page).status_code == status


def test_quarter_of_an_hour_without_a_sign_ends_the_session(
    browser: Browser, other_ehr: OtherEhr, three: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The EHR is not even asked; what was typed is on the page."""
    browser.open()
    asked = len(other_ehr.asked)
    later(monkeypatch, 16)
    response = browser.send("save", three)
    assert response.status_code == 401
    browser.html = response.get_data(as_text=True)
    assert three.items() <= browser.fields().items()
    assert len(other_ehr.asked) == asked
    page = browser.get(browser.page)
    assert page.status_code == 401
    assert "Sign in again" in page.get_data(as_text=True)


def test_without_a_session_the_answers_are_still_shown(
    browser: Browser, other_ehr: OtherEhr, three: dict[str, str]
) -> None:
    """A browser that lost its cookies shows what was typed, and says to open the form again."""
    browser.open()
    browser.client._cookies.clear()
    response = browser.send("save", three)
    page = response.get_data(as_text=True)
    assert response.status_code == 401
    assert "Open the form again" in page
    assert "5.10" in page


def test_signing_in_again_to_another_patient_is_refused(browser: Browser, other_ehr: OtherEhr) -> None:
    """Answers about one patient never reach another's chart."""
    browser.open()
    other_ehr.token = {"patient": "demo-hemgenix-met"}
    page = browser.get(browser.sign_in(browser.get(browser.page + "/again")))
    assert page.status_code == 403
    assert "Another patient is open" in page.get_data(as_text=True)


def test_a_form_that_the_chart_does_not_take_is_shown_to_print(
    browser: Browser, other_ehr: OtherEhr, three: dict[str, str], reports: Files, form_settings: Settings
) -> None:
    """Without a key nothing is kept here, and the page says so plainly with every answer on it."""
    other_ehr.refuses = {"QuestionnaireResponse"}
    browser.open()
    response = browser.send("complete", three, reports)
    page = response.get_data(as_text=True)
    assert response.status_code == 502
    assert "not saved anywhere" in page
    assert "5.10 kPa" in page
    assert "aav5.pdf" in page


def test_the_form_to_print_says_whose_it_is(
    browser: Browser, other_ehr: OtherEhr, three: dict[str, str], reports: Files
) -> None:
    """On paper it is filed by name, birth date, member number and the plan's own reference."""
    other_ehr.refuses = {"QuestionnaireResponse"}
    browser.open()
    text = browser.send("complete", three, reports).get_data(as_text=True)
    for told in (
        "Hickory Example, born ",
        "Member number</dt><dd>EX",
        "Ordered by</dt><dd>Hazel Example",
        "reference</dt>",
    ):
        assert told in text
    assert "<dd>Yes</dd>" in text


def test_from_the_form_to_print_a_person_goes_back_to_what_was_typed(
    browser: Browser, other_ehr: OtherEhr, three: dict[str, str], reports: Files
) -> None:
    """The page holds every answer but the files, and its button sends them."""
    other_ehr.refuses = {"QuestionnaireResponse"}
    browser.open()
    text = browser.send("complete", three, reports).get_data(as_text=True)
    held = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', text))
    again = browser.client.post(browser.page, data={**held, "action": "save"}, base_url=PUBLIC)
    assert "Your answers are still on this page" in again.get_data(as_text=True)
    assert 'value="5.10"' in again.get_data(as_text=True)


def test_a_draft_that_the_chart_does_not_take_stays_on_the_page(
    browser: Browser, other_ehr: OtherEhr, three: dict[str, str]
) -> None:
    """It says that nothing is saved."""
    other_ehr.refuses = {"QuestionnaireResponse"}
    browser.open()
    response = browser.send("save", three)
    browser.html = response.get_data(as_text=True)
    assert response.status_code == 502
    assert "nothing is saved" in browser.html
    assert three.items() <= browser.fields().items()


def test_a_report_that_the_chart_does_not_take_goes_into_the_form(
    browser: Browser, other_ehr: OtherEhr, three: dict[str, str], reports: Files
) -> None:
    """Where documents cannot be written, the answer itself holds the file, and counts."""
    other_ehr.refuses = {"DocumentReference"}
    browser.open()
    assert browser.send("complete", three, reports).status_code == 303
    assert "data" in answers_of(newest(other_ehr))["q.aav5.report"]["valueAttachment"]
    assert outcomes(sign(browser, other_ehr)) == ["criteria-met"]


KEY = Fernet.generate_key().decode()


def key_settings(settings: Settings, folder: Path) -> Settings:
    """The settings with a key and a folder of their own."""
    given: dict[str, Any] = {**settings.model_dump(exclude_defaults=True), "data_dir": folder}
    return read_settings({"CDS_LEDGER_KEYS": KEY}, **given)


@pytest.fixture
def keeping(form_settings: Settings, other_ehr: OtherEhr, tmp_path: Path) -> tuple[Browser, Path]:
    """A browser of a service that has a key, and its folder."""
    return Browser(create_app(key_settings(form_settings, tmp_path)).test_client(), other_ehr), tmp_path


def test_a_form_that_the_chart_does_not_take_is_kept_here_and_counts(
    keeping: tuple[Browser, Path], other_ehr: OtherEhr, three: dict[str, str], reports: Files
) -> None:
    """With a key it is kept sealed, for this patient of this EHR, and the next signature finds it."""
    browser, folder = keeping
    other_ehr.refuses = {"QuestionnaireResponse", "DocumentReference"}
    browser.open()
    done = browser.send("complete", {**three, "q.reason": "A private reason"}, reports)
    assert done.status_code == 303
    assert "the plan keeps it" in browser.get(done.headers["Location"]).get_data(as_text=True)
    assert outcomes(sign(browser, other_ehr)) == ["criteria-met"]
    every = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
    assert b"private" not in every
    assert other_ehr.story.id.encode() not in every


def test_another_instance_finds_the_form_that_was_kept(
    keeping: tuple[Browser, Path],
    other_ehr: OtherEhr,
    form_settings: Settings,
    tmp_path_factory: pytest.TempPathFactory,
    three: dict[str, str],
    reports: Files,
) -> None:
    """The next signature may go to any of those that share a database."""
    browser, folder = keeping
    shared = {"database_url": f"sqlite:///{folder}/ledger.db"}
    settings = key_settings(form_settings, tmp_path_factory.mktemp("other")).model_copy(update=shared)
    other = Browser(create_app(settings).test_client(), other_ehr)
    other_ehr.refuses = {"QuestionnaireResponse", "DocumentReference"}
    browser.open()
    assert outcomes(sign(other, other_ehr)) == ["documentation-missing"]
    assert browser.send("complete", three, reports).status_code == 303
    assert outcomes(sign(other, other_ehr)) == ["criteria-met"]
    assert "10 of 13" not in other.open()


def test_a_member_s_forms_go_with_the_member(
    keeping: tuple[Browser, Path], other_ehr: OtherEhr, form_settings: Settings, three: dict[str, str], reports: Files
) -> None:
    """They are under the name that decisions about the member are under."""
    browser, folder = keeping
    other_ehr.refuses = {"QuestionnaireResponse", "DocumentReference"}
    browser.open()
    assert browser.send("complete", three, reports).status_code == 303
    sign(browser, other_ehr)
    with sqlite3.connect(folder / "ledger.db") as ledger:
        decided, kept = (ledger.execute(f"SELECT member_key FROM {t}").fetchall() for t in ("decision", "kept_form"))  # noqa: S608
    ledger.close()
    assert decided == kept


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody can write to the ledger of that folder."""
    held = sqlite3.connect(folder / "ledger.db", isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    yield
    held.execute("ROLLBACK")
    held.close()


def test_while_the_ledger_is_away_a_refused_form_is_shown_to_print(
    keeping: tuple[Browser, Path],
    other_ehr: OtherEhr,
    three: dict[str, str],
    reports: Files,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The page says plainly that it is kept nowhere."""
    monkeypatch.setattr("cds_service.ledger.forms._KEEPING_S", 0.5)
    browser, folder = keeping
    other_ehr.refuses = {"QuestionnaireResponse", "DocumentReference"}
    browser.open()
    with locked(folder):
        page = browser.send("complete", three, reports)
        assert page.status_code == 502
        assert "not saved anywhere" in page.get_data(as_text=True)


def test_while_the_ledger_is_away_a_kept_form_is_not_taken_for_none(
    keeping: tuple[Browser, Path], other_ehr: OtherEhr, three: dict[str, str], reports: Files
) -> None:
    """What it may say is not retrieved, and what the chart shows beside it still counts."""
    browser, folder = keeping
    other_ehr.refuses = {"QuestionnaireResponse", "DocumentReference"}
    browser.open()
    assert browser.send("complete", three, reports).status_code == 303
    assert outcomes(sign(browser, other_ehr)) == ["criteria-met"]
    with locked(folder):
        sign(browser, other_ehr)  # which finds out
        began = time.monotonic()
        answer = sign(browser, other_ehr)
        assert time.monotonic() - began < 2.0
    assert outcomes(answer) == ["undetermined"]
    assert criterion(answer, "5")["reason"] == "not-retrieved"
    assert criterion(answer, "2")["status"] == "met"


def test_instances_with_one_key_open_each_other_s_sessions(
    keeping: tuple[Browser, Path],
    other_ehr: OtherEhr,
    form_settings: Settings,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A load balancer may send the next page to another instance."""
    browser, folder = keeping
    browser.open()
    assert not (folder / "form-sessions.key").exists()
    other = create_app(key_settings(form_settings, tmp_path_factory.mktemp("other"))).test_client()
    other._cookies.update(browser.client._cookies)
    assert Browser(other, other_ehr).get(browser.page).status_code == 200


@pytest.mark.parametrize("trouble", ["fault", "chart"])
def test_what_was_typed_is_given_back_when_something_does_not_work(
    browser: Browser, other_ehr: OtherEhr, three: dict[str, str], monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """A fault here, or a chart that cannot be read: the page has it all, and is saved from there."""
    browser.open()
    patient = other_ehr.store.get("Patient", other_ehr.story.id)
    with monkeypatch.context() as patched:
        if trouble == "fault":
            patched.setattr("cds_service.smart.routes.saved", lambda *_: 1 / 0)
        else:
            other_ehr.store.remove("Patient", other_ehr.story.id)
        response = browser.send("save", three, {"q.aav5.report": (PDF, "a.pdf")})
    other_ehr.store.put(patient)
    assert response.status_code == (500 if trouble == "fault" else 502)
    browser.html = response.get_data(as_text=True)
    assert "what you typed is below" in browser.html
    assert "Choose the file again" in browser.html
    assert "Hickory" not in browser.html
    assert browser.fields().items() >= three.items()
    assert browser.send("save", {}).status_code == 303
    assert answers_of(newest(other_ehr))["q.liver"]["valueQuantity"]["value"] is not None


@pytest.fixture
def hurried(other_ehr: OtherEhr, tmp_path: Path) -> Browser:
    """A browser whose address may ask for three pages a minute: as many as opening the form takes."""
    given: dict[str, Any] = {"public_url": PUBLIC, "auth": "off", "fhir_servers": (BASE,), "data_dir": tmp_path}
    return Browser(create_app(read_settings({}, **given, address_rate="3/minute")).test_client(), other_ehr)


def test_what_was_typed_outlives_the_rate_of_an_address(hurried: Browser, other_ehr: OtherEhr) -> None:
    """429 says when to come again, and the form is there to be sent then."""
    hurried.open()
    response = hurried.send("save", {"q.reason": "as typed"})
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) <= 61
    html = hurried.html = response.get_data(as_text=True)
    assert "Too much was asked for at once" in html
    assert hurried.fields()["q.reason"] == "as typed"
    assert "csrf" in hurried.fields()
    assert other_ehr.written == []


def test_a_form_of_another_site_is_not_shown_in_its_place(hurried: Browser) -> None:
    """What somebody else typed is not put before a person who could send it on."""
    hurried.open()
    response = hurried.send("save", {"q.reason": "forged", "csrf": "x"})
    assert response.status_code == 429
    assert "forged" not in response.get_data(as_text=True)
