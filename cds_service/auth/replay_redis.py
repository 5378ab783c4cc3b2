"""Which tokens have been used, in Redis, for several instances of the service.

Needs the extra `redis`, and a server that evicts nothing (`maxmemory-policy noeviction`): an evicted token could be
used again. The driver is imported here only when a Redis is configured.
"""

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from cds_service.auth.replay import ReplayStoreError, token_digest

if TYPE_CHECKING:
    from redis import Redis

_PREFIX = "cds:jti:"
_SCHEMES = ("redis", "rediss", "unix")


class RedisUrlError(ValueError):
    """A Redis URL that cannot be used. The message does not repeat it: it may hold a password."""


class SeenTokensRedis:
    """The used tokens in a Redis.

    A token is noted by one `SET … NX EX`, which one caller alone wins. Nothing is tried twice: after an answer that was
    lost, the second try would take the caller's own note for somebody else's.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.time, wait_s: float = 0.2) -> None:
        """Opens no connection. Raises RedisUrlError. `wait_s` bounds the connecting and each answer, on its own."""
        self._clock = clock
        self._redis = _client(url, wait_s)

    def first_use(self, iss: str, jti: str, expires_at: int) -> bool:
        """True exactly once for this issuer and `jti`, until `expires_at` (epoch seconds). Raises ReplayStoreError."""
        seconds = max(1, math.ceil(expires_at - self._clock()))
        return self._set(_PREFIX + token_digest(iss, jti).hex(), seconds, only_new=True)

    def check(self) -> None:
        """Nothing when a token could be noted now. Raises ReplayStoreError. For readiness."""
        # A write, since a replica that only reads answers a PING too.
        self._set("cds:ready", 5, only_new=False)

    def close(self) -> None:
        """Lets go of the connections."""
        self._redis.close()

    def _set(self, name: str, seconds: int, only_new: bool) -> bool:
        from redis.exceptions import RedisError

        try:
            return bool(self._redis.set(name, b"1", ex=seconds, nx=only_new))
        except (RedisError, OSError, ValueError) as error:
            raise ReplayStoreError(f"Redis cannot tell ({type(error).__name__})") from None


def _client(url: str, wait_s: float) -> "Redis":
    try:
        parts = urlsplit(url)
        _ = parts.port
        options = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))]
    except ValueError:
        raise RedisUrlError("expected redis://host:port/0, rediss://… or unix://path") from None
    place = parts.path if parts.scheme == "unix" else parts.hostname
    database = parts.path.strip("/")
    if parts.scheme not in _SCHEMES or not place or (parts.scheme != "unix" and database and not database.isdecimal()):
        raise RedisUrlError("expected redis://host:port/0, rediss://… or unix://path")
    # An option of the URL goes before ours: one that sets a time or a number of tries would undo the limits here.
    if any(name != "db" and not name.startswith("ssl_") for name in options):
        raise RedisUrlError("expected no other options in the URL than db and ssl_…")
    try:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError
        from redis.retry import Retry
    except ImportError:
        raise RedisUrlError("the driver is not installed; install the extra `redis`") from None
    try:
        client = Redis.from_url(
            url,
            protocol=2,  # no HELLO first: one round trip fewer for a server that says nothing
            driver_info=None,
            socket_connect_timeout=wait_s,
            socket_timeout=wait_s,
            retry=Retry(NoBackoff(), 0),
        )
        client.connection_pool.make_connection()  # without connecting; it looks at the options, which the pool does not
    except (ValueError, TypeError, RedisError):
        raise RedisUrlError(
            "expected redis://host:port/0, rediss://… with redis-py's options ssl_…, or unix://path"
        ) from None
    return client
