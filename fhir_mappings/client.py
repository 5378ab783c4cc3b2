"""One parallel round of FHIR reads under one deadline, for any number of callers at once.

Knows HTTP, paging and limits. Knows no resource type's meaning and no policy. Nothing that a server does raises here:
each query gets a Reply with what was read, and, where that is not all, a failure from a closed set of words.

What bounds it: one pool of threads for each server, so that one that hangs takes none from the others; a size limit for
each answer, before and after decompression; a page limit; and at the deadline the sockets of what is still under way
are shut down, so that a server that drips a byte a second holds no thread. A server that is down is left alone: see
`circuit`.
"""

import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from http.client import HTTPException
from typing import Any

import requests
import urllib3
from msgspec import Struct

from fhir_mappings.answers import FailedError, decoded, failure_of, page_of, pause_of, unzipped
from fhir_mappings.circuit import Admission, Circuits
from fhir_mappings.connections import EndableAdapter, Use
from fhir_mappings.queries import Failure, Query, Reply
from fhir_mappings.references import Json
from fhir_mappings.servers import Server, page_url


class Limits(Struct, frozen=True):
    """What one read may cost."""

    answer_bytes: int = 8_000_000
    pages: int = 5
    round_bytes: int = 48_000_000  # all answers of one round
    threads_per_server: int = 48  # a whole chart is about forty reads: all of them at once
    servers: int = 32  # that have a pool of their own; further ones share one
    connect_s: float = 2.0


class _Budget:
    """The bytes that are left to a round."""

    def __init__(self, size: int) -> None:
        self.left = size

    def spend(self, size: int) -> None:
        """Takes `size` away. Raises when there is not so much left."""
        self.left -= size  # two threads may race here: it bounds a flood and is no account
        if self.left < 0:
            raise FailedError(Failure.TOO_LARGE)


class _Read:
    """One query under way: what it has so far can be taken at any moment."""

    def __init__(self, server: Server, query: Query, deadline: float, budget: "_Budget") -> None:
        self.server, self.query, self.deadline, self.budget = server, query, deadline, budget
        self.resources: list[Json] = []
        self.failure: Failure | None = None
        self.more = False
        self.is_late = False  # not back at the deadline
        self.broken = 0
        self.is_unconnected = False  # not even a connection, or a gateway said so
        self.use = Use()

    def remaining(self) -> float:
        """Seconds left. Raises when there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0.001:
            raise FailedError(Failure.TIMEOUT)
        return left

    @property
    def failed(self) -> Failure | None:
        """Why it is not, or not wholly, read."""
        return Failure.TIMEOUT if self.is_late else self.failure

    def reply(self) -> Reply:
        """What it has so far."""
        failure = self.failed
        resources, more = list(self.resources), self.more or self.is_late
        return Reply(resources, failure, more or (failure is not None and bool(resources)), self.broken)


_TRY_AGAIN = frozenset({429, 502, 503, 504})
_GATEWAY = frozenset({502, 503, 504})  # what a gateway says for a server that it cannot reach
# What a server does not say, or not to us: everything else is an answer.
_NO_ANSWER = frozenset({Failure.TIMEOUT, Failure.UNREACHABLE, Failure.NOT_ASKED, Failure.FOREIGN_PAGE, Failure.FAULT})
_HELPLESS = frozenset({Failure.BUSY, Failure.SERVER_ERROR})  # an answer to one read; of every read, it is none
_UNHEARD = _NO_ANSWER | _HELPLESS


class FhirClient:
    """Reads FHIR servers. One for each process; its threads start with the first read."""

    def __init__(
        self, limits: Limits | None = None, verify: bool | str = True, circuits: Circuits | None = None
    ) -> None:
        self._limits = limits or Limits()
        self._circuits = circuits or Circuits()
        self._verify = verify
        # The adapter itself: a Session reads the whole body of a redirect, has cookies for all callers in one jar, and
        # looks for passwords in ~/.netrc.
        self._adapter = EndableAdapter(
            pool_connections=self._limits.servers, pool_maxsize=self._limits.threads_per_server
        )
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._lock = threading.Lock()

    def read_all(self, server: Server, queries: Sequence[Query], deadline: float) -> list[Reply]:
        """One reply for each query, in order, by `deadline` (monotonic seconds) whatever the server does."""
        budget = _Budget(self._limits.round_bytes)
        reads = [_Read(server, query, deadline, budget) for query in queries]
        if not reads:
            return []
        began = time.monotonic()
        match self._circuits.admit(server.base, server.registered, deadline):
            case Admission.ALL:
                self._round(server, reads, deadline)
                self._weigh(reads, began)
            case Admission.PROBE:
                self._probe(server, reads, deadline)
            case Admission.NONE:
                _leave(reads)
        return [read.reply() for read in reads]

    def _probe(self, server: Server, reads: list[_Read], deadline: float) -> None:
        """One read first, and the others only after an answer to it."""
        began = time.monotonic()
        # Any of them: one resource type that always fails must not keep a server that is well from being read.
        first = random.choice([read for read in reads if read.query.url(server.base) is not None] or reads)  # noqa: S311
        others = [read for read in reads if read is not first]
        try:
            self._round(server, [first], deadline)
        finally:
            self._weigh([first], began, probe=True)
        if first.failed not in _UNHEARD and not first.is_unconnected:
            self._round(server, others, deadline)
        else:
            _leave(others)

    def _weigh(self, reads: list[_Read], began: float, probe: bool = False) -> None:
        """Tells the circuit of a round that got no answer at all."""
        server = reads[0].server
        refused = any(read.is_unconnected for read in reads) or _is_helpless(reads)
        if probe or refused or any(read.failed is Failure.TIMEOUT for read in reads):
            self._circuits.silent(server.base, began, refused, probe)

    def _round(self, server: Server, reads: list[_Read], deadline: float) -> None:
        """All of them at once, until the deadline."""
        pool = self._pool(server.registered or server.base)
        futures: dict[Future[None], _Read] = {pool.submit(self._run, read): read for read in reads}
        done, late = wait(futures, timeout=max(0.0, deadline - time.monotonic()))
        for future in late:
            future.cancel()
            futures[future].use.end()
            futures[future].is_late = True
        for future in done:
            if future.exception() is not None:  # nothing of it is shown: it may carry the request
                futures[future].failure = Failure.FAULT

    def close(self) -> None:
        """Lets go of threads and connections."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        self._adapter.close()

    def _pool(self, base: str) -> ThreadPoolExecutor:
        # Of the registered base: a client may name any folder below it, and would else use up the others' pools.
        with self._lock:
            key = base if base in self._pools or len(self._pools) < self._limits.servers else ""
            if key not in self._pools:
                self._pools[key] = ThreadPoolExecutor(self._limits.threads_per_server, thread_name_prefix="fhir")
            return self._pools[key]

    def _run(self, read: _Read) -> None:
        try:
            with read.use:
                self._read_pages(read)
        except FailedError as failed:
            read.failure = failed.kind
            if failed.kind not in _UNHEARD and not read.is_unconnected:
                self._circuits.heard(read.server.base)
        except requests.Timeout:
            read.failure = Failure.TIMEOUT
        except (requests.RequestException, urllib3.exceptions.HTTPError, HTTPException, OSError):
            read.is_unconnected = time.monotonic() < read.deadline
            read.failure = Failure.UNREACHABLE if read.is_unconnected else Failure.TIMEOUT

    def _read_pages(self, read: _Read) -> None:
        url = read.query.url(read.server.base)
        if url is None:
            raise FailedError(Failure.FOREIGN_PAGE if read.query.page else Failure.NOT_ASKED)
        for page in range(self._limits.pages):
            if page and len(read.resources) >= read.query.most:
                return
            found = page_of(read.query, self._get(read, url))
            read.resources += found.resources
            read.broken += found.broken
            read.failure = Failure.OUTCOME if found.is_faulty else read.failure
            read.more = found.following is not None
            if not read.more:
                return
            following = page_url(read.server.base, url, found.following)
            if following is None:
                raise FailedError(Failure.FOREIGN_PAGE)
            url = following

    def _get(self, read: _Read, url: str) -> Any:
        """The decoded body of one GET, which is repeated once when the server is busy or the connection was stale."""
        for again in (True, False):
            try:
                response = self._send(read, url)
            except requests.Timeout:
                raise
            except requests.ConnectionError:
                if not again:
                    raise
                read.remaining()
                continue
            try:
                if response.status_code == 200:
                    body = self._body(read, response)
                    self._circuits.heard(read.server.base)
                    return decoded(body)
                failure = failure_of(response.status_code)
                read.is_unconnected = response.status_code in _GATEWAY
                asked_to_wait = pause_of(response.headers.get("Retry-After", ""))
                pause = asked_to_wait if again and response.status_code in _TRY_AGAIN else None
            finally:
                response.close()
            if pause is None or pause >= read.remaining():
                raise FailedError(failure)
            time.sleep(pause)
        raise FailedError(Failure.UNREACHABLE)

    def _send(self, read: _Read, url: str) -> requests.Response:
        headers: Any = {"Accept": "application/fhir+json", "Accept-Encoding": "gzip"}
        if read.server.token:
            headers["Authorization"] = f"Bearer {read.server.token}"
        # Made by hand: url and headers are as they are to go out, and `prepare` would take a quarter of a read's time.
        request = requests.PreparedRequest()
        request.method, request.url, request.headers = "GET", url, headers
        left = read.remaining()
        return self._adapter.send(
            request, stream=True, timeout=(min(self._limits.connect_s, left), left), verify=self._verify
        )

    def _body(self, read: _Read, response: requests.Response) -> bytes:
        most = self._limits.answer_bytes
        announced = response.headers.get("Content-Length", "")
        if announced.isascii() and announced.isdigit() and int(announced[:18]) > most:
            raise FailedError(Failure.TOO_LARGE)
        chunks, size = [], 0
        # read1 comes back with what one read of the socket gave: a body that drips is seen between the drops.
        while chunk := response.raw.read1(65_536, decode_content=False):
            size += len(chunk)
            if size > most:
                raise FailedError(Failure.TOO_LARGE)
            read.budget.spend(len(chunk))
            chunks.append(chunk)
            read.remaining()
        body = b"".join(chunks)
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding in ("identity", ""):
            return body
        if encoding not in ("gzip", "x-gzip"):
            raise FailedError(Failure.NOT_FHIR)
        opened = unzipped(body, most)
        read.budget.spend(len(opened))
        return opened


def _is_helpless(reads: list[_Read]) -> bool:
    """True when the server is too busy for everything or fails at everything: reads of one type alone do not tell."""
    kinds = {read.query.path.partition("/")[0] for read in reads}
    return len(kinds) > 1 and all(read.failed in _UNHEARD for read in reads)


def _leave(reads: list[_Read]) -> None:
    for read in reads:
        read.failure = Failure.LEFT_ALONE
