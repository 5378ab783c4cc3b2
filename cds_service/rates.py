"""How often somebody may call: each registered client its agreed rate, each address what needs no token.

A client's calls count after its token was checked, so that nobody can use up another's rate; an address's count where
there is no client: pages, and calls that were refused for their token. Counted in each process by itself: that costs
no call a way to another machine, and more processes only let more through. Reasons in docs/decisions/0007-rates.md.
"""

import threading
import time
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import NoReturn

from flask import Flask, Response, g, request
from limits import RateLimitItem, parse
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from hooks.refusals import Refusal

_MOST_KEYS = 20_000
# What must stay in reach: discovery (CDS Hooks "Discovery"), what an orchestrator asks, and what checks tokens itself.
_FREE_BLUEPRINTS = frozenset({"cds", "fhir", "fhir_tokens"})
_FREE = frozenset({"operations.live", "operations.ready"})


class Counts(Storage):
    """Counters in memory, bounded. The library's own starts a thread for about every call (0.2 ms of CPU)."""

    STORAGE_SCHEME = ["counts"]  # noqa: RUF012 - the library's interface

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = _MOST_KEYS) -> None:
        super().__init__()
        self._clock, self._most = clock, most
        self._counts: dict[str, tuple[float, int]] = {}  # key → (end of its window, count)
        self._lock = threading.Lock()

    @property
    def base_exceptions(self) -> type[Exception]:
        """None that could happen here."""
        return KeyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """The count of the key's window, which begins with its first call, after `amount` was added."""
        now = self._clock()
        with self._lock:
            until, count = self._counts.get(key, (0.0, 0))
            if until <= now:
                self._counts.pop(key, None)  # put in anew, so that the first one is the oldest
                self._make_room(now)
                until, count = now + expiry, 0
            self._counts[key] = (until, count + amount)
            return count + amount

    def _make_room(self, now: float) -> None:
        while self._counts:
            oldest = next(iter(self._counts))
            if len(self._counts) < self._most and self._counts[oldest][0] > now:
                return
            del self._counts[oldest]

    def get(self, key: str) -> int:
        """The count of the key's window; 0 when it is over."""
        until, count = self._counts.get(key, (0.0, 0))
        return count if until > self._clock() else 0

    def get_expiry(self, key: str) -> float:
        """When the key's window ends, by the clock; now where there is none."""
        return self._counts.get(key, (self._clock(), 0))[0]

    def check(self) -> bool:
        """True."""
        return True

    def reset(self) -> int:
        """Forgets everything; how much that was."""
        with self._lock:
            count = len(self._counts)
            self._counts.clear()
        return count

    def clear(self, key: str) -> None:
        """Forgets the key."""
        with self._lock:
            self._counts.pop(key, None)


@lru_cache(maxsize=1024)
def parse_rate(text: str) -> RateLimitItem:
    """The rate that is written as `600/minute`. Raises ValueError."""
    item = parse(text)
    if item.amount < 1:
        raise ValueError("expected at least one")
    return item


class Rates:
    """The rates, spent call by call."""

    def __init__(
        self, client: str, address: str, throttled: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Rates as written, empty for none; `throttled` is told whose was spent: `client` or `address`."""
        self._client, self._address = client, address
        self._throttled, self._clock = throttled, clock
        self._counts = Counts(clock)
        self._limiter = FixedWindowRateLimiter(self._counts)

    def check_client(self, iss: str, agreed: str | None) -> None:
        """Nothing while the client has calls left; it takes none. Raises Refusal 429."""
        self._check("client", iss, agreed or self._client)

    def spend_client(self, iss: str, agreed: str | None) -> None:
        """One call of a client that has proved who it is. Raises Refusal 429."""
        self._spend("client", iss, agreed or self._client)

    def spend_address(self, surface: str) -> None:
        """One request from the address of the request at hand. Raises Refusal 429."""
        self._spend("address", f"{surface} {_network(request.remote_addr or '')}", self._address)

    def _check(self, whose: str, key: str, rate: str) -> None:
        if rate and not self._limiter.test(parse_rate(rate), whose, key):
            self._refuse(whose, key, parse_rate(rate))

    def _spend(self, whose: str, key: str, rate: str) -> None:
        if rate and not self._limiter.hit(parse_rate(rate), whose, key):
            self._refuse(whose, key, parse_rate(rate))

    def _refuse(self, whose: str, key: str, item: RateLimitItem) -> NoReturn:
        self._throttled(whose)
        left = self._counts.get_expiry(item.key_for(whose, key)) - self._clock()
        g.retry_after_s = max(1, int(left) + 1)
        raise Refusal(429, "throttled", "too many calls; try again after the seconds that Retry-After names")

    def guard(self, app: Flask) -> None:
        """Counts what needs no token, and has every 429 say when to come again."""

        @app.before_request
        def counted() -> None:
            if request.blueprint not in _FREE_BLUEPRINTS and request.endpoint not in _FREE:
                self.spend_address(request.blueprint or "")

        @app.after_request
        def timed(response: Response) -> Response:
            if response.status_code == 429 and "retry_after_s" in g:
                response.headers["Retry-After"] = str(g.retry_after_s)
            return response


def _network(address: str) -> str:
    """What one caller has of addresses: one of IPv4, a /64 of IPv6."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(int(found) >> 64) if isinstance(found, IPv6Address) and found.ipv4_mapped is None else address
