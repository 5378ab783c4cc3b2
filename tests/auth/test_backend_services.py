"""The FHIR endpoint's access tokens: who gets one, what it opens, and until when."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from issuing import NOW, Clock, claims, elliptic, registration, signed
from werkzeug.test import TestResponse

from cds_service.app import create_app
from cds_service.auth.access_tokens import AccessTokens, NoKeyError
from cds_service.auth.replay import SeenTokensFile
from cds_service.auth.tokens import Authenticator
from cds_service.ledger.ledger import Ledger
from cds_service.settings import read_settings

PUBLIC = "https://plan.example"
TOKEN = f"{PUBLIC}/fhir/token"
CLIENT = "https://ehr.example.org"
FORM = "/fhir/Questionnaire/pharmacy-109-hemgenix"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
Json = dict[str, Any]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that service and clients go by."""
    clock = Clock()
    for clocked in (Authenticator, AccessTokens, SeenTokensFile):  # where none is given
        usual = clocked.__init__.__defaults__ or ()
        monkeypatch.setattr(
            clocked.__init__, "__defaults__", tuple(clock if one is time.time else one for one in usual)
        )
    return clock


@pytest.fixture
def build(tmp_path: Path, clock: Clock) -> Callable[..., Flask]:
    """A function: an instance of the service; all of them share one folder."""

    def made(*entries: Json) -> Flask:
        file = tmp_path / "clients.json"
        file.write_text(json.dumps(entries or [registration(iss=CLIENT)]), encoding="utf-8")
        return create_app(read_settings({}, public_url=PUBLIC, trusted_clients=file, data_dir=tmp_path))

    return made


@pytest.fixture
def ehr(build: Callable[..., Flask]) -> FlaskClient:
    """A client of the service."""
    return build().test_client()


def assertion(**members: Any) -> str:
    """A client assertion with these claims; None takes one away."""
    given = {"iss": CLIENT, "sub": CLIENT, "aud": TOKEN, "iat": None, "jti": "assertion-1", **members}
    return signed(**given).removeprefix("Bearer ")


def asked(client: FlaskClient, **members: Any) -> TestResponse:
    """The answer to a token request with these members; None takes one away."""
    whole = {
        "grant_type": "client_credentials",
        "scope": "system/questionnaire.rs system/valueset.rs system/library.rs",
        "client_assertion_type": ASSERTION,
        "client_assertion": assertion(),
        **members,
    }
    return client.post("/fhir/token", data={name: value for name, value in whole.items() if value is not None})


def bearer(response: TestResponse) -> dict[str, str]:
    """The header with the token of that answer."""
    assert response.status_code == 200, response.get_data(as_text=True)
    return {"Authorization": f"Bearer {response.json['access_token']}"}


def test_where_tokens_come_from_is_told_to_everyone(ehr: FlaskClient) -> None:
    """SMART discovery, and the same in the CapabilityStatement."""
    found = ehr.get("/fhir/.well-known/smart-configuration").json
    assert found["token_endpoint"] == TOKEN
    assert found["grant_types_supported"] == ["client_credentials"]
    assert found["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert TOKEN in ehr.get("/fhir/metadata").get_data(as_text=True)


def test_a_registered_client_gets_a_token_that_opens_the_forms(ehr: FlaskClient) -> None:
    """For five minutes, with the scopes that DTR names; it is not to be stored."""
    response = asked(ehr)
    found = response.json
    assert (found["token_type"], found["expires_in"]) == ("bearer", 300)
    assert found["scope"] == "system/questionnaire.rs system/valueset.rs system/library.rs"
    assert response.headers["Cache-Control"] == "no-store"
    for path in (FORM, "/fhir/Questionnaire", "/fhir/Library/pharmacy-109-hemgenix-prefill"):
        assert ehr.get(path, headers=bearer(response)).status_code == 200


def test_a_token_is_good_with_every_instance(build: Callable[..., Flask]) -> None:
    """They share the ledger's keys; a token may be used again and again."""
    one, other = build().test_client(), build().test_client()
    header = bearer(asked(one))
    assert [client.get(FORM, headers=header).status_code for client in (one, other, other)] == [200, 200, 200]


def test_a_clients_own_token_is_good_as_well(ehr: FlaskClient) -> None:
    """As for CDS Hooks: for that very address, once."""
    header = {"Authorization": signed(iss=CLIENT, aud=f"{PUBLIC}{FORM}")}
    assert [ehr.get(FORM, headers=header).status_code for _ in range(2)] == [200, 401]


@pytest.mark.parametrize(
    ("changed", "status", "error"),
    [
        ({"grant_type": None}, 400, "invalid_request"),
        ({"grant_type": "authorization_code"}, 400, "unsupported_grant_type"),
        ({"client_assertion_type": None}, 400, "invalid_request"),
        ({"client_assertion": None}, 400, "invalid_request"),
        ({"client_assertion": "x.y.z"}, 401, "invalid_client"),
        ({"scope": None}, 400, "invalid_scope"),
        ({"scope": "system/Patient.rs"}, 400, "invalid_scope"),
        ({"client_assertion": ["a", "b"]}, 400, "invalid_request"),
        ({"client_assertion": "x" * 20_000}, 413, "invalid_request"),
    ],
    ids=str,
)
def test_a_request_that_is_not_one_is_refused(ehr: FlaskClient, changed: Json, status: int, error: str) -> None:
    """In the words of RFC 6749, without more."""
    response = asked(ehr, **changed)
    assert (response.status_code, response.json) == (status, {"error": error})


def test_a_request_in_json_is_refused(ehr: FlaskClient) -> None:
    """The token endpoint takes a form."""
    assert ehr.post("/fhir/token", json={"grant_type": "client_credentials"}).json == {"error": "invalid_request"}


@pytest.mark.parametrize(
    "members",
    [
        {"iss": "https://other.example"},
        {"sub": "https://other.example"},
        {"sub": None},
        {"aud": f"{PUBLIC}/fhir"},
        {"exp": NOW - 100},
        {"exp": NOW + 4000},
        {"exp": None},
        {"jti": None},
        {"iat": NOW + 1000},
        {"key": elliptic("another")},
    ],
    ids=lambda members: "-".join(f"{name} {value}" for name, value in members.items() if name != "key") or "key",
)
def test_an_assertion_that_proves_nothing_is_refused(ehr: FlaskClient, members: Json) -> None:
    """Another client, audience, time or key."""
    response = asked(ehr, client_assertion=assertion(**members))
    assert (response.status_code, response.json) == (401, {"error": "invalid_client"})


def test_an_assertion_is_good_once(ehr: FlaskClient) -> None:
    """Its `jti` is noted."""
    given = assertion()
    assert [asked(ehr, client_assertion=given).status_code for _ in range(2)] == [200, 401]


def test_a_token_ends_after_five_minutes(ehr: FlaskClient, clock: Clock) -> None:
    """To the second."""
    header = bearer(asked(ehr))
    clock.now = NOW + 299
    assert ehr.get(FORM, headers=header).status_code == 200
    clock.now = NOW + 300
    assert ehr.get(FORM, headers=header).status_code == 401


def test_a_token_of_a_client_that_is_registered_no_more_is_refused(build: Callable[..., Flask]) -> None:
    """The file of clients stands above what was issued."""
    header = bearer(asked(build().test_client()))
    later = build(registration(iss="https://another.example")).test_client()
    assert later.get(FORM, headers=header).status_code == 401


@pytest.mark.parametrize(
    ("scope", "path", "status"),
    [
        ("system/questionnaire.rs", FORM, 200),
        ("system/questionnaire.rs", "/fhir/ValueSet/pharmacy-109-hemgenix.q.dx", 403),
        ("system/ValueSet.rs", "/fhir/ValueSet/pharmacy-109-hemgenix.q.dx", 200),
        ("system/ValueSet.rs", "/fhir/CodeSystem/pharmacy-109-answers", 200),
        ("system/ValueSet.rs", FORM, 403),
        ("system/Library.rs", "/fhir/Library/pharmacy-109-hemgenix-prefill", 200),
        ("system/*.rs", FORM, 200),
    ],
)
def test_a_token_opens_what_its_scopes_say(ehr: FlaskClient, scope: str, path: str, status: int) -> None:
    """And a refusal names the resource type alone."""
    response = ehr.get(path, headers=bearer(asked(ehr, scope=scope)))
    assert response.status_code == status
    assert response.json["resourceType"] != "OperationOutcome" or status == 403


def test_a_scope_that_is_not_known_is_left_out(ehr: FlaskClient) -> None:
    """The answer says which were granted."""
    assert asked(ehr, scope="openid system/ValueSet.rs system/Patient.rs").json["scope"] == "system/ValueSet.rs"


@pytest.mark.parametrize("key", [b"another key of thirty-two bytes..", b""])
def test_a_token_of_another_installation_is_refused(ehr: FlaskClient, key: bytes) -> None:
    """Or one that nobody signed."""
    kind = {"typ": "at+jwt"}
    stated = claims(iss=f"{PUBLIC}/fhir", aud=f"{PUBLIC}/fhir", sub=CLIENT, scope="system/*.rs")
    token = jwt.encode(stated, key or None, algorithm="HS256" if key else "none", headers=kind)
    assert ehr.get(FORM, headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_an_access_token_does_not_open_the_hooks(ehr: FlaskClient) -> None:
    """It is for the FHIR endpoint."""
    header = bearer(asked(ehr))
    assert ehr.post("/cds-services/order-sign-crd", json={}, headers=header).status_code == 401


def test_without_a_shared_key_no_token_is_issued_or_checked(
    build: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the ledger was reached: try again, instead of a token that no other instance takes."""
    client = build().test_client()
    header = bearer(asked(client))
    monkeypatch.setattr(Ledger, "shared_key", lambda self, purpose: None)
    response = asked(client, client_assertion=assertion(jti="assertion-2"))
    assert (response.status_code, response.json) == (503, {"error": "temporarily_unavailable"})
    assert client.get(FORM, headers=header).status_code == 503
    with pytest.raises(NoKeyError):
        AccessTokens(PUBLIC, lambda: None).issue(CLIENT, ["system/*.rs"])


def test_a_clock_that_is_set_back_makes_no_token_last_longer() -> None:
    """One of later than now is refused; a minute's difference between instances is none."""
    now = 1_800_000_000.0
    tokens = AccessTokens(PUBLIC, lambda: bytes(32), lambda: now)
    issued = tokens.issue(CLIENT, ["system/Questionnaire.rs"])
    now -= 60
    assert tokens.held(issued) is not None
    now -= 1
    assert tokens.held(issued) is None


def test_a_service_that_asks_for_no_tokens_issues_none(tmp_path: Path) -> None:
    """There is nothing to be opened by one."""
    app = create_app(read_settings({}, public_url=PUBLIC, auth="off", data_dir=tmp_path))
    assert app.test_client().post("/fhir/token", data={}).status_code == 404
    assert app.test_client().get("/fhir/.well-known/smart-configuration").status_code == 404
