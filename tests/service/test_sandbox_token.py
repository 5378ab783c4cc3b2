"""Tokens as the CDS Hooks Sandbox writes them: ES384, its key's URL in the header, five minutes, a new `jti` each."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from flask.testing import FlaskClient
from jwt.algorithms import ECAlgorithm
from signing import BASE, BY_ID, PUBLIC, Ehr, Json
from werkzeug.test import TestResponse

from cds_service.app import create_app
from cds_service.settings import Settings
from hooks.wire import encode

ISS = "https://sandbox.example"
KID = "44444444-0b01-4a6c-a80e-b9d3e8a7226f"
KEY = generate_private_key(SECP384R1())
PATH = "/cds-services/order-sign-crd"
STORY = BY_ID["demo-labs-missing"]
Register = Callable[..., FlaskClient]


def key_set() -> Json:
    """What is published: EC P-384 with `use`, `kid` and `alg`."""
    found = ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    return {"keys": [{"kty": "EC", "use": "sig", "crv": "P-384", "kid": KID, "x": found["x"], "y": found["y"]}]}


@pytest.fixture
def published() -> Iterator[str]:
    """The URL of the published keys."""

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(key_set()).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/.well-known/jwks.json"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def registered(settings: Settings, tmp_path: Path, client: FlaskClient) -> Register:
    """A function: a client of a service that knows the sandbox with these members."""

    def register(**members: Any) -> FlaskClient:
        file = tmp_path / "clients.json"
        file.write_text(json.dumps([{"iss": ISS, "fhir_servers": [BASE], "dialect": "plain", **members}]))
        (tmp_path / "data").mkdir()
        given = {"auth": "required", "trusted_clients": file, "data_dir": tmp_path / "data"}
        return create_app(settings.model_copy(update=given)).test_client()

    return register


def token(jku: str | None, **claims: Any) -> str:
    """The sandbox's token for this call; its times are rounded seconds."""
    now = round(time.time())
    payload = {"iss": ISS, "aud": PUBLIC + PATH, "exp": now + 300, "iat": now, "jti": str(uuid.uuid4()), **claims}
    header = {"alg": "ES384", "typ": "JWT", "kid": KID, **({"jku": jku} if jku else {})}
    return jwt.encode(payload, KEY, algorithm="ES384", headers=header)


def sent(client: FlaskClient, ehr: Ehr, bearer: str) -> TestResponse:
    """The response to a call with this token, asked for and sent as the sandbox does."""
    headers = {"Authorization": f"Bearer {bearer}", "Accept": "application/json"}
    return client.post(PATH, data=encode(ehr.call(STORY)), content_type="application/json", headers=headers)


def test_its_token_is_taken_once(registered: Register, published: str, ehr: Ehr) -> None:
    """Registered by the URL that it names; the same token again is refused."""
    client, bearer = registered(jku=published), token(published)
    assert sent(client, ehr, bearer).status_code == 200
    assert sent(client, ehr, bearer).status_code == 401
    assert sent(client, ehr, token(published)).status_code == 200


def test_with_its_keys_in_the_registration_a_url_in_its_token_is_refused(registered: Register, ehr: Ehr) -> None:
    """A registration has one or the other: a token that names a URL is then not the registered client's."""
    client = registered(jwks=key_set())
    assert sent(client, ehr, token(None)).status_code == 200
    response = sent(client, ehr, token("https://sandbox.example/.well-known/jwks.json"))
    assert (response.status_code, b"jku" in response.data) == (401, False)


def test_a_token_for_feedback_is_none_for_a_call(registered: Register, published: str, ehr: Ehr) -> None:
    """`aud` is the URL that is called, to the letter."""
    client = registered(jku=published)
    assert sent(client, ehr, token(published, aud=f"{PUBLIC}{PATH}/feedback")).status_code == 401
