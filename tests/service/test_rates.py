"""How often somebody may call: registered clients within what was agreed, strangers within reason."""

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from issuing import elliptic, key_set, signed
from signing import BY_ID, PUBLIC, Ehr, Json

from cds_service.app import create_app
from cds_service.auth.clients import ClientsFileError, parse_trusted_clients
from cds_service.rates import Counts
from cds_service.settings import SettingsError, read_settings
from hooks.wire import encode

HOOK = "/cds-services/order-sign-crd"
ONE, TWO = "https://one.example", "https://two.example"


@pytest.fixture
def clients(tmp_path: Path) -> Path:
    """Two registered clients, the first with a rate of its own."""
    entries: list[Json] = [
        {"iss": ONE, "jwks": key_set(ec=elliptic("one")), "rate": "5/minute"},
        {"iss": TWO, "jwks": key_set(ec=elliptic("two"))},
    ]
    path = tmp_path / "clients.json"
    path.write_text(json.dumps(entries))
    return path


def service(tmp_path: Path, clients: Path | None = None, **settings: Any) -> Flask:
    given = {"public_url": PUBLIC, "data_dir": tmp_path / "data", "trusted_clients": clients, **settings}
    return create_app(read_settings({}, **given))


def headers(iss: str, name: str) -> dict[str, str]:
    """The header of a token that is good now."""
    now = int(time.time())
    claims = {"iss": iss, "aud": PUBLIC + HOOK, "iat": now, "exp": now + 300, "jti": str(time.monotonic_ns())}
    return {"Authorization": signed(elliptic(name), **claims)}


def call(caller: FlaskClient, body: bytes, iss: str = ONE, name: str = "one", **kwargs: Any) -> int:
    response = caller.post(HOOK, data=body, content_type="application/json", headers=headers(iss, name), **kwargs)
    return response.status_code


@pytest.fixture
def body(ehr: Ehr) -> bytes:
    """A call that is answered."""
    return encode(ehr.call(BY_ID["demo-hemgenix-met"]))


def test_a_client_has_its_agreed_rate(tmp_path: Path, clients: Path, body: bytes) -> None:
    """Five a minute were agreed: five are answered, the sixth is told when to come again."""
    caller = service(tmp_path, clients).test_client()
    assert [call(caller, body) for _ in range(5)] == [200] * 5
    response = caller.post(HOOK, data=body, content_type="application/json", headers=headers(ONE, "one"))
    assert response.status_code == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 61
    assert response.get_json()["resourceType"] == "OperationOutcome"
    assert response.get_json()["issue"][0]["code"] == "throttled"


def test_a_client_s_flood_is_not_another_s(tmp_path: Path, clients: Path, body: bytes) -> None:
    """From the same address, behind the same proxy: the other one is answered."""
    caller = service(tmp_path, clients).test_client()
    assert [call(caller, body) for _ in range(7)][-1] == 429
    assert call(caller, body, TWO, "two") == 200


def test_nobody_uses_up_the_rate_of_a_client_whose_token_he_lacks(tmp_path: Path, clients: Path, body: bytes) -> None:
    """Tokens that name the client and are not signed by it count for the address."""
    caller = service(tmp_path, clients, address_rate="20/minute").test_client()
    assert [call(caller, body, ONE, "two") for _ in range(22)] == [401] * 20 + [429] * 2
    assert [call(caller, body) for _ in range(5)] == [200] * 5


def test_a_token_sent_twice_costs_its_owner_nothing(tmp_path: Path, clients: Path, body: bytes) -> None:
    """Who has seen a token of a client can neither use it again nor use up the client's rate with it."""
    caller = service(tmp_path, clients).test_client()
    seen = headers(ONE, "one")
    again = [caller.post(HOOK, data=body, content_type="application/json", headers=seen).status_code for _ in range(20)]
    assert again == [200] + [401] * 19
    assert [call(caller, body) for _ in range(5)] == [200] * 4 + [429]


def test_calls_beyond_the_rate_take_no_room_among_used_tokens(tmp_path: Path, clients: Path, body: bytes) -> None:
    """One client's flood must not fill what all clients need."""
    caller = service(tmp_path, clients).test_client()
    assert [call(caller, body) for _ in range(12)].count(429) == 7
    with sqlite3.connect(tmp_path / "data" / "used-tokens.sqlite3") as used:
        assert used.execute("SELECT COUNT(*) FROM seen").fetchone() == (5,)
    used.close()


def test_access_tokens_are_asked_for_and_used_within_the_client_s_rate(tmp_path: Path, clients: Path) -> None:
    """A call of the FHIR endpoint is a call, whichever token it has; an assertion that is refused is a stranger's."""
    caller = service(tmp_path, clients, address_rate="3/minute").test_client()
    url, now = f"{PUBLIC}/fhir/token", int(time.time())

    def ask(name: str) -> Any:
        claims = {"iss": ONE, "sub": ONE, "aud": url, "iat": now, "exp": now + 300, "jti": str(time.monotonic_ns())}
        return caller.post(
            "/fhir/token",
            data={
                "grant_type": "client_credentials",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": signed(elliptic(name), **claims).removeprefix("Bearer "),
                "scope": "system/Questionnaire.rs",
            },
        )

    assert [ask("two").status_code for _ in range(4)] == [401, 401, 401, 429]
    given = ask("one")
    assert given.status_code == 200
    token = {"Authorization": f"Bearer {given.get_json()['access_token']}"}
    seen = [caller.get("/fhir/Questionnaire", headers=token).status_code for _ in range(6)]
    assert seen == [200] * 4 + [429] * 2
    assert ask("one").status_code == 429


def test_a_call_without_a_token_counts_for_its_address(tmp_path: Path, clients: Path) -> None:
    """One address is told to wait, another is not."""
    caller = service(tmp_path, clients, address_rate="3/minute").test_client()
    here, there = {"REMOTE_ADDR": "192.0.2.1"}, {"REMOTE_ADDR": "192.0.2.2"}
    seen = [caller.post(HOOK, data=b"{}", environ_overrides=here).status_code for _ in range(5)]
    assert seen == [401, 401, 401, 429, 429]
    assert caller.post(HOOK, data=b"{}", environ_overrides=there).status_code == 401


def test_pages_are_limited_and_what_must_stay_in_reach_is_not(tmp_path: Path) -> None:
    """Discovery and health answer whatever the address did; the metrics and the pages wait."""
    caller = service(tmp_path, auth="off", address_rate="3/minute").test_client()
    assert [caller.get("/policies").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert caller.get("/policies").headers["Retry-After"]
    for path in ("/cds-services", "/fhir/metadata", "/health/live", "/health/ready"):
        assert [caller.get(path).status_code for _ in range(6)] == [200] * 6, path
    assert [caller.get("/metrics").status_code for _ in range(4)][-1] == 429


def test_one_network_of_ipv6_is_one_caller(tmp_path: Path) -> None:
    """A /64, which one caller has whole."""
    caller = service(tmp_path, auth="off", address_rate="3/minute").test_client()
    seen = [
        caller.get("/policies", environ_overrides={"REMOTE_ADDR": f"2001:db8::{number}"}).status_code
        for number in range(5)
    ]
    assert seen == [200, 200, 200, 429, 429]
    other = {"REMOTE_ADDR": "2001:db8:0:1::1"}
    assert caller.get("/policies", environ_overrides=other).status_code == 200


@pytest.mark.parametrize(("proxies", "told"), [(0, [200, 200, 429, 429]), (1, [200, 200, 200, 200])])
def test_a_forwarded_address_is_believed_only_of_known_proxies(tmp_path: Path, proxies: int, told: list[int]) -> None:
    """Without one, whoever calls cannot give himself another address."""
    caller = service(tmp_path, auth="off", address_rate="2/minute", proxies=proxies).test_client()
    seen = [caller.get("/policies", headers={"X-Forwarded-For": f"192.0.2.{n}"}).status_code for n in range(4)]
    assert seen == told


def test_no_rate_is_no_limit(tmp_path: Path) -> None:
    """An empty setting."""
    caller = service(tmp_path, auth="off", address_rate="").test_client()
    assert {caller.get("/policies").status_code for _ in range(50)} == {200}


def test_refusals_are_counted(tmp_path: Path) -> None:
    """In the metrics, by whose rate was spent."""
    caller = service(tmp_path, auth="off", address_rate="1/minute").test_client()
    told = caller.get("/metrics").get_data(as_text=True)
    caller.get("/policies")
    caller.get("/policies")
    assert "cds_throttled_total{" not in told
    told = caller.get("/metrics", environ_overrides={"REMOTE_ADDR": "192.0.2.9"}).get_data(as_text=True)
    assert 'cds_throttled_total{whose="address"} 1.0' in told


@pytest.mark.parametrize("rate", ["lots", "5", "0/minute", "-1/minute", "5/fortnight", "5 per", "1e9/minute"])
def test_a_rate_that_is_none_ends_the_start(rate: str) -> None:
    """Naming the setting, and the member of the registration."""
    with pytest.raises(SettingsError, match="CDS_CLIENT_RATE: expected a rate like 600/minute"):
        read_settings({"CDS_CLIENT_RATE": rate})
    entry = {"iss": ONE, "jwks": key_set(ec=elliptic("one")), "rate": rate}
    with pytest.raises(ClientsFileError, match=r"\$\[0\]\.rate: expected a rate"):
        parse_trusted_clients(json.dumps([entry]).encode())


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        """The time it is set to."""
        return self.now


def test_a_window_ends() -> None:
    """The count begins anew after it."""
    clock = Clock()
    counts = Counts(clock)
    assert [counts.incr("a", 60), counts.incr("a", 60)] == [1, 2]
    clock.now += 60
    assert (counts.get("a"), counts.incr("a", 60)) == (0, 1)


def test_a_window_ends_whatever_the_clock_on_the_wall_says() -> None:
    """It is measured by the clock that nobody sets: one set back an hour would shut a client out for an hour."""
    counts = Counts()
    counts.incr("a", 60)
    assert 59 < counts.get_expiry("a") - time.monotonic() <= 60


def test_a_flood_of_addresses_costs_no_memory() -> None:
    """No more keys are kept than may; those that have run out go first, then the oldest."""
    clock = Clock()
    counts = Counts(clock, most=100)
    for number in range(1000):
        counts.incr(f"key {number}", 60)
    assert counts.reset() == 100
    assert counts.get("key 999") == 0
