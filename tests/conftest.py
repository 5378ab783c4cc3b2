"""The service under test, on a fixed day, and the EHR that calls it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, tzinfo
from types import SimpleNamespace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from signing import BASE, PUBLIC, TODAY, Ehr, FhirServer

from cds_service.app import build_service, create_app
from cds_service.demo.store import Store
from cds_service.settings import Settings, read_settings
from hooks.service import Service


@pytest.fixture(scope="session")
def today() -> date:
    """The day on which every call of these tests is answered."""
    return TODAY


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """No tokens, a folder of its own, and one FHIR server that may be read."""
    return read_settings(
        {},
        public_url=PUBLIC,
        auth="off",
        fhir_servers=(BASE,),
        payer_label="Example Health Plan",
        data_dir=tmp_path_factory.mktemp("data"),
        deadline_s=3.0,
        max_body_bytes=2_000_000,
    )


@pytest.fixture(scope="session")
def service(settings: Settings) -> Service:
    """What calls are answered with."""
    return build_service(settings)


@pytest.fixture(scope="session")
def app(settings: Settings) -> Flask:
    """The service as it is served."""
    return create_app(settings)


@pytest.fixture
def at_noon(today: date, monkeypatch: pytest.MonkeyPatch) -> None:
    """For calls it is noon of `today`."""

    def now(tz: tzinfo | None = None) -> datetime:
        return datetime.combine(today, time(12), tz)

    monkeypatch.setattr("cds_service.routes.datetime", SimpleNamespace(now=now))


@pytest.fixture
def client(app: Flask, at_noon: None) -> FlaskClient:
    """A client of the service, for which it is noon of `today`."""
    return app.test_client()


@pytest.fixture
def ehr(client: FlaskClient, service: Service) -> Ehr:
    """The EHR that signs orders."""
    return Ehr(client, service.templates)


@pytest.fixture
def serving() -> Callable[[Store], Iterator[FhirServer]]:
    """A function: the FHIR server at BASE, answered from a store, as a context."""

    @contextmanager
    def serve(store: Store) -> Iterator[FhirServer]:
        yield from FhirServer(store).serve()

    return serve
