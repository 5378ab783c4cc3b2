"""EHRs whose certificates come from a private authority, over real TLS: read with `CDS_CA_FILE`, and not without."""

import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from flask.testing import FlaskClient
from issuing import elliptic, key_set, signed
from signing import BY_ID, HOOK, PUBLIC, call_of, context_of, outcomes, said_of, whole_record
from werkzeug.test import TestResponse

from cds_service.app import create_app
from cds_service.demo import server as demo
from cds_service.demo.store import Store, encode_json
from cds_service.settings import read_settings
from hooks.wire import encode

MET = BY_ID["demo-hemgenix-met"]
ISS = "https://ehr.example"


def certificate(key: EllipticCurvePrivateKey, name: str, by: Any = None, signer: Any = None) -> x509.Certificate:
    """The certificate of a key: of an authority, or, signed by one, of a server on the loopback."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    issuer = by.public_key() if by is not None else key.public_key()
    # All that a strict reader of certificates asks for, as Python 3.13 is one.
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.subject if by is not None else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
    )
    if by is None:
        usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
        usage |= {"digital_signature": True, "key_cert_sign": True, "crl_sign": True}
        built = built.add_extension(x509.KeyUsage(**usage, encipher_only=False, decipher_only=False), critical=True)
    return built.sign(signer or key, hashes.SHA256())


def pem(*parts: Any) -> bytes:
    """Certificates and keys as a file has them."""
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem_ = serialization.Encoding.PEM
    return b"".join(
        one.public_bytes(pem_) if isinstance(one, x509.Certificate) else one.private_bytes(pem_, *plain)
        for one in parts
    )


class Server(ThreadingHTTPServer):
    """Room for a whole chart's reads at once; each shakes hands in its own thread."""

    request_queue_size = 128
    tls: ssl.SSLContext

    def finish_request(self, request: Any, client_address: Any) -> None:
        try:
            line = self.tls.wrap_socket(request, server_side=True)
        except OSError:  # the other side does not trust us
            return
        with line:
            super().finish_request(line, client_address)


class PrivateEhr:
    """An EHR with chart, published keys and sign-in at one address, whose certificate a private authority signed."""

    def __init__(self, folder: Path) -> None:
        authority, key = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
        root = certificate(authority, "authority")
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(pem(root))
        (folder / "server.pem").write_bytes(pem(key, certificate(key, "127.0.0.1", root, authority)))
        self.store = Store()
        self.store.reset([*MET.resources, MET.order])
        self.asked: list[str] = []
        self.server = Server(("127.0.0.1", 0), self._handler())
        self.server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.tls.load_cert_chain(folder / "server.pem")
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, path: str) -> bytes:
        """What is there."""
        url = urlsplit(path)
        match url.path:
            case "/jwks.json":
                return encode(key_set(ec=elliptic()))
            case "/fhir/.well-known/smart-configuration":
                ends = {"authorization_endpoint": f"{self.url}/authorize", "token_endpoint": f"{self.url}/token"}
                return encode(ends)
            case "/token":
                return encode({"access_token": "t", "token_type": "bearer", "patient": MET.id})
        asked = demo.Call("GET", url.path.removeprefix("/fhir/"), url.query, f"{self.url}/fhir")
        return encode_json(demo.answer(self.store, asked).resource)

    def _handler(ehr) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has a self of its own
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                ehr.asked.append(urlsplit(self.path).path)
                body = ehr.answer(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                return

        return Handler


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateEhr]:
    """The EHR, under way."""
    found = PrivateEhr(tmp_path_factory.mktemp("private"))
    thread = threading.Thread(target=found.server.serve_forever, daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture(params=[True, False], ids=["with the file", "without"])
def trusts(request: pytest.FixtureRequest, private: PrivateEhr) -> bool:
    """Whether the service is given the authority."""
    private.asked.clear()
    return bool(request.param)


def client(private: PrivateEhr, folder: Path, trusts: bool, **given: Any) -> FlaskClient:
    """The service, with the authority or without it."""
    given |= {"ca_file": private.ca_file} if trusts else {}
    return create_app(read_settings({}, public_url=PUBLIC, data_dir=folder / "data", **given)).test_client()


def test_its_chart(private: PrivateEhr, trusts: bool, tmp_path: Path) -> None:
    """Is read, or else not retrieved: no request reaches a server that cannot show who it is."""
    base = f"{private.url}/fhir"
    service = client(private, tmp_path, trusts, auth="off", fhir_servers=(base,))
    sent = {"Coverage": "coverage", "Organization": "organizations"}
    record = whole_record(one for one in MET.resources if one["resourceType"] in sent)
    call = call_of(context_of(MET.order), {key: record[key] for key in sent.values()}, fhirServer=base)
    answer = service.post(HOOK, data=encode(call), content_type="application/json").get_json()
    assert outcomes(answer) == (["criteria-met"] if trusts else ["undetermined"])
    assert bool(private.asked) is trusts
    if not trusts:
        assert said_of(answer)["reason"][0]["coding"][0]["code"] == "technical"


def test_its_published_keys(private: PrivateEhr, trusts: bool, tmp_path: Path) -> None:
    """Are read, or else its tokens cannot be checked."""
    entry = {"iss": ISS, "jku": f"{private.url}/jwks.json", "fhir_servers": [f"{private.url}/fhir"]}
    (tmp_path / "clients.json").write_bytes(encode([entry]))
    service = client(private, tmp_path, trusts, trusted_clients=tmp_path / "clients.json")
    now = int(time.time())
    token = signed(iss=ISS, aud=PUBLIC + HOOK, iat=now, exp=now + 60, jti=str(time.monotonic_ns()))
    body = encode(call_of(context_of(MET.order), whole_record(MET.resources)))
    found = service.post(HOOK, data=body, content_type="application/json", headers={"Authorization": token})
    assert found.status_code == (200 if trusts else 401)
    assert private.asked == (["/jwks.json"] if trusts else [])


def test_its_sign_in(private: PrivateEhr, trusts: bool, tmp_path: Path) -> None:
    """Its addresses are read and the code is exchanged, or else the launch ends with a page."""
    base = f"{private.url}/fhir"
    service = client(private, tmp_path, trusts, auth="off", fhir_servers=(base,))

    def get(path: str, **query: str) -> TestResponse:
        return service.get(path, query_string=query, base_url=PUBLIC)

    away = get("/smart/launch", iss=base, launch="L1")
    if not trusts:
        assert away.status_code == 502
        assert private.asked == []
        return
    state = parse_qs(urlsplit(away.headers["Location"]).query)["state"][0]
    back = get("/smart/callback", code="c", state=state)
    assert back.status_code == 303
    assert get(back.headers["Location"]).status_code == 200
    assert private.asked[:2] == ["/fhir/.well-known/smart-configuration", "/token"]
    assert f"/fhir/Patient/{MET.id}" in private.asked


def test_a_file_that_is_gone_later_is_no_file_that_trusts_all(private: PrivateEhr, tmp_path: Path) -> None:
    """Nothing is read until it is back."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(private.ca_file.read_bytes())
    base = f"{private.url}/fhir"
    settings = read_settings(
        {"CDS_CA_FILE": str(ca_file)}, public_url=PUBLIC, auth="off", fhir_servers=(base,), data_dir=tmp_path
    )
    service = create_app(settings).test_client()
    ca_file.unlink()
    private.asked.clear()
    assert service.get("/smart/launch", query_string={"iss": base, "launch": "L1"}).status_code == 502
    assert private.asked == []
