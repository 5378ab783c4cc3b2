"""A service of two processes, attacked by who has a registered key, and by who has none."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient
from issuing import Json, elliptic, key_set, part, rsa, signed, signed_by_hand
from served import Served, served
from signing import BASE, BY_ID, HOOK, Ehr, order_of

from hooks.orders import MOST_ORDERS
from hooks.wire import encode

ISS = "https://ehr.example"
MET = BY_ID["demo-hemgenix-met"]
PUBLIC = "https://plan.example/cds"


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two workers, one registered client, and a public URL with a path, as behind a proxy."""
    folder: Path = tmp_path_factory.mktemp("attacked")
    clients = folder / "clients.json"
    entry = {"iss": ISS, "jwks": key_set(ec=elliptic(), rsa=rsa()), "fhir_servers": [BASE]}
    clients.write_text(json.dumps([entry]))
    with served(folder, CDS_PUBLIC_URL=PUBLIC, CDS_TRUSTED_CLIENTS=str(clients)) as found:
        yield found


def token(**members: Any) -> str:
    now = int(time.time())
    given = {"iss": ISS, "aud": PUBLIC + HOOK, "iat": now, "exp": now + 300, "jti": f"{time.monotonic_ns()}"}
    header = members.pop("header", None)
    return signed(header=header, **{**given, **members})


def post(attacked: Served, authorization: str | None, body: bytes = b"{}", path: str = HOOK) -> requests.Response:
    headers = {"Content-Type": "application/json"} | ({"Authorization": authorization} if authorization else {})
    return requests.post(f"http://127.0.0.1:{attacked.port}{path}", data=body, headers=headers, timeout=20)


def test_one_token_counts_once_in_all_processes(attacked: Served, ehr: Ehr) -> None:
    """Forty calls at once with the same token: one is answered."""
    body, authorization = encode(ehr.call(MET)), token()
    with ThreadPoolExecutor(40) as pool:
        seen = list(pool.map(lambda _: post(attacked, authorization, body).status_code, range(40)))
    assert sorted(seen) == [200] + [401] * 39


WRONG_AUDIENCE = {
    "a slash at the end": PUBLIC + HOOK + "/",
    "a query": PUBLIC + HOOK + "?x=1",
    "a fragment": PUBLIC + HOOK + "#x",
    "another service": PUBLIC + "/cds-services/order-select-crd",
    "its feedback": PUBLIC + HOOK + "/feedback",
    "discovery": PUBLIC + "/cds-services",
    "the base": PUBLIC,
    "without the proxy's path": "https://plan.example" + HOOK,
    "capitals": PUBLIC.upper() + HOOK,
    "the default port": PUBLIC.replace(".example", ".example:443") + HOOK,
    "http": PUBLIC.replace("https", "http") + HOOK,
    "a path alone": HOOK,
    "an empty list": [],
    "a list within a list": [[PUBLIC + HOOK]],
    "an object": {"": PUBLIC + HOOK},
    "a list with a number": [PUBLIC + HOOK, 5],
    "nothing": None,
}


@pytest.mark.parametrize("audience", WRONG_AUDIENCE.values(), ids=WRONG_AUDIENCE.keys())
def test_a_token_for_another_place_is_refused(audience: Any, attacked: Served) -> None:
    """401, with one body for every reason."""
    response = post(attacked, token(aud=audience))
    assert (response.status_code, response.content) == (401, post(attacked, None).content)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (HOOK + "?x=1", 400),  # the query is no part of the URL that is named; then the empty body is refused
        (HOOK + "/", 404),
        ("//cds-services/order-sign-crd", 400),  # WSGI knows no such path: it is the same address
        ("/cds-services/../cds-services/order-sign-crd", 404),
        ("/cds-services/order-sign-crd/feedback", 401),
        ("/cds-services/order-select-crd", 401),
    ],
)
def test_a_good_token_opens_one_address(path: str, status: int, attacked: Served) -> None:
    """Sent as it is written, past every normalisation of a client library."""
    raw = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {token()}\r\nContent-Type: application/json\r\n"
    answer = attacked.send(raw.encode() + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}")
    assert answer.split(b" ", 2)[1] == str(status).encode()


@pytest.mark.parametrize("header", ["Host: evil.example", "X-Forwarded-Host: evil.example", "Forwarded: host=evil"])
def test_no_header_moves_the_audience(header: str, attacked: Served) -> None:
    """It is put together from the setting alone."""
    forged = token(aud="https://evil.example" + HOOK)
    raw = f"POST {HOOK} HTTP/1.1\r\n{header}\r\nAuthorization: {forged}\r\nContent-Type: application/json\r\n"
    answer = attacked.send(raw.encode() + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}")
    assert answer.split(b" ", 2)[1] == b"401"


def test_two_authorization_headers_are_none(attacked: Served) -> None:
    """A proxy and the service might look at different ones."""
    raw = f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nAuthorization: {token()}\r\nAuthorization: {token()}\r\n"
    answer = attacked.send(raw.encode() + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}")
    assert answer.split(b" ", 2)[1] in (b"400", b"401")


KIDS = ["../../etc/passwd", "ec\x00", "EC", "ec ", " ec", "rsa", "' OR 1=1 --", "https://evil.example/k", "k" * 300, ""]


@pytest.mark.parametrize("kid", [*KIDS, None, 5, ["ec"], {"ec": 1}, True])
def test_a_key_name_is_nothing_but_a_name(kid: Any, attacked: Served) -> None:
    """No path, no URL, no query, no other type: it is the key's own name or none."""
    header = {"alg": "ES384", "typ": "JWT", "kid": kid}
    now = int(time.time())
    claims = {"iss": ISS, "aud": PUBLIC + HOOK, "iat": now, "exp": now + 60, "jti": f"{time.monotonic_ns()}"}
    assert post(attacked, signed_by_hand(header, claims)).status_code == 401


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", "HS256", "HS384", "", "ES384 "])
def test_an_algorithm_that_needs_no_key_is_refused(algorithm: str, attacked: Served) -> None:
    """Whoever has the public key has what a shared secret would be; an empty signature is none."""
    now = int(time.time())
    header = {"alg": algorithm, "typ": "JWT", "kid": "ec"}
    claims = {"iss": ISS, "aud": PUBLIC + HOOK, "iat": now, "exp": now + 60, "jti": f"{time.monotonic_ns()}"}
    for signature in ("", "AA", part(b"\0" * 96)):
        assert post(attacked, f"Bearer {part(header)}.{part(claims)}.{signature}").status_code == 401


@pytest.mark.parametrize(
    "times",
    [
        {"exp": -3600},
        {"iat": 3600, "exp": 3700},
        {"iat": -3600},
        {"exp": 86_400},
        {"iat": -700, "exp": 100},
        {"nbf": 3600},
    ],
    ids=str,
)
def test_a_token_outside_its_time_is_refused(times: Json, attacked: Served) -> None:
    """Ended, not begun, too old, too long."""
    now = int(time.time())
    assert post(attacked, token(**{name: now + offset for name, offset in times.items()})).status_code == 401


def test_a_flood_of_bad_tokens_holds_up_nobody(attacked: Served, ehr: Ehr) -> None:
    """While four threads send rubbish as fast as they can, a registered client is answered in time, every time."""
    over = threading.Event()
    bad = [token(aud="x"), "Bearer " + "a" * 8000, "Bearer a.b.c", token(header={"kid": "x" * 200})]

    def flood(authorization: str) -> None:
        with requests.Session() as session:
            while not over.is_set():
                session.post(
                    f"http://127.0.0.1:{attacked.port}{HOOK}",
                    data=b"{}",
                    headers={"Authorization": authorization, "Content-Type": "application/json"},
                    timeout=20,
                )

    threads = [threading.Thread(target=flood, args=(authorization,)) for authorization in bad]
    for thread in threads:
        thread.start()
    try:
        body = encode(ehr.call(MET))
        for _ in range(20):
            began = time.monotonic()
            assert post(attacked, token(), body).status_code == 200
            assert time.monotonic() - began < 4
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_a_call_about_very_many_orders_is_refused(ehr: Ehr) -> None:
    """It would take seconds of everybody's time."""
    orders = [order_of(MET.id, id=f"o{number}") for number in range(MOST_ORDERS + 1)]
    response = ehr.post(ehr.call(MET, *orders))
    assert response.status_code == 400
    assert response.get_json()["issue"][0]["code"] == "too-costly"
    assert ehr.post(ehr.call(MET, *orders[:20])).status_code == 200


def test_a_call_that_names_very_many_orders_reads_none(ehr: Ehr, client: FlaskClient, serving: Any) -> None:
    """It would turn one call into as many requests to the FHIR server."""
    names = [f"MedicationRequest/o{number}" for number in range(MOST_ORDERS + 1)]
    context = {"patientId": MET.id, "dispatchedOrders": names, "performer": "Organization/x"}
    call = {
        "hook": "order-dispatch",
        "hookInstance": "6f1e0a52-3c1b-4b0e-9a55-0d9c6a1f2b3c",
        "fhirServer": BASE,
        "context": context,
    }
    with serving(ehr.store(MET)) as server:
        response = client.post("/cds-services/order-dispatch-crd", data=encode(call), content_type="application/json")
    assert (response.status_code, server.asked) == (400, [])
    assert response.get_json()["issue"][0]["code"] == "too-costly"


HEAVY = {
    "digits": b'{"hook": ' + b"1" * 1_900_000 + b"}",
    "digits after the point": b'{"hook": 0.' + b"1" * 1_900_000 + b"}",
    "many numbers": b'{"hook": [' + b"1e5," * 450_000 + b"1]}",
    "many arrays": b'{"hook": [' + b"[]," * 600_000 + b"1]}",
    "many members": b"{" + b",".join(b'"%d":1' % number for number in range(180_000)) + b"}",
    "escapes": b'{"hook": "' + b"\\u0041" * 300_000 + b'"}',
    "depth": b'{"hook": ' + b"[" * 900_000 + b"]" * 900_000 + b"}",
}


@pytest.mark.parametrize("body", HEAVY.values(), ids=HEAVY.keys())
def test_a_heavy_body_is_soon_refused(body: bytes, ehr: Ehr) -> None:
    """2 MB of whatever costs a parser most: well below the deadline."""
    began = time.thread_time()
    assert ehr.post(body).status_code == 400
    assert time.thread_time() - began < 3.0


@pytest.mark.parametrize("text", ["a ", "factor ix ", "not ", "<", "(%)", "10*", "1 1/", "no ", "\n", "é", "a.b", "__"])
def test_a_long_text_of_a_chart_costs_little(text: str, ehr: Ehr) -> None:
    """No pattern takes more than its share of time, wherever the text stands."""
    long = (text * 40_000)[:40_000]
    call = ehr.call(MET, order_of(MET.id, dosageInstruction=[{"text": long}], note=[{"text": long}]))
    for entries in call["prefetch"].values():
        for entry in entries["entry"][:3]:
            resource = entry["resource"]
            if "code" in resource and isinstance(resource["code"], dict):
                resource["code"]["text"] = long
            if resource["resourceType"] == "Observation":
                resource.pop("valueQuantity", None)
                resource["valueString"] = long
    began = time.thread_time()
    assert ehr.post(call).status_code == 200
    assert time.thread_time() - began < 3.0
