"""Used tokens in Redis: one winner, and no token let in by a Redis that is frozen, gone or unwell."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from issuing import ISS, NOW, Clock, authenticator, refused, signed
from peers import Behaviour, closed_port, peer, saying, silent

from cds_service.auth.replay import ReplayStoreError, token_digest
from cds_service.auth.replay_redis import RedisUrlError, SeenTokensRedis
from cds_service.auth.tokens import Reason

pytest.importorskip("redis")
LATER = NOW + 360


class SmallRedis:
    """Knows `SET name value EX seconds [NX]` and keeps what it was told."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}
        self.asked: list[list[bytes]] = []
        self._lock = threading.Lock()

    def __call__(self, connection: socket.socket) -> None:
        """Serves one connection."""
        stream = connection.makefile("rb")
        while line := stream.readline():
            words = [stream.read(int(stream.readline()[1:]) + 2)[:-2] for _ in range(int(line[1:]))]
            connection.sendall(self._answer(words))

    def _answer(self, words: list[bytes]) -> bytes:
        with self._lock:
            self.asked.append(words)
            if words[0] != b"SET":
                return b"+OK\r\n"
            if b"NX" in words and words[1] in self.kept:
                return b"$-1\r\n"
            self.kept[words[1]] = words[2]
            return b"+OK\r\n"


def store_at(port: int) -> SeenTokensRedis:
    """The store in the Redis on this port."""
    return SeenTokensRedis(f"redis://127.0.0.1:{port}/0", Clock())


def seconds_to_refuse(port: int) -> float:
    """How long it takes until a token is refused."""
    store = store_at(port)
    started = time.monotonic()
    with pytest.raises(ReplayStoreError):
        store.first_use(ISS, "marked-token-id", LATER)
    took = time.monotonic() - started
    store.close()
    return took


def test_a_token_is_used_once_among_instances() -> None:
    """Two instances with 16 callers each have one winner for each token."""
    with peer(SmallRedis()) as server, ThreadPoolExecutor(32) as pool:
        instances = [store_at(server.port), store_at(server.port)]
        for name in ("a", "b"):
            uses = [pool.submit(instances[turn % 2].first_use, ISS, name, LATER) for turn in range(32)]
            assert sum(use.result() for use in uses) == 1
        for instance in instances:
            instance.close()


def test_a_token_is_kept_as_long_as_it_is_good() -> None:
    """What is sent is one SET of a digest, only where it is new, with the seconds that are left."""
    redis = SmallRedis()
    with peer(redis) as server:
        store = store_at(server.port)
        store.first_use(ISS, "marked-token-id", LATER)
        store.first_use(ISS, "late", NOW - 5)
        store.close()
    sets = [words for words in redis.asked if words[0] == b"SET"]
    assert [sorted(words[3:]) for words in sets] == [[b"360", b"EX", b"NX"], [b"1", b"EX", b"NX"]]
    assert sets[0][1] == b"cds:jti:" + token_digest(ISS, "marked-token-id").hex().encode()
    assert not any(b"marked-token-id" in word for words in redis.asked for word in words)


def test_a_frozen_redis_refuses_in_time() -> None:
    """One that accepts and says nothing costs less than half a second."""
    with peer(silent) as server:
        assert seconds_to_refuse(server.port) < 0.5


def test_a_redis_that_freezes_refuses_in_time() -> None:
    """One that froze after it had answered costs less than half a second, for 16 callers at once."""
    frozen = threading.Event()
    redis = SmallRedis()

    def behaviour(connection: socket.socket) -> None:
        if frozen.is_set():
            silent(connection)
        redis(connection)

    answer = redis._answer
    redis._answer = lambda words: answer(words) if not frozen.wait(0) else b""  # type: ignore[method-assign]
    with peer(behaviour) as server, ThreadPoolExecutor(16) as pool:
        store = store_at(server.port)
        assert store.first_use(ISS, "a", LATER)
        frozen.set()
        started = time.monotonic()
        uses = [pool.submit(store.first_use, ISS, f"b{turn}", LATER) for turn in range(16)]
        assert all(isinstance(use.exception(), ReplayStoreError) for use in uses)
        assert time.monotonic() - started < 0.6
        store.close()


def test_a_redis_that_is_gone_refuses_at_once() -> None:
    """A closed port costs next to nothing."""
    assert seconds_to_refuse(closed_port()) < 0.3


@pytest.mark.parametrize(
    "behaviour",
    [
        saying(b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"),
        saying(b"-READONLY You can't write against a read only replica.\r\n"),
        saying(b"-NOAUTH Authentication required.\r\n"),
        saying(b"-LOADING Redis is loading the dataset in memory\r\n"),
        saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        saying(b""),
    ],
    ids=["out of memory", "replica", "no password", "loading", "no redis", "hangs up"],
)
def test_a_redis_that_is_unwell_refuses(behaviour: Behaviour) -> None:
    """An error, nonsense and a closed connection are no first use."""
    with peer(behaviour) as server:
        assert seconds_to_refuse(server.port) < 0.5
        assert refused(signed(), by=authenticator(seen=store_at(server.port))) is Reason.STORE


def test_readiness_writes() -> None:
    """A Redis that answers is ready, and one that takes no writes is not."""
    with peer(SmallRedis()) as server:
        store_at(server.port).check()
    read_only = saying(b"-READONLY You can't write against a read only replica.\r\n")
    with peer(read_only) as server, pytest.raises(ReplayStoreError):
        store_at(server.port).check()


def test_a_redis_that_is_back_is_used_again() -> None:
    """After a restart of Redis the next token is let in, by the same store."""
    redis = SmallRedis()
    connections: list[socket.socket] = []

    def behaviour(connection: socket.socket) -> None:
        connections.append(connection)
        redis(connection)

    with peer(behaviour) as server:
        store = store_at(server.port)
        assert store.first_use(ISS, "a", LATER)
        connections[0].shutdown(socket.SHUT_RDWR)
        time.sleep(0.05)
        assert store.first_use(ISS, "b", LATER)
        store.close()


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "http://localhost:6379",
        "redis://",
        "redis://:secret@/0",
        "redis://localhost:secret",
        "redis://localhost:99999",
        "redis://:secret@localhost/secret",
        "redis://:secret@localhost/0?socket_timeout=60",
        "redis://:secret@localhost/0?retry_on_timeout=1",
        "redis://:secret@localhost/0?nonsense",
        "unix://",
    ],
)
def test_a_url_that_is_none(url: str) -> None:
    """A malformed URL, and one that would set its own limits, is refused, and a password in it is not repeated."""
    with pytest.raises(RedisUrlError) as caught:
        SeenTokensRedis(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["redis://localhost", "rediss://u:p@redis.example.org:6380/1?ssl_ca_certs=/ca.pem", "unix:///run/redis?db=2"]
)
def test_a_url_that_is_one(url: str) -> None:
    """The usual forms are good, and nothing is connected yet."""
    SeenTokensRedis(url)


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the driver the message says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "redis", None)
    with pytest.raises(RedisUrlError, match="extra `redis`"):
        SeenTokensRedis("redis://localhost")
