"""One parallel round of FHIR reads under one deadline, for any number of callers at once.

Knows HTTP, paging and limits. Knows no resource type's meaning and no policy. Nothing that a server does raises here:
each query gets a Reply with what was read, and, where that is not all, a failure from a closed set of words.

What bounds it: one pool of threads for each server, so that one that hangs takes none from the others; a size limit for
each answer, before and after decompression; a page limit; and at the deadline the sockets of what is still under way
are shut down, so that a server that drips a byte a second holds no thread. A server that is down is left alone: see
`circuit`. A server that is known to take batches is asked for a whole round in one request: see `batch`.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from http.client import HTTPException
from typing import Any

import requests
import urllib3
from msgspec import Struct

from fhir_mappings.answers import FailedError, decoded, failure_of, page_of, pause_of, unzipped
from fhir_mappings.batch import batch_of, parts_of
from fhir_mappings.circuit import Admission, Circuits
from fhir_mappings.connections import EndableAdapter
from fhir_mappings.pending import Budget, PendingRead
from fhir_mappings.queries import Failure, Query, Reply
from fhir_mappings.servers import Server, registered_base


class Limits(Struct, frozen=True):
    """What one read may cost."""

    answer_bytes: int = 8_000_000
    pages: int = 5
    round_bytes: int = 48_000_000  # all answers of one round
    threads_per_server: int = 48  # a whole chart is about forty reads: all of them at once
    servers: int = 32  # that have a pool of their own; further ones share one
    connect_s: float = 2.0


_TRY_AGAIN = frozenset({429, 502, 503, 504})
_GATEWAY = frozenset({502, 503, 504})  # what a gateway says for a server that it cannot reach
# What a server does not say, or not to us: everything else is an answer.
_NO_ANSWER = frozenset({Failure.TIMEOUT, Failure.UNREACHABLE, Failure.NOT_ASKED, Failure.FOREIGN_PAGE, Failure.FAULT})
_HELPLESS = frozenset({Failure.BUSY, Failure.SERVER_ERROR})  # an answer to one read; of every read, it is none
_UNHEARD = _NO_ANSWER | _HELPLESS
_NOT_NOW = _NO_ANSWER | {Failure.BUSY}  # of a batch: asking one by one would not help


class FhirClient:
    """Reads FHIR servers. One for each process; its threads start with the first read."""

    def __init__(
        self,
        limits: Limits | None = None,
        verify: bool | str = True,
        circuits: Circuits | None = None,
        batched: Iterable[str] = (),
    ) -> None:
        """`batched`: bases whose servers take a round of reads in one batch Bundle."""
        self._limits = limits or Limits()
        self._circuits = circuits or Circuits()
        self._verify = verify
        self._batched = tuple(batched)
        # The adapter itself: a Session reads the whole body of a redirect, has cookies for all callers in one jar, and
        # looks for passwords in ~/.netrc.
        self._adapter = EndableAdapter(
            pool_connections=self._limits.servers, pool_maxsize=self._limits.threads_per_server
        )
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._lock = threading.Lock()

    def read_all(self, server: Server, queries: Sequence[Query], deadline: float) -> list[Reply]:
        """One reply for each query, in order, by `deadline` (monotonic seconds) whatever the server does."""
        budget = Budget(self._limits.round_bytes)
        reads = [PendingRead(server, query, deadline, budget) for query in queries]
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

    def _probe(self, server: Server, reads: list[PendingRead], deadline: float) -> None:
        """One read first, and the others only after an answer to it."""
        began = time.monotonic()
        # Any of them: one resource type that always fails must not keep a server that is well from being read.
        first = random.choice([read for read in reads if read.is_open] or reads)  # noqa: S311
        others = [read for read in reads if read is not first]
        try:
            self._round(server, [first], deadline)
        finally:
            self._weigh([first], began, probe=True)
        if first.failed not in _UNHEARD and not first.is_unconnected:
            self._round(server, others, deadline)
        else:
            _leave(others)

    def _weigh(self, reads: list[PendingRead], began: float, probe: bool = False) -> None:
        """Tells the circuit of a round that got no answer at all."""
        server = reads[0].server
        refused = any(read.is_unconnected for read in reads) or _is_helpless(reads)
        if probe or refused or any(read.failed is Failure.TIMEOUT for read in reads):
            self._circuits.silent(server.base, began, refused, probe)

    def _round(self, server: Server, reads: list[PendingRead], deadline: float) -> None:
        """All of them at once, until the deadline."""
        pool = self._pool(server.registered or server.base)
        if registered_base(server.base, self._batched) is not None:
            together = [read for read in reads if read.is_open and not read.query.page]
            if len(together) > 1:
                self._wait({pool.submit(self._ask_together, together): together}, deadline)
        self._wait({pool.submit(self._ask, read): [read] for read in reads if read.is_open}, deadline)

    def _wait(self, futures: dict[Future[None], list[PendingRead]], deadline: float) -> None:
        done, late = wait(futures, timeout=max(0.0, deadline - time.monotonic()))
        for future in late:
            future.cancel()
            for read in futures[future]:
                read.use.end()
                read.is_late = True
        for future in done:
            if future.exception() is not None:  # nothing of it is shown: it may carry the request
                for read in futures[future]:
                    read.fail(Failure.FAULT)

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

    def _ask(self, read: PendingRead) -> None:
        """One query, with the pages that follow."""

        def pages() -> None:
            while read.url is not None:
                read.take(page_of(read.query, self._get(read, read.url)), self._limits.pages)

        self._attempt([read], pages)

    def _ask_together(self, reads: list[PendingRead]) -> None:
        """The first page of each in one request; where the server will not, each is left to be asked alone."""
        first = reads[0]

        def batch() -> None:
            base = first.server.base
            asked = batch_of(base, [read.url for read in reads if read.url is not None])
            try:
                parts = parts_of(self._get(first, base, asked), len(reads))
            except FailedError as failed:
                if failed.kind in _NOT_NOW or first.is_unconnected:
                    raise
                return
            for read, part in zip(reads, parts, strict=True):
                self._take_part(read, part)

        self._attempt(reads, batch)

    def _take_part(self, read: PendingRead, part: Any) -> None:
        if isinstance(part, Failure):
            read.fail(part)
            return
        try:
            read.take(page_of(read.query, part), self._limits.pages)
        except FailedError as failed:
            read.fail(failed.kind)

    def _attempt(self, reads: list[PendingRead], ask: Callable[[], None]) -> None:
        """Asks, under the first one's use of a connection; whatever stops it stops all of them."""
        first = reads[0]
        why = None
        try:
            with first.use:
                ask()
        except FailedError as failed:
            why = failed.kind
            if why not in _UNHEARD and not first.is_unconnected:
                self._circuits.heard(first.server.base)
        except requests.Timeout:
            why = Failure.TIMEOUT
        except (requests.RequestException, urllib3.exceptions.HTTPError, HTTPException, OSError):
            first.is_unconnected = time.monotonic() < first.deadline
            why = Failure.UNREACHABLE if first.is_unconnected else Failure.TIMEOUT
        if why is not None:
            for read in reads:
                read.fail(why)

    def _get(self, read: PendingRead, url: str, batch: bytes | None = None) -> Any:
        """The decoded body of one GET, or of a batch of them.

        It is repeated once when the server is busy or the connection was stale.
        """
        for again in (True, False):
            try:
                response = self._send(read, url, batch)
            except requests.Timeout:
                raise
            except requests.ConnectionError:
                if not again:
                    raise
                read.remaining()
                continue
            try:
                if response.status_code == 200:
                    most = self._limits.answer_bytes if batch is None else self._limits.round_bytes
                    body = self._body(read, response, most)
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

    def _send(self, read: PendingRead, url: str, batch: bytes | None) -> requests.Response:
        headers: Any = {"Accept": "application/fhir+json", "Accept-Encoding": "gzip"}
        if read.server.token:
            headers["Authorization"] = f"Bearer {read.server.token}"
        # Made by hand: url and headers are as they are to go out, and `prepare` would take a quarter of a read's time.
        request = requests.PreparedRequest()
        request.method, request.url, request.headers = "GET", url, headers
        if batch is not None:
            request.method, request.body = "POST", batch
            headers |= {"Content-Type": "application/fhir+json", "Content-Length": str(len(batch))}
        left = read.remaining()
        return self._adapter.send(
            request, stream=True, timeout=(min(self._limits.connect_s, left), left), verify=self._verify
        )

    def _body(self, read: PendingRead, response: requests.Response, most: int) -> bytes:
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


def _is_helpless(reads: list[PendingRead]) -> bool:
    """True when the server is too busy for everything or fails at everything: reads of one type alone do not tell."""
    kinds = {read.query.path.partition("/")[0] for read in reads}
    return len(kinds) > 1 and all(read.failed in _UNHEARD for read in reads)


def _leave(reads: list[PendingRead]) -> None:
    for read in reads:
        read.fail(Failure.LEFT_ALONE)
