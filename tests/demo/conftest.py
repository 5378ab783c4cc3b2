"""The demo's page and its store, without the service."""

from datetime import date

import pytest
from flask import Flask

from cds_service.demo.page import demo_blueprint
from cds_service.demo.server import fhir_blueprint
from cds_service.demo.store import Store
from cds_service.demo.stories import stories

TODAY = date(2026, 11, 24)


@pytest.fixture
def store() -> Store:
    """The store behind the demo."""
    return Store()


@pytest.fixture
def app(store: Store) -> Flask:
    """The demo in an application of its own."""
    app = Flask(__name__)
    app.register_blueprint(fhir_blueprint(store))
    app.register_blueprint(demo_blueprint(store, lambda: stories(TODAY, "http://127.0.0.1")))
    return app
