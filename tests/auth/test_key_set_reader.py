"""Fetching a key set: what is read, and what bounds it."""

import json
import threading
import time
import zlib

import pytest
from issuing import elliptic, key_set
from peers import Behaviour, closed_port, http, peer, saying, silent

from cds_service.auth.jwks import FetchError, FetchFailure, FetchLimits, KeySetReader
from cds_service.auth.keys import Algorithm, KeySet

KEYS = json.dumps(key_set(a=elliptic())).encode()


def read(behaviour: Behaviour, total_s: float = 2.0) -> KeySet:
    """What is read of a server that behaves so."""
    with peer(behaviour) as server:
        return KeySetReader(FetchLimits(total_s=total_s)).read(f"http://127.0.0.1:{server.port}/jwks.json")


def failure(behaviour: Behaviour, total_s: float = 2.0) -> FetchFailure:
    """Why nothing is read of a server that behaves so."""
    with pytest.raises(FetchError) as caught:
        read(behaviour, total_s)
    assert str(caught.value) == caught.value.failure.value
    return caught.value.failure


def test_a_key_set_is_read() -> None:
    """The keys of an answer of status 200 are read."""
    assert read(saying(http(KEYS))).find("a", Algorithm.ES384) is not None


def test_a_redirect_is_not_followed() -> None:
    """A redirect is a failure, and where it leads nobody is asked."""
    with peer(saying(http(KEYS))) as elsewhere:
        there = f"Location: http://127.0.0.1:{elsewhere.port}/jwks.json"
        for status in ("301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"):
            assert failure(saying(http(b"", status, there))) is FetchFailure.STATUS
        assert elsewhere.met == 0


@pytest.mark.parametrize("status", ["404 Not Found", "500 Internal Server Error", "204 No Content", "401 Unauthorized"])
def test_another_status(status: str) -> None:
    """Keys count only with status 200."""
    assert failure(saying(http(KEYS, status))) is FetchFailure.STATUS


@pytest.mark.parametrize(
    "body", [b"<!doctype html><html></html>", b"", b"[]", b"{}", b'{"keys":{}}', KEYS[:-9], b'{"keys":[],"keys":[]}']
)
def test_what_is_no_key_set(body: bytes) -> None:
    """HTML, cut JSON, a member written twice and other JSON are failures."""
    assert failure(saying(http(body, kind="text/html"))) is FetchFailure.NOT_A_KEY_SET


def test_an_empty_key_set_is_one() -> None:
    """An issuer that publishes no key has withdrawn them all."""
    assert "a" not in read(saying(http(b'{"keys":[]}')))


def test_a_key_set_of_more_than_64_kib() -> None:
    """A larger answer is cut off, announced or not, and so is one that never ends."""
    large = KEYS + b" " * 65_536
    assert failure(saying(http(large))) is FetchFailure.TOO_LARGE
    endless = http(b"").replace(b"Content-Length: 0\r\n", b"")
    assert failure(saying(endless, *[b" " * 65_536] * 50)) is FetchFailure.TOO_LARGE


def test_a_compressed_answer() -> None:
    """No compression was asked for, and none is opened."""
    packed = http(zlib.compress(KEYS), "200 OK", "Content-Encoding: deflate")
    assert failure(saying(packed)) is FetchFailure.NOT_A_KEY_SET


def drips_headers() -> Behaviour:
    """A byte of the headers now and then."""
    return saying(*[bytes([one]) for one in http(KEYS)], pause_s=0.1)


def drips_body() -> Behaviour:
    """The headers, then a byte now and then."""
    answer = http(KEYS)
    return saying(answer[:120], *[bytes([one]) for one in answer[120:]], pause_s=0.1)


@pytest.mark.parametrize("behaviour", [silent, drips_headers(), drips_body()], ids=["silent", "headers", "body"])
def test_a_slow_issuer(behaviour: Behaviour) -> None:
    """One who says nothing, or a byte at a time, is left at the deadline."""
    started = time.monotonic()
    with pytest.raises(FetchError):
        read(behaviour, total_s=0.4)
    assert time.monotonic() - started < 0.9


def test_an_issuer_that_is_not_there() -> None:
    """A closed port is a failure at once."""
    with pytest.raises(FetchError) as caught:
        KeySetReader().read(f"http://127.0.0.1:{closed_port()}/jwks.json")
    assert caught.value.failure is FetchFailure.UNREACHABLE


def test_no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies that the environment names are not used."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    assert "a" in read(saying(http(KEYS)))


def test_a_fetch_leaves_no_thread() -> None:
    """After a fetch, good or bad, its threads have ended."""
    before = threading.active_count()
    with peer(saying(http(KEYS))) as server:
        for _ in range(5):
            KeySetReader().read(f"http://127.0.0.1:{server.port}/jwks.json")
    until = time.monotonic() + 2
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() <= before
