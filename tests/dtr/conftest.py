"""The endpoint under test, on a fixed day, with one assertion that it knows."""

from datetime import datetime, time, tzinfo
from types import SimpleNamespace
from typing import Any

import pytest
from asking import CONTEXT, Endpoint
from flask import Flask
from flask.testing import FlaskClient
from msgspec.structs import replace
from signing import TODAY

from cds_service.callers import OpenCallers
from cds_service.dtr.forms import Forms
from cds_service.dtr.package import Known
from cds_service.fhir_endpoint import fhir_endpoint
from cds_service.settings import Settings
from cds_service.web import register_errors
from hooks.service import Service


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is noon of the tests' day."""

    def now(tz: tzinfo | None = None) -> datetime:
        return datetime.combine(TODAY, time(12), tz)

    monkeypatch.setattr("cds_service.fhir_endpoint.datetime", SimpleNamespace(now=now))


@pytest.fixture
def endpoint(service: Service, settings: Settings) -> Endpoint:
    """A function: a client of an endpoint that knows this much behind CONTEXT, and speaks this DTR version."""

    own = service

    def build(
        known: Known | None = None,
        dialect: Any = "2.2",
        callers: Any = None,
        log: Any = None,
        service: Service = own,
    ) -> FlaskClient:
        app = Flask("forms")
        register_errors(app, service.log)
        app.register_blueprint(
            fhir_endpoint(
                replace(service, default_dialect=dialect, log=log or service.log),
                Forms(service.library, service.vocabulary.labs, service.links.public_url, settings.max_body_bytes),
                settings,
                callers or OpenCallers(()),
                lambda context, caller: known if context == CONTEXT else None,
            )
        )
        return app.test_client()

    return build


@pytest.fixture
def forms(endpoint: Endpoint) -> FlaskClient:
    """A client of an endpoint that knows no assertion."""
    return endpoint()
