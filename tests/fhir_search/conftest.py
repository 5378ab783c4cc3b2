"""A FHIR R4 server to search: the one at FHIR_BASE where that is set, else the demo's own, on a loopback port."""

import os
import threading
import uuid
from collections.abc import Iterator

import pytest
import requests
from flask import Flask
from search_record import Server, chart
from werkzeug.serving import make_server

from cds_service.demo.server import fhir_blueprint
from cds_service.demo.store import Store


@pytest.fixture(scope="session")
def fhir_base() -> Iterator[str]:
    """The base URL of the server under test."""
    given = os.environ.get("FHIR_BASE")
    if given:
        yield given
        return
    app = Flask(__name__)
    app.register_blueprint(fhir_blueprint(Store()))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/demo/fhir"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def server(fhir_base: str) -> Iterator[Server]:
    """The server under test."""
    with requests.Session() as session:
        yield Server(fhir_base, session)


@pytest.fixture(scope="session")
def patient(server: Server) -> str:
    """The id of a patient with one of everything, beside another patient with the same."""
    me, other = f"s{uuid.uuid4().hex[:12]}", f"t{uuid.uuid4().hex[:12]}"
    for patient_id in (other, me):
        for resource in chart(patient_id):
            server.put(resource)
    return me
