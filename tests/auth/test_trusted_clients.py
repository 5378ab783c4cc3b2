"""The file of registered clients: what is read from it, and what it is refused for."""

import json
from pathlib import Path
from typing import Any

import pytest
from issuing import FHIR, ISS, JKU, P256, elliptic, jwk, key_set, registered, registration, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from cds_service.auth import build_authenticator
from cds_service.auth.clients import ClientsFileError, parse_trusted_clients, read_trusted_clients
from cds_service.auth.keys import Algorithm, KeySet


def message(*entries: Any) -> str:
    """What the file is refused with."""
    with pytest.raises(ClientsFileError) as caught:
        registered(*entries)
    return str(caught.value)


def with_key(key: Any) -> dict[str, Any]:
    """A registration with this inline key."""
    return registration(jwks={"keys": [key]})


def test_a_client_with_inline_keys() -> None:
    """A registration gives the keys by name and type, the FHIR bases in one spelling, and the dialect."""
    client = registered(registration(fhir_servers=["https://EHR.example.org:443/fhir/"])).of(ISS)
    assert client is not None
    assert (client.iss, client.fhir_servers, client.dialect) == (ISS, (FHIR,), "2.2")
    assert isinstance(client.keys, KeySet)
    assert client.keys.find("ec", Algorithm.ES384) is not None
    assert client.keys.find("rsa", Algorithm.RS384) is not None


def test_a_client_that_publishes_its_keys() -> None:
    """A registration with a `jku` gives that URL, to the letter."""
    url = "https://ehr.example.org/Keys?tenant=A"
    clients = registered(registration(jwks=None, jku=url))
    assert clients.key_urls == {url}


def test_what_may_be_left_out() -> None:
    """Without FHIR servers none may be read for the client; without a dialect the service's default counts."""
    client = registered(registration(fhir_servers=None, dialect=None)).of(ISS)
    assert client is not None
    assert (client.fhir_servers, client.dialect) == ((), None)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"])
def test_http_on_a_loopback_address(host: str) -> None:
    """Plain http is good for loopback addresses, for keys and for FHIR servers."""
    registered(registration(jwks=None, jku=f"http://{host}:8080/jwks", fhir_servers=[f"http://{host}:8080/fhir"]))


@pytest.mark.parametrize("host", ["ehr.example.org", "10.0.0.1", "127.1", "localhost.example.org", "[::2]", "[::]"])
def test_http_elsewhere(host: str) -> None:
    """Plain http is refused for every other address."""
    assert "$[0].jku: expected https" in message(registration(jwks=None, jku=f"http://{host}/jwks"))
    assert "$[0].fhir_servers[0]: expected https" in message(registration(fhir_servers=[f"http://{host}/fhir"]))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "jwks.json",
        "ftp://ehr.example.org/",
        "https://",
        "https://a@b.example/",
        JKU + "#x",
        JKU + " ",
        "https://é/",
    ],
)
def test_a_key_url_that_is_none(url: str) -> None:
    """A relative URL, another scheme, a user name, a fragment and odd characters are refused."""
    assert message(registration(jwks=None, jku=url)).startswith("$[0].jku: ")


@pytest.mark.parametrize("url", ["", "fhir", FHIR + "?x=1", "https://u:p@ehr.example.org/fhir", FHIR + "/../x"])
def test_a_fhir_base_that_is_none(url: str) -> None:
    """A FHIR server must be a base URL without user name, query and dot segments."""
    assert message(registration(fhir_servers=[FHIR, url])).startswith("$[0].fhir_servers[1]: ")


@pytest.mark.parametrize("members", [{"jku": JKU}, {"jwks": None}])
def test_both_or_neither_way_to_the_keys(members: dict[str, Any]) -> None:
    """A registration with `jku` and `jwks`, or with neither, is refused."""
    assert message(registration(**members)) == "$[0]: expected either jku or jwks, and not both"


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"iss": 5}, "$[0].iss: expected str, found int"),
        ({"iss": None}, "$[0].iss: expected, found nothing"),
        ({"iss": ""}, "$[0].iss: "),
        ({"iss": " x"}, "$[0].iss: "),
        ({"dialect": "3.0"}, "$[0].dialect: "),
        ({"dialect": 2.2}, "$[0].dialect: "),
        ({"fhir_servers": FHIR}, "$[0].fhir_servers: expected array, found str"),
        ({"fhir_servers": [FHIR, 5]}, "$[0].fhir_servers[1]: expected str, found int"),
        ({"jwks": "x"}, "$[0].jwks: "),
        ({"jwks": {}}, "$[0].jwks: "),
        ({"jwks": {"keys": {}}}, "$[0].jwks: "),
        ({"jwks": {"keys": []}}, "$[0].jwks.keys: "),
        ({"jwks": {"keys": [5]}}, "$[0].jwks.keys[0]: "),
        ({"fhirServers": [FHIR]}, "$[0]: fhirServers is not known; expected iss"),
    ],
)
def test_a_registration_of_another_shape(members: dict[str, Any], path: str) -> None:
    """Wrong types and unknown members are refused, by their JSON path."""
    assert message(registration(**members)).startswith(path)


def test_an_issuer_that_is_registered_twice() -> None:
    """Two registrations of one issuer are refused."""
    assert message(registration(), registration(dialect="plain")).startswith("$[1].iss: ")


@pytest.mark.parametrize("raw", [b"", b"{}", b"[", b"\xff", b'[{"iss":"a","iss":"b"}]', b"[5]", b"[NaN]"])
def test_a_file_of_another_form(raw: bytes) -> None:
    """What is no JSON array of objects, or has a member written twice, is refused."""
    with pytest.raises(ClientsFileError, match=r"^\$"):
        parse_trusted_clients(raw)


@pytest.mark.parametrize("bits", [1024, 2040])
def test_an_rsa_key_that_is_too_small(bits: int) -> None:
    """An RSA key below 2048 bits is refused at start."""
    key = jwk(rsa("small", bits), "k")
    assert message(with_key(key)) == "$[0].jwks.keys[0].n: expected an RSA key of 2048 bits or more"


def test_an_rsa_key_that_is_too_large() -> None:
    """An RSA key of 16,384 bits, which would take long to check, is refused."""
    key = jwk(rsa(), "k", n="_" * 2730 + "8")
    assert message(with_key(key)).startswith("$[0].jwks.keys[0].n: expected an RSA key of at most 8192 bits")


def test_an_exponent_that_is_too_large() -> None:
    """An RSA key with an exponent of more than 64 bits, which would take long to check, is refused."""
    key = jwk(rsa(), "k", e="AQAAAAAAAAAB")
    assert message(with_key(key)).startswith("$[0].jwks.keys[0].e: expected an exponent of at most 64 bits")


@pytest.mark.parametrize("private", [ECAlgorithm.to_jwk(elliptic(), True), RSAAlgorithm.to_jwk(rsa(), True)])
def test_a_private_key(private: dict[str, Any]) -> None:
    """A private key is refused, and nothing of it is repeated."""
    said = message(with_key({**private, "kid": "k"}))
    assert said.startswith("$[0].jwks.keys[0].d: expected a public key")
    assert private["d"] not in said


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"kid": 5}, "kid"),
        ({"kid": ""}, "kid"),
        ({"kty": "oct"}, "kty"),
        ({"kty": ["EC"]}, "kty"),
        ({"alg": "ES256"}, "alg"),
        ({"use": "enc"}, "use"),
        ({"key_ops": ["sign"]}, "key_ops"),
        ({"crv": "P-256"}, "crv"),
        ({"x": 5}, "x"),
        ({"x": "+/="}, "x"),
        ({"k": "c2VjcmV0"}, "k"),
    ],
)
def test_a_key_with_a_member_that_does_not_fit(change: dict[str, Any], path: str) -> None:
    """A key of another type, curve, algorithm or use is refused by the member's path."""
    assert message(with_key({**jwk(elliptic(), "k"), **change})).startswith(f"$[0].jwks.keys[0].{path}: ")


def test_a_key_that_is_no_point_of_its_curve() -> None:
    """Coordinates that lie beside the curve, or are too short, are refused."""
    key = jwk(elliptic(), "k")
    assert message(with_key({**key, "x": key["y"]})).startswith("$[0].jwks.keys[0]: expected a point")
    assert message(with_key({**key, "x": "AA"})).startswith("$[0].jwks.keys[0]: expected a point")


def test_a_small_curve() -> None:
    """A P-256 key is refused at start."""
    assert message(with_key(jwk(elliptic("small", P256), "k"))).startswith("$[0].jwks.keys[0].crv: ")


def test_two_keys_of_one_name() -> None:
    """Two inline keys of one type with one name are refused; one of each type may share it."""
    twice = {"keys": [jwk(elliptic(), "k"), jwk(elliptic("two"), "k")]}
    assert message(registration(jwks=twice)).startswith("$[0].jwks.keys[1].kid: ")
    registered(registration(jwks={"keys": [jwk(elliptic(), "k"), jwk(rsa(), "k")]}))


def test_the_message_names_the_file(tmp_path: Path) -> None:
    """A file that cannot be used is named, with the JSON path."""
    path = tmp_path / "clients.json"
    path.write_text(json.dumps([registration(dialect="3.0")]))
    with pytest.raises(ClientsFileError) as caught:
        read_trusted_clients(path)
    assert str(caught.value).startswith(f"{path}: $[0].dialect: ")


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    """A file that is not there, or is a folder, is named."""
    with pytest.raises(ClientsFileError, match="cannot be read"):
        read_trusted_clients(tmp_path / name)


def test_no_message_repeats_a_value() -> None:
    """A secret in the wrong place is not shown: neither as a value nor as the name of a member."""
    secret = "c2VjcmV0" * 8
    for members in ({"dialect": secret}, {"iss": [secret]}, {"jku": secret, "jwks": None}, {"jwks": secret}):
        assert secret not in message(registration(**members))
    assert secret not in message(registration(**{secret: 1}))
    assert secret not in message(with_key(jwk(elliptic(), "k", kty=secret)))
    assert secret not in message(registration(fhir_servers=[f"https://u:{secret}@ehr.example.org"]))


def test_the_parts_are_put_together(tmp_path: Path) -> None:
    """The service's check is built from a file, and without one."""
    path = tmp_path / "clients.json"
    path.write_text(json.dumps([registration(jwks=None, jku=JKU), registration(iss="b", jwks=key_set(a=rsa()))]))
    build_authenticator(path, tmp_path)
    build_authenticator(None, tmp_path).check()
