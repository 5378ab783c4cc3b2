"""No spelling of any address makes the service read a server that is not registered, nor look it up."""

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import responses
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from flask.testing import FlaskClient
from issuing import elliptic
from signing import BASE, BY_ID, HOOK, PUBLIC, Ehr, criterion, outcomes

from cds_service.app import create_app
from cds_service.settings import read_settings
from hooks.wire import encode

MET = BY_ID["demo-hemgenix-met"]
LOOPBACK = "http://127.0.0.1:9/fhir"
ELSEWHERE = [
    # another host
    "https://user@ehr.example/fhir",
    "https://user:word@ehr.example/fhir",
    "https://ehr.example@elsewhere.example/fhir",
    "https://ehr.example:443@elsewhere.example/fhir",
    "https://ehr.example%40elsewhere.example/fhir",
    "https://ehr.example\\@elsewhere.example/fhir",
    "https://ehr.example#@elsewhere.example/fhir",
    "https://ehr.example?@elsewhere.example/fhir",
    "https://ehr.example.elsewhere.example/fhir",
    "https://ehr.example./fhir",
    "https://ehr．example/fhir",
    "https://ehr%2eexample/fhir",
    "https:ehr.example/fhir",
    "https:/ehr.example/fhir",
    "https:///ehr.example/fhir",
    "//ehr.example/fhir",
    # another scheme or port
    "http://ehr.example/fhir",
    "http://ehr.example:443/fhir",
    "https://ehr.example:80/fhir",
    "https://ehr.example:0443x/fhir",
    "file:///fhir",
    "gopher://ehr.example/fhir",
    "ftp://ehr.example/fhir",
    # another path
    "https://ehr.example/fhir/..",
    "https://ehr.example/fhir/../admin",
    "https://ehr.example/fhir/./../admin",
    "https://ehr.example/fhir/%2e%2e/admin",
    "https://ehr.example/fhir/%2E./admin",
    "https://ehr.example/fhir/%252e%252e/admin",
    "https://ehr.example/fhir/..%2fadmin",
    "https://ehr.example/fhir/..%5cadmin",
    "https://ehr.example/fhir/..\\admin",
    "https://ehr.example/fhir/..;/admin",
    "https://ehr.example/fhir/..;a=b/admin",
    "https://ehr.example/fhir/..%3b/admin",
    "https://ehr.example/fhir;/../admin",
    "https://ehr.example/fhir//../admin",
    "https://ehr.example//fhir",
    "https://ehr.example/FHIR",
    "https://ehr.example/fhirs",
    "https://ehr.example/fhir?x=/",
    "https://ehr.example/fhir#/",
    "https://ehr.example/fhir/\t/x",
    "https://ehr.example/fhir/\n",
    "https://ehr.example/",
    "https://ehr.example/admin/fhir",
    # other spellings of a registered address, and addresses of this network
    "http://127.1:9/fhir",
    "http://2130706433:9/fhir",
    "http://0x7f000001:9/fhir",
    "http://0x7f.1:9/fhir",
    "http://0177.0.0.1:9/fhir",
    "http://127.0.0.01:9/fhir",
    "http://127.0.0.1.:9/fhir",
    "http://0.0.0.0:9/fhir",
    "http://0:9/fhir",
    "http://localhost:9/fhir",
    "http://[::1]:9/fhir",
    "http://[::ffff:127.0.0.1]:9/fhir",
    "http://[::ffff:7f00:1]:9/fhir",
    "http://[0:0:0:0:0:0:0:1]:9/fhir",
    "http://[fe80::1%25eth0]:9/fhir",
    "http://127.0.0.1/fhir",
    "https://127.0.0.1:9/fhir",
    "http://169.254.169.254/fhir",
    "https://169.254.169.254/fhir",
    "https://10.0.0.1/fhir",
    "https://metadata.internal/fhir",
]


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The names that were looked up, and the addresses that were connected to."""
    found: list[object] = []

    def note(*given: object, **_: object) -> list[object]:
        found.append(given)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", note)
    monkeypatch.setattr(socket.socket, "connect", note)
    return found


@pytest.fixture
def client_of_two(tmp_path: Path, at_noon: None) -> FlaskClient:
    """A service that may read one server by name and one by address."""
    given = {"public_url": PUBLIC, "auth": "off", "fhir_servers": (BASE, LOOPBACK), "data_dir": tmp_path}
    return create_app(read_settings({}, **given)).test_client()


@pytest.mark.parametrize("named", ELSEWHERE)
def test_a_server_that_is_not_registered_is_neither_read_nor_looked_up(
    named: str, client_of_two: FlaskClient, looked_up: list[object], ehr: Ehr
) -> None:
    """What was sent is used and what it lacks is not retrieved, or the call is refused as malformed."""
    call = ehr.call(MET, fhirServer=named)
    call["fhirAuthorization"] = {"access_token": "abc.def", "expires_in": 300}
    del call["prefetch"]["observations"]
    response = client_of_two.post(HOOK, data=encode(call), content_type="application/json")
    assert looked_up == []
    assert response.status_code in (200, 400)
    if response.status_code == 200:
        assert outcomes(response.get_json()) == ["undetermined"]
        assert criterion(response.get_json(), "8c")["reason"] == "not-retrieved"


@pytest.mark.parametrize("named", [LOOPBACK, LOOPBACK + "/", LOOPBACK + "/tenant"])
def test_what_is_registered_is_connected_to(
    named: str, client_of_two: FlaskClient, looked_up: list[object], ehr: Ehr
) -> None:
    """So that the other test is known to see it."""
    call = ehr.call(MET, fhirServer=named)
    del call["prefetch"]["observations"]
    client_of_two.post(HOOK, data=encode(call), content_type="application/json")
    assert looked_up


@pytest.mark.parametrize(
    "reference",
    [
        "https://elsewhere.example/fhir/Practitioner/x",
        "https://ehr.example/fhir/../Practitioner/x",
        "https://ehr.example/fhirs/Practitioner/x",
        "//elsewhere.example/Practitioner/x",
        "Practitioner/../x",
        "Practitioner/..",
        "../Practitioner/x",
        "Practitioner/x?_include=*",
        "Practitioner/x#y",
        "Practitioner/%2e%2e",
        "/Practitioner/x",
        "Practitioner/x/$everything",
    ],
)
def test_a_reference_of_the_chart_leads_to_no_other_place(reference: str, ehr: Ehr) -> None:
    """Whatever the order says who asked for it; every request stays at `Type/id` or a search below the base."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as network:
        network.add(responses.GET, re.compile(".*"), status=404)
        order = {
            **MET.order,
            "requester": {"reference": reference},
            "supportingInformation": [{"reference": reference}],
        }
        call = ehr.call(MET, order, sent="none", fhirServer=BASE)
        ehr.post(call)
        asked = [str(found.request.url) for found in network.calls]
    assert asked
    allowed = re.compile(re.escape(BASE) + r"/[A-Z][A-Za-z]+(/[A-Za-z0-9.-]{1,64}|\?[^#]*)")
    assert [url for url in asked if not allowed.fullmatch(url) or "/.." in url] == []


@pytest.fixture
def impostor() -> Iterator[tuple[int, list[bytes]]]:
    """A TLS server on the loopback whose certificate nobody vouches for: its port, and what it was told."""
    key = elliptic("impostor")
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ehr.example")])
    begin = datetime.now(UTC) - timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(begin).not_valid_after(begin + timedelta(days=9))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("ehr.example")]), critical=False)
    certificate = builder.sign(key, hashes.SHA384())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    told: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        context.load_cert_chain(*_files(certificate, key))

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(connection, server_side=True) as wrapped:
                        told.append(wrapped.recv(10_000))
                except OSError:
                    continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], told
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _files(certificate: Any, key: Any) -> tuple[str, str]:
    import tempfile

    folder = Path(tempfile.mkdtemp())
    (folder / "c.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "k.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(folder / "c.pem"), str(folder / "k.pem")


def test_a_registered_name_that_leads_into_this_network_is_told_nothing(
    tmp_path: Path, at_noon: None, impostor: tuple[int, list[bytes]], monkeypatch: pytest.MonkeyPatch, ehr: Ehr
) -> None:
    """Its owner may have any address in the DNS: without the name's certificate no request is sent, and no token."""
    port, told = impostor
    look_up: Callable[..., Any] = socket.getaddrinfo

    def private(host: str, *given: Any, **named: Any) -> Any:
        return look_up("127.0.0.1" if host == "ehr.example" else host, *given, **named)

    monkeypatch.setattr(socket, "getaddrinfo", private)
    base = f"https://ehr.example:{port}/fhir"
    given = {"public_url": PUBLIC, "auth": "off", "fhir_servers": (base,), "data_dir": tmp_path}
    client = create_app(read_settings({}, **given)).test_client()
    call = ehr.call(MET, fhirServer=base)
    call["fhirAuthorization"] = {"access_token": "abc.def", "expires_in": 300}
    del call["prefetch"]["observations"]
    answer = client.post(HOOK, data=encode(call), content_type="application/json").get_json()
    assert criterion(answer, "8c")["reason"] == "not-retrieved"
    assert [piece for piece in told if piece] == []


def test_no_proxy_of_the_environment_is_used(
    tmp_path: Path, at_noon: None, monkeypatch: pytest.MonkeyPatch, looked_up: list[object], ehr: Ehr
) -> None:
    """Every request goes to the registered host itself."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://proxy.example:3128")
    given = {"public_url": PUBLIC, "auth": "off", "fhir_servers": (BASE,), "data_dir": tmp_path}
    client = create_app(read_settings({}, **given)).test_client()
    client.post(HOOK, data=encode(ehr.call(MET, sent="none", fhirServer=BASE)), content_type="application/json")
    assert looked_up
    assert "proxy.example" not in str(looked_up)
