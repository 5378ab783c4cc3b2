"""What the tests against a real FHIR server stand on; they are there only when FHIR_BASE names such a server.

This is the one file here that knows how the service and its demo EHR are put together.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server

collect_ignore = ["target"]
if "FHIR_BASE" not in os.environ:
    collect_ignore += ["test_same_answers.py", "test_refused_token.py"]
elif "FHIR_GUARDED_BASE" not in os.environ:
    collect_ignore += ["test_refused_token.py"]


@pytest.fixture(scope="session")
def fhir_base() -> str:
    """The base URL of the FHIR server under test."""
    return os.environ["FHIR_BASE"]


@pytest.fixture(scope="session")
def service_reading(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., FlaskClient]:
    """A function: a client of a fresh service that may read the FHIR server at the base URL given, in batches if so."""
    from order_entry import PUBLIC_URL

    from cds_service.app import create_app
    from cds_service.settings import read_settings

    def start(base: str, batches: bool = False) -> FlaskClient:
        data: Path = tmp_path_factory.mktemp("data")
        settings = read_settings(
            {
                "CDS_AUTH": "off",
                "CDS_PUBLIC_URL": PUBLIC_URL,
                "CDS_FHIR_SERVERS": base,
                "CDS_BATCH_SERVERS": base if batches else "",
                "CDS_DATA_DIR": str(data),
                "CDS_DATABASE_URL": f"sqlite:///{data}/ledger.db",
                "CDS_DEADLINE_S": "60",  # a cold server on a busy machine: how long it takes is not the question here
            }
        )
        return create_app(settings).test_client()

    return start


@pytest.fixture(scope="session")
def embedded_base() -> Iterator[str]:
    """The base URL of an empty store of the demo's kind, served on a free port."""
    from cds_service.demo.server import fhir_blueprint
    from cds_service.demo.store import Store

    app = Flask("embedded")
    app.register_blueprint(fhir_blueprint(Store(), url_prefix="/fhir"))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/fhir"
    server.shutdown()
    thread.join()
    server.server_close()
