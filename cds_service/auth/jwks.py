"""The keys that registered clients publish: fetched, kept for minutes, and for a day when the issuer is down.

One `PublishedKeys` for each registered `jku`. They share no lock and no thread, so that an issuer that hangs holds
nobody but its own callers, and of these no more than a few, for no longer than one fetch. PyJWT's own client is not
used: it follows redirects, has no limit of size, and before 2.13 fetched again for each unknown `kid`
(GHSA-fhv5-28vv-h8m8).
"""

import threading
import time
from collections.abc import Callable
from enum import Enum
from http.client import HTTPException

import requests
import urllib3
from msgspec import Struct

from cds_service.auth.keys import Algorithm, Key, KeyRefusedError, KeySet, usable_keys
from cds_service.auth.plain_json import NotPlainJsonError, parse_json
from fhir_mappings.connections import EndableAdapter, Use


class FetchFailure(Enum):
    """Why a key set could not be fetched."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    STATUS = "status"  # anything but 200, a redirect included
    TOO_LARGE = "too-large"
    NOT_A_KEY_SET = "not-a-key-set"
    FAULT = "fault"


class FetchError(Exception):
    """A key set that could not be fetched."""

    def __init__(self, failure: FetchFailure) -> None:
        super().__init__(failure.value)
        self.failure = failure


class KeysUnavailableError(Exception):
    """Nothing is known of an issuer's keys now: neither that the key exists nor that it does not."""


class FetchLimits(Struct, frozen=True):
    """What one fetch may cost."""

    total_s: float = 2.0
    size: int = 64 * 1024


class Keeping(Struct, frozen=True):
    """How long a key set is kept, and how often it is asked for; seconds."""

    ahead_s: float = 240.0  # from this age on it is fetched again, and nobody waits for that
    fresh_s: float = 300.0  # from this age on a caller waits for it, unless the issuer is known to be down
    last_good_s: float = 24 * 3600.0  # the most that an issuer may be down
    pause_s: float = 30.0  # between two fetches for unknown names, and after a failure
    most_waiting: int = 16  # callers of one issuer; the others' threads stay free


Fetch = Callable[[str], KeySet]
Note = Callable[[str, FetchFailure], None]


def _unnoted(_: str, __: FetchFailure) -> None:
    return


class KeySetReader:
    """Fetches key sets: no redirect, no proxy or password from the environment, one deadline over all of it."""

    def __init__(self, limits: FetchLimits | None = None, verify: bool | str = True) -> None:
        self._limits = limits or FetchLimits()
        self._verify = verify
        self._session = requests.Session()
        self._session.trust_env = False
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, EndableAdapter(pool_connections=4, pool_maxsize=4))

    def read(self, jku: str) -> KeySet:
        """The usable keys at this URL. Raises FetchError."""
        until = time.monotonic() + self._limits.total_s
        over = threading.Event()
        use = Use()
        keeper = threading.Thread(target=self._end_at_the_deadline, args=(use, over), name="jwks-deadline", daemon=True)
        keeper.start()
        try:
            with use:
                return _key_set(self._body(jku, until))
        except requests.Timeout:
            raise FetchError(FetchFailure.TIMEOUT) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, HTTPException, OSError):
            late = time.monotonic() >= until
            raise FetchError(FetchFailure.TIMEOUT if late else FetchFailure.UNREACHABLE) from None
        finally:
            over.set()

    def _end_at_the_deadline(self, use: Use, over: threading.Event) -> None:
        # A socket's timeout counts from byte to byte: headers that drip are ended from outside. More than once, since
        # at the deadline the connection may still be opening.
        wait_s = self._limits.total_s
        while not over.wait(wait_s):
            use.end()
            wait_s = 0.2

    def _body(self, jku: str, until: float) -> bytes:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "Connection": "close"}
        request = requests.Request("GET", jku, headers=headers).prepare()
        # The adapter itself: a Session reads the whole body of a redirect before it does not follow it.
        total_s = self._limits.total_s
        response = self._session.get_adapter(jku).send(
            request, stream=True, timeout=(total_s, total_s), verify=self._verify
        )
        try:
            if response.status_code != 200:
                raise FetchError(FetchFailure.STATUS)
            if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
                raise FetchError(FetchFailure.NOT_A_KEY_SET)
            body = bytearray()
            while chunk := response.raw.read1(8192, decode_content=False):
                body += chunk
                if len(body) > self._limits.size:
                    raise FetchError(FetchFailure.TOO_LARGE)
                if time.monotonic() >= until:
                    raise FetchError(FetchFailure.TIMEOUT)
            return bytes(body)
        finally:
            response.close()


def _key_set(body: bytes) -> KeySet:
    try:
        return usable_keys(parse_json(body))
    except (NotPlainJsonError, KeyRefusedError):
        raise FetchError(FetchFailure.NOT_A_KEY_SET) from None


class _Held(Struct, frozen=True):
    keys: KeySet
    read_at: float


class _Flight:
    """A fetch under way, shared by all who wait for it."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.ended = threading.Event()

    def wait(self) -> None:
        """Comes back when the fetch has ended, or should have."""
        self.ended.wait(max(0.0, self.until - time.monotonic()))


class PublishedKeys:
    """The keys at one registered URL."""

    def __init__(
        self,
        jku: str,
        fetch: Fetch,
        clock: Callable[[], float] = time.monotonic,
        keeping: Keeping | None = None,
        note: Note = _unnoted,
        wait_s: float = FetchLimits().total_s,
    ) -> None:
        self._jku, self._fetch, self._clock, self._note, self._wait_s = jku, fetch, clock, note, wait_s
        self._keeping = keeping or Keeping()
        self._lock = threading.Lock()
        self._waiting = threading.BoundedSemaphore(self._keeping.most_waiting)
        self._held: _Held | None = None
        self._flight: _Flight | None = None
        self._failed_at: float | None = None  # since the last success
        self._asked_for_unknown_at: float | None = None

    def find(self, kid: str, algorithm: Algorithm) -> Key | None:
        """The key of that name for that algorithm; None when the issuer has none.

        Raises KeysUnavailableError when no key set is known, or more callers wait for it than may.
        """
        now = self._clock()
        held = self._usable(now)
        known = held is not None and kid in held.keys
        if held is None or not known or now - held.read_at >= self._keeping.ahead_s:
            self._refresh(now, held, known)
            held = self._usable(now)
        if held is None:
            raise KeysUnavailableError
        return held.keys.find(kid, algorithm)

    def _usable(self, now: float) -> _Held | None:
        held = self._held
        return held if held is not None and now - held.read_at < self._keeping.last_good_s else None

    def _refresh(self, now: float, held: _Held | None, known: bool) -> None:
        """Starts a fetch where it is time for one, and waits for the one under way where the caller needs it."""
        with self._lock:
            flight = self._flight
            if flight is None and self._may_fetch(now, known):
                if held is not None and not known:
                    self._asked_for_unknown_at = now
                flight = self._start()
            # One who has a key in hand waits only for an issuer that answered last time.
            served = held is not None and known
            stale = held is not None and now - held.read_at >= self._keeping.fresh_s
            if flight is None or (served and (not stale or self._failed_at is not None)):
                return
        if not self._waiting.acquire(blocking=False):
            if served:
                return
            raise KeysUnavailableError
        try:
            flight.wait()
        finally:
            self._waiting.release()

    def _may_fetch(self, now: float, known: bool) -> bool:
        pauses = [self._failed_at] if known else [self._failed_at, self._asked_for_unknown_at]
        return all(at is None or now - at >= self._keeping.pause_s for at in pauses)

    def _start(self) -> _Flight:
        self._flight = flight = _Flight(time.monotonic() + self._wait_s)
        threading.Thread(target=self._fly, args=(flight,), name="jwks", daemon=True).start()
        return flight

    def _fly(self, flight: _Flight) -> None:
        found, failure = None, FetchFailure.FAULT
        try:
            found = self._fetch(self._jku)
        except FetchError as error:
            failure = error.failure
        finally:
            with self._lock:
                now = self._clock()
                if found is not None:
                    self._held, self._failed_at = _Held(found, now), None
                else:
                    self._failed_at = now
                self._flight = None
            flight.ended.set()
            if found is None:
                self._note(self._jku, failure)
