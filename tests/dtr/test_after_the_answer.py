"""The card's assertion opens the form with what the answer was judged from."""

from collections.abc import Callable
from datetime import datetime, time, tzinfo
from pathlib import Path
from types import SimpleNamespace

import pytest
from asking import Json, answer, answers, asked_for, outcome, packages, post
from cryptography.fernet import Fernet
from flask import Flask
from signing import BASE, BY_ID, PUBLIC, TODAY, Ehr, said_of

from cds_service.app import create_app
from cds_service.ledger.lookup import LedgerAwayError, Reader
from cds_service.settings import read_settings
from hooks.service import Service

STORY = "demo-labs-missing"
Signed = Callable[..., tuple[Flask, str]]


@pytest.fixture
def signed(tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch) -> Signed:
    """A function: the service after the story's order was signed, and the assertion id that the order then carries."""

    def now(tz: tzinfo | None = None) -> datetime:
        return datetime.combine(TODAY, time(12), tz)

    monkeypatch.setattr("cds_service.routes.datetime", SimpleNamespace(now=now))

    def sign(keys: str = "") -> tuple[Flask, str]:
        app = create_app(
            read_settings({}, public_url=PUBLIC, auth="off", fhir_servers=(BASE,), data_dir=tmp_path, ledger_keys=keys)
        )
        answered = Ehr(app.test_client(), service.templates).sign(BY_ID[STORY])
        (assertion_id,) = said_of(answered)["coverage-assertion-id"]
        return app, assertion_id

    return sign


def draft_of(app: Flask, assertion_id: str, **more: str) -> Json:
    """The draft that the assertion opens."""
    ((_, draft),) = packages(answer(post(app.test_client(), asked_for(STORY, context=assertion_id, **more))))
    return draft


@pytest.mark.conformance("found-4")
def test_the_form_of_an_answer_holds_what_it_was_judged_from(signed: Signed) -> None:
    """Results, diagnosis and statements of the chart; what is missing stays empty."""
    app, assertion_id = signed(Fernet.generate_key().decode())
    given = answers(draft_of(app, assertion_id))
    assert {"q.dx", "q.baseline", "q.baseline.date", "q.inhibitor", "q.exposure_days", "q.lth"} <= given.keys()
    assert not {"q.platelets", "q.hbv", "q.hiv", "q.liver"} & given.keys()


def test_without_keys_nothing_of_a_chart_is_kept_or_filled_in(signed: Signed) -> None:
    """The order's own reason is all that there is."""
    app, assertion_id = signed()
    assert set(answers(draft_of(app, assertion_id))) == {"q.dx"}


def test_a_ledger_that_is_away_costs_the_prefill_alone(signed: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order's form comes, with a warning; where the context is all there is, 503."""
    app, assertion_id = signed(Fernet.generate_key().decode())

    def away(*_: object) -> None:
        raise LedgerAwayError

    monkeypatch.setattr(Reader, "answered", away)
    found = answer(post(app.test_client(), asked_for(STORY, context=assertion_id)))
    assert len(packages(found)) == 1
    (issue,) = [one["resource"]["issue"] for one in found["parameter"] if one["name"] == "outcome"]
    assert [one["code"] for one in issue] == ["transient"]
    body = asked_for(STORY, context=assertion_id)
    body["parameter"] = [one for one in body["parameter"] if one["name"] != "order"]
    response = post(app.test_client(), body)
    assert outcome(response, 503)["code"] == "transient"
    assert response.headers["Retry-After"]
