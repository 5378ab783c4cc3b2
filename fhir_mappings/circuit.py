"""Which FHIR servers are asked at all: one that is down costs one probe, and not a deadline for each call.

Knows base URLs and what was heard from them. Opens no connection. A round of reads counts against a server when
nothing at all was heard from it since the round began, from any call: so neither one slow resource type nor one
caller's bad token is taken for a server that is down. Any status is an answer but a gateway's (502, 503, 504), and 429
or 500 where a round of several resource types gets nothing else: such a server is spared what it cannot do.

pybreaker holds one lock during each call, and circuitbreaker sends any number of probes; neither fits forty reads at
once.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum

from msgspec import Struct

from fhir_mappings.servers import Server


class Patience(Struct, frozen=True):
    """What it takes to leave a server alone, and for how long; seconds."""

    strikes: int = 3  # rounds in a row of which nothing was heard
    fair_s: float = 1.0  # a round that had less time says nothing about a server that did not answer
    first_s: float = 5.0  # until the first probe; twice as long after each one that fails
    longest_s: float = 30.0
    turn_s: float = 0.25  # that a caller waits for its turn at most
    folders: int = 32  # below one registered base that are kept in mind


class Admission(Enum):
    """What a round may do."""

    ALL = "all"
    PROBE = "probe"  # one read; the others only after an answer to it
    NONE = "none"


Note = Callable[[str, bool], None]  # the base that is registered, and whether the circuit is open now


def _unnoted(_: str, __: bool) -> None:
    return


class _Server:
    """What is known of one base."""

    def __init__(self, registered: str) -> None:
        self.registered = registered
        self.heard_at = float("-inf")
        self.strikes = 0
        self.shut_s = 0.0  # 0: not shut
        self.probe_at = 0.0
        self.probing = False


class Circuits:
    """The state of every server that was asked lately. For all threads of a process."""

    def __init__(
        self,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
        note: Note = _unnoted,
    ) -> None:
        self._patience = patience or Patience()
        self._clock, self._note = clock, note
        self._servers: dict[str, _Server] = {}
        self._turns: dict[str, threading.Lock] = {}  # by registered base
        self._lock = threading.Lock()

    def admit(self, base: str, registered: str, deadline: float) -> Admission:
        """What a round that begins now may ask; a PROBE must end in `heard` or `silent`."""
        with self._lock:
            server = self._known(base, registered)
            if not server.shut_s:
                return Admission.ALL
            now = self._clock()
            # A probe that had no time would fail whatever the server does.
            if server.probing or now < server.probe_at or deadline - now < self._patience.fair_s:
                return Admission.NONE
            server.probing = True
            return Admission.PROBE

    @contextmanager
    def turn(self, server: Server | None, deadline: float) -> Iterator[None]:
        """What is done for the callers of a server that is left alone is done for one after another.

        Judged without their charts, they wait for nothing but the interpreter, and together would keep it from all
        others. Who has waited long, or until `deadline` (of the clock), goes on all the same: the one before may be
        reading, where the server is asked again.
        """
        lock = self._turn_of(server) if server is not None else None
        if lock is None:
            yield
            return
        left_s = deadline - self._clock()
        taken = lock.acquire(timeout=max(0.0, min(left_s, self._patience.turn_s)))
        try:
            yield
        finally:
            if taken:
                lock.release()

    def _turn_of(self, server: Server) -> "threading.Lock | None":
        with self._lock:
            known = self._servers.get(server.base)
            if known is None or not known.shut_s or not (known.probing or self._clock() < known.probe_at):
                return None
            return self._turns.setdefault(known.registered or server.base, threading.Lock())

    def heard(self, base: str) -> None:
        """The server answered something."""
        with self._lock:
            server = self._servers.get(base)
            if server is None:
                return
            server.heard_at, server.strikes, server.probing = self._clock(), 0, False
            was_shut, server.shut_s = server.shut_s > 0, 0.0
        if was_shut:
            self._note(server.registered, False)

    def silent(self, base: str, began: float, refused: bool, probe: bool) -> None:
        """A round since `began` got no answer; `refused`: it was sent away, and did not merely wait in vain."""
        with self._lock:
            server, now = self._servers.get(base), self._clock()
            if server is None or server.heard_at >= began:
                return
            if probe:
                server.probing = False
                self._shut(server, now, min(2 * server.shut_s, self._patience.longest_s))
                return
            if server.shut_s or (not refused and now - began < self._patience.fair_s):
                return
            server.strikes += 1
            if server.strikes < self._patience.strikes:
                return
            self._shut(server, now, self._patience.first_s)
        self._note(server.registered, True)

    def _shut(self, server: _Server, now: float, seconds: float) -> None:
        server.shut_s, server.probe_at = seconds, now + seconds

    def _known(self, base: str, registered: str) -> _Server:
        server = self._servers.get(base)
        if server is None:
            self._make_room(registered)
            server = self._servers[base] = _Server(registered)
        server.registered = server.registered or registered
        return server

    def _make_room(self, registered: str) -> None:
        # A client may name any folder below its base: it makes room among its own, and never among another's.
        beside = [base for base, server in self._servers.items() if server.registered == registered]
        if len(beside) < self._patience.folders:
            return
        server = self._servers.pop(min(beside, key=lambda base: self._servers[base].heard_at))
        if server.shut_s:
            self._note(server.registered, False)
