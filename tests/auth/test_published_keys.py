"""The keys that a client publishes: when they are fetched, how long they are kept, and who waits."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from issuing import JKU, Clock, authenticator, elliptic, jwk, key_set, refused, registered, registration, rsa, signed

from cds_service.auth.jwks import FetchError, FetchFailure, Keeping, KeysUnavailableError, PublishedKeys
from cds_service.auth.keys import Algorithm, KeySet, usable_keys
from cds_service.auth.tokens import Reason

ES384 = Algorithm.ES384


class Issuer:
    """Publishes keys, or fails to."""

    def __init__(self, *kids: str) -> None:
        self.kids = kids
        self.down = False
        self.asked: list[str] = []
        self.open = threading.Event()
        self.open.set()

    def fetch(self, jku: str) -> KeySet:
        """The key set, when it lets go of the answer."""
        self.asked.append(jku)
        self.open.wait(10)
        if self.down:
            raise FetchError(FetchFailure.UNREACHABLE)
        return usable_keys(key_set(**{kid: elliptic(kid) for kid in self.kids}))

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It answers nothing meanwhile."""
        self.open.clear()
        try:
            yield
        finally:
            self.open.set()


@pytest.fixture
def issuer() -> Issuer:
    """An issuer with one key."""
    return Issuer("a")


@pytest.fixture
def clock() -> Clock:
    """Monotonic seconds that stand."""
    return Clock(1000.0)


@pytest.fixture
def keys(issuer: Issuer, clock: Clock) -> PublishedKeys:
    """Its keys as the service keeps them."""
    return published(issuer, clock)


def published(issuer: Issuer, clock: Clock, wait_s: float = 0.3, **keeping: float) -> PublishedKeys:
    """Keys of this issuer, waited for no longer than that."""
    return PublishedKeys(JKU, issuer.fetch, clock, Keeping(**keeping), wait_s=wait_s)  # type: ignore[arg-type]


def settled(issuer: Issuer, times: int) -> bool:
    """True when it was asked so many times, and no more in a while."""
    until = time.monotonic() + 2
    while len(issuer.asked) < times and time.monotonic() < until:
        time.sleep(0.005)
    time.sleep(0.03)
    return len(issuer.asked) == times


def test_keys_are_fetched_once(keys: PublishedKeys, issuer: Issuer, clock: Clock) -> None:
    """A key set is kept for minutes."""
    for _ in range(3):
        assert keys.find("a", ES384) is not None
        clock.now += 70
    assert issuer.asked == [JKU]


def test_a_key_is_found_for_its_own_algorithm_only(keys: PublishedKeys, issuer: Issuer) -> None:
    """The name of an EC key under RS384 finds nothing, and fetches nothing."""
    assert keys.find("a", ES384) is not None
    assert keys.find("a", Algorithm.RS384) is None
    assert len(issuer.asked) == 1


def test_keys_are_fetched_ahead_of_time(keys: PublishedKeys, issuer: Issuer, clock: Clock) -> None:
    """After four minutes the keys are fetched again, and nobody waits for it."""
    keys.find("a", ES384)
    clock.now += 240
    with issuer.hanging():
        started = time.monotonic()
        assert keys.find("a", ES384) is not None
        assert time.monotonic() - started < 0.15
        assert settled(issuer, 2)


def test_a_withdrawn_key_ends_after_five_minutes(keys: PublishedKeys, issuer: Issuer, clock: Clock) -> None:
    """A key that the issuer no longer publishes is not found once the set is five minutes old."""
    keys.find("a", ES384)
    issuer.kids = ()
    clock.now += 300
    assert keys.find("a", ES384) is None


def test_a_new_key_is_found_at_once(keys: PublishedKeys, issuer: Issuer, clock: Clock) -> None:
    """A key that was published after the last fetch is fetched when a token names it."""
    keys.find("a", ES384)
    issuer.kids = ("a", "b")
    clock.now += 1
    assert keys.find("b", ES384) is not None
    assert keys.find("a", ES384) is not None
    assert len(issuer.asked) == 2


def test_unknown_names_fetch_once_in_half_a_minute(keys: PublishedKeys, issuer: Issuer, clock: Clock) -> None:
    """A flood of unknown names costs the issuer one fetch every 30 seconds."""
    keys.find("a", ES384)
    for second in range(60):
        clock.now += 1
        assert keys.find(f"unknown-{second}", ES384) is None
    assert len(issuer.asked) == 1 + 2


def test_concurrent_callers_share_a_fetch(keys: PublishedKeys, issuer: Issuer) -> None:
    """Eight callers at once, before anything is known, cost one fetch, and all get the key."""
    with ThreadPoolExecutor(8) as pool:
        with issuer.hanging():
            found = [pool.submit(keys.find, "a", ES384) for _ in range(8)]
            assert settled(issuer, 1)
        assert all(one.result() is not None for one in found)


def test_the_last_good_set_is_kept_when_the_issuer_is_down(keys: PublishedKeys, issuer: Issuer, clock: Clock) -> None:
    """Hours after the issuer went down its known keys are still good, and it is asked twice a minute."""
    keys.find("a", ES384)
    issuer.down = True
    clock.now += 3600
    assert keys.find("a", ES384) is not None
    for _ in range(6):
        clock.now += 10
        assert keys.find("a", ES384) is not None
        time.sleep(0.02)
    assert settled(issuer, 1 + 1 + 2)


def test_the_last_good_set_is_not_kept_for_ever(keys: PublishedKeys, issuer: Issuer, clock: Clock) -> None:
    """A day after the last good fetch the keys are good no more."""
    keys.find("a", ES384)
    issuer.down = True
    clock.now += 24 * 3600
    with pytest.raises(KeysUnavailableError):
        keys.find("a", ES384)


def test_an_issuer_that_is_up_again(keys: PublishedKeys, issuer: Issuer, clock: Clock) -> None:
    """What was published while the issuer could not be reached is found half a minute later."""
    issuer.down = True
    with pytest.raises(KeysUnavailableError):
        keys.find("a", ES384)
    issuer.down = False
    clock.now += 29
    with pytest.raises(KeysUnavailableError):
        keys.find("a", ES384)
    clock.now += 1
    assert keys.find("a", ES384) is not None


def test_a_failure_is_remembered(keys: PublishedKeys, issuer: Issuer) -> None:
    """An issuer that is down and was never read is asked once, not once a call."""
    issuer.down = True
    for _ in range(5):
        with pytest.raises(KeysUnavailableError):
            keys.find("a", ES384)
    assert len(issuer.asked) == 1


def test_a_failure_is_told(issuer: Issuer, clock: Clock) -> None:
    """Who runs the service is told of the URL and of the kind of failure."""
    told: list[tuple[str, FetchFailure]] = []
    keys = PublishedKeys(JKU, issuer.fetch, clock, note=lambda jku, failure: told.append((jku, failure)))
    issuer.down = True
    with pytest.raises(KeysUnavailableError):
        keys.find("a", ES384)
    time.sleep(0.05)
    assert told == [(JKU, FetchFailure.UNREACHABLE)]


def test_a_hanging_issuer_is_waited_for_once(issuer: Issuer, clock: Clock) -> None:
    """Of those who have a key in hand the first waits for a stale set, and the next ones do not."""
    keys = published(issuer, clock, wait_s=0.2)
    keys.find("a", ES384)
    clock.now += 400
    with issuer.hanging():
        started = time.monotonic()
        assert keys.find("a", ES384) is not None
        assert 0.15 < time.monotonic() - started < 0.5
        started = time.monotonic()
        assert keys.find("a", ES384) is not None
        assert time.monotonic() - started < 0.1
        assert len(issuer.asked) == 2


def test_an_issuer_that_is_known_to_be_down_is_not_waited_for(
    keys: PublishedKeys, issuer: Issuer, clock: Clock
) -> None:
    """After a failure those who have a key in hand do not wait for the next try."""
    keys.find("a", ES384)
    issuer.down = True
    clock.now += 400
    keys.find("a", ES384)
    clock.now += 30
    with issuer.hanging():
        started = time.monotonic()
        assert keys.find("a", ES384) is not None
        assert time.monotonic() - started < 0.15
        assert settled(issuer, 3)


def test_a_hanging_issuer_holds_few_callers(issuer: Issuer, clock: Clock) -> None:
    """No more callers wait for one issuer than may; the others are refused at once."""
    keys = published(issuer, clock, wait_s=0.5, most_waiting=2)

    def refused_after() -> float:
        started = time.monotonic()
        with pytest.raises(KeysUnavailableError):
            keys.find("a", ES384)
        return time.monotonic() - started

    with issuer.hanging(), ThreadPoolExecutor(8) as pool:
        times = sorted(one.result() for one in [pool.submit(refused_after) for _ in range(8)])
    assert times[5] < 0.25
    assert times[6] > 0.35


def test_a_hanging_issuer_holds_nobody_elses_callers(issuer: Issuer, clock: Clock) -> None:
    """While one issuer hangs, the token of another one's client is let in at once."""
    other = Issuer("ec")
    there = "https://other.example.org/jwks.json"
    clients = registered(
        registration(jwks=None, jku=JKU),
        registration(iss="https://other.example.org", jwks=None, jku=there),
    )
    by = authenticator(clients, published={JKU: published(issuer, clock), there: published(other, clock)})
    with issuer.hanging(), ThreadPoolExecutor(4) as pool:
        held = [pool.submit(refused, signed(elliptic("a"), header={"kid": "a"}, jti=f"t{n}"), by=by) for n in range(4)]
        assert settled(issuer, 1)
        started = time.monotonic()
        assert refused(signed(elliptic("ec"), iss="https://other.example.org"), by=by) is None
        assert time.monotonic() - started < 0.15
        assert [one.result() for one in held] == [Reason.KEYS_UNAVAILABLE] * 4


def test_only_registered_urls_are_fetched(issuer: Issuer, clock: Clock) -> None:
    """A `jku` that leads elsewhere is refused and asks nobody; the registered one is read, named or not."""
    by = authenticator(registered(registration(jwks=None, jku=JKU)), published={JKU: published(issuer, clock)})
    for jku in ("https://evil.example/jwks.json", JKU + "?", JKU + "/../x", JKU.upper()):
        assert refused(signed(elliptic("a"), header={"kid": "a", "jku": jku}), by=by) is Reason.KEY_URL
    assert issuer.asked == []
    assert refused(signed(elliptic("a"), header={"kid": "a", "jku": JKU}), by=by) is None
    assert refused(signed(elliptic("a"), header={"kid": "a"}, jti="token-2"), by=by) is None
    assert issuer.asked == [JKU]


def test_a_published_set_is_read_for_what_it_has() -> None:
    """Of a fetched set the small, private, foreign and ambiguous keys are passed over, and the others are good."""
    small = jwk(rsa("small", 1024), "small")
    private = jwk(elliptic("b"), "private", d="AA")
    twice = [jwk(elliptic("c"), "twice"), jwk(elliptic("d"), "twice")]
    foreign = [5, {}, {"kty": "OKP", "kid": "x"}, jwk(elliptic("b"), "other", alg="ES512")]
    found = usable_keys({"keys": [small, private, *twice, *foreign, jwk(elliptic("a"), "a"), jwk(rsa(), "a")]})
    assert found.find("a", ES384) is not None
    assert found.find("a", Algorithm.RS384) is not None
    assert found.find("small", Algorithm.RS384) is None
    assert [found.find(kid, ES384) for kid in ("private", "twice", "other")] == [None] * 3
