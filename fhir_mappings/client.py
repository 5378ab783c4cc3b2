"""One parallel round of FHIR reads under one deadline, for any number of callers at once.

Knows HTTP, paging and limits. Knows no resource type's meaning and no policy. Nothing that a server does raises here:
each query gets a Reply with what was read, and, where that is not all, a failure from a closed set of words.

What bounds it: one pool of threads for each server, so that one that hangs takes none from the others; a size limit for
each answer, before and after decompression; a page limit; and at the deadline the sockets of what is still under way
are shut down, so that a server that drips a byte a second holds no thread.
"""

import threading
import time
import zlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from decimal import Decimal
from http.client import HTTPException
from typing import Any

import msgspec
import requests
import urllib3
from msgspec import Struct

from fhir_mappings.connections import EndableAdapter, Use
from fhir_mappings.queries import Failure, Query, Reply, is_error
from fhir_mappings.references import Json, child, children
from fhir_mappings.servers import Server, page_url


class Limits(Struct, frozen=True):
    """What one read may cost."""

    answer_bytes: int = 8_000_000
    pages: int = 5
    round_bytes: int = 48_000_000  # all answers of one round
    threads_per_server: int = 48  # a whole chart is about forty reads: all of them at once
    servers: int = 32  # that have a pool of their own; further ones share one
    connect_s: float = 2.0


class _FailedError(Exception):
    def __init__(self, kind: Failure) -> None:
        super().__init__(kind.value)
        self.kind = kind


class _Budget:
    """The bytes that are left to a round."""

    def __init__(self, size: int) -> None:
        self.left = size

    def spend(self, size: int) -> None:
        """Takes `size` away. Raises when there is not so much left."""
        self.left -= size  # two threads may race here: it bounds a flood and is no account
        if self.left < 0:
            raise _FailedError(Failure.TOO_LARGE)


class _Read:
    """One query under way: what it has so far can be taken at any moment."""

    def __init__(self, server: Server, query: Query, deadline: float, budget: "_Budget") -> None:
        self.server, self.query, self.deadline, self.budget = server, query, deadline, budget
        self.resources: list[Json] = []
        self.failure: Failure | None = None
        self.more = False
        self.broken = 0
        self.use = Use()

    def remaining(self) -> float:
        """Seconds left. Raises when there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0.001:
            raise _FailedError(Failure.TIMEOUT)
        return left

    def reply(self, late: bool = False) -> Reply:
        failure = Failure.TIMEOUT if late else self.failure
        resources, more = list(self.resources), self.more or late
        return Reply(resources, failure, more or (failure is not None and bool(resources)), self.broken)


_STATUS = {401: Failure.UNAUTHORIZED, 403: Failure.FORBIDDEN, 404: Failure.NOT_FOUND, 410: Failure.NOT_FOUND}
_STATUS |= {405: Failure.NOT_SUPPORTED, 501: Failure.NOT_SUPPORTED, 429: Failure.BUSY}
_TRY_AGAIN = frozenset({429, 502, 503, 504})
_PAUSE_S = 0.05  # before the one repetition, where the server names no time
_decode = msgspec.json.Decoder(float_hook=Decimal).decode  # a measured value keeps its digits


class FhirClient:
    """Reads FHIR servers. One for each process; its threads start with the first read."""

    def __init__(self, limits: Limits | None = None, verify: bool | str = True) -> None:
        self._limits = limits or Limits()
        self._verify = verify
        self._session = requests.Session()
        adapter = EndableAdapter(pool_connections=self._limits.servers, pool_maxsize=self._limits.threads_per_server)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, adapter)
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._lock = threading.Lock()

    def read_all(self, server: Server, queries: Sequence[Query], deadline: float) -> list[Reply]:
        """One reply for each query, in order, by `deadline` (monotonic seconds) whatever the server does."""
        budget = _Budget(self._limits.round_bytes)
        reads = [_Read(server, query, deadline, budget) for query in queries]
        pool = self._pool(server.base)
        futures: dict[Future[None], _Read] = {pool.submit(self._run, read): read for read in reads}
        done, late = wait(futures, timeout=max(0.0, deadline - time.monotonic()))
        for future in late:
            future.cancel()
            futures[future].use.end()
        for future in done:
            if future.exception() is not None:  # nothing of it is shown: it may carry the request
                futures[future].failure = Failure.FAULT
        unfinished = {id(futures[future]) for future in late}
        return [read.reply(late=id(read) in unfinished) for read in reads]

    def close(self) -> None:
        """Lets go of threads and connections."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        self._session.close()

    def _pool(self, base: str) -> ThreadPoolExecutor:
        with self._lock:
            key = base if base in self._pools or len(self._pools) < self._limits.servers else ""
            if key not in self._pools:
                self._pools[key] = ThreadPoolExecutor(self._limits.threads_per_server, thread_name_prefix="fhir")
            return self._pools[key]

    def _run(self, read: _Read) -> None:
        try:
            with read.use:
                self._read_pages(read)
        except _FailedError as failed:
            read.failure = failed.kind
        except requests.Timeout:
            read.failure = Failure.TIMEOUT
        except (requests.RequestException, urllib3.exceptions.HTTPError, HTTPException, OSError):
            read.failure = Failure.TIMEOUT if time.monotonic() >= read.deadline else Failure.UNREACHABLE

    def _read_pages(self, read: _Read) -> None:
        url = read.query.url(read.server.base)
        if url is None:
            raise _FailedError(Failure.FOREIGN_PAGE if read.query.page else Failure.NOT_ASKED)
        for page in range(self._limits.pages):
            if page and len(read.resources) >= read.query.most:
                return
            link = _take(read, self._get(read, url))
            read.more = link is not None
            if link is None:
                return
            following = page_url(read.server.base, url, link)
            if following is None:
                raise _FailedError(Failure.FOREIGN_PAGE)
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
                    return _decoded(self._body(read, response))
                failure = _failure_of(response.status_code)
                pause = _pause(response) if again and response.status_code in _TRY_AGAIN else None
            finally:
                response.close()
            if pause is None or pause >= read.remaining():
                raise _FailedError(failure)
            time.sleep(pause)
        raise _FailedError(Failure.UNREACHABLE)

    def _send(self, read: _Read, url: str) -> requests.Response:
        headers = {"Accept": "application/fhir+json", "Accept-Encoding": "gzip"}
        if read.server.token:
            headers["Authorization"] = f"Bearer {read.server.token}"
        request = requests.Request("GET", url, headers=headers).prepare()
        left = read.remaining()
        # The adapter itself: a Session reads the whole body of a redirect, has cookies for all callers in one jar,
        # and looks for passwords in ~/.netrc.
        return self._session.get_adapter(url).send(
            request, stream=True, timeout=(min(self._limits.connect_s, left), left), verify=self._verify
        )

    def _body(self, read: _Read, response: requests.Response) -> bytes:
        most = self._limits.answer_bytes
        announced = response.headers.get("Content-Length", "")
        if announced.isascii() and announced.isdigit() and int(announced[:18]) > most:
            raise _FailedError(Failure.TOO_LARGE)
        chunks, size = [], 0
        # read1 comes back with what one read of the socket gave: a body that drips is seen between the drops.
        while chunk := response.raw.read1(65_536, decode_content=False):
            size += len(chunk)
            if size > most:
                raise _FailedError(Failure.TOO_LARGE)
            read.budget.spend(len(chunk))
            chunks.append(chunk)
            read.remaining()
        body = b"".join(chunks)
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding in ("identity", ""):
            return body
        if encoding not in ("gzip", "x-gzip"):
            raise _FailedError(Failure.NOT_FHIR)
        opened = _unzipped(body, most)
        read.budget.spend(len(opened))
        return opened


def _unzipped(body: bytes, most: int) -> bytes:
    opened = zlib.decompressobj(wbits=31)
    try:
        found = opened.decompress(body, most + 1)
    except zlib.error:
        raise _FailedError(Failure.NOT_FHIR) from None
    if len(found) > most:
        raise _FailedError(Failure.TOO_LARGE)
    return found


def _decoded(body: bytes) -> Any:
    try:
        return _decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError, ArithmeticError):
        raise _FailedError(Failure.NOT_FHIR) from None


def _failure_of(status: int) -> Failure:
    if status in _STATUS:
        return _STATUS[status]
    if 300 <= status < 400:
        return Failure.REDIRECTED
    return Failure.SERVER_ERROR if status >= 500 else Failure.REFUSED if status >= 400 else Failure.NOT_FHIR


def _pause(response: requests.Response) -> float:
    named = response.headers.get("Retry-After", "")
    return float(named) if named.isascii() and named.isdigit() and len(named) < 6 else _PAUSE_S


def _take(read: _Read, body: Any) -> object:
    """Puts the page's resources into the read. Gives its next link, None on the last page."""
    if not isinstance(body, dict):
        raise _FailedError(Failure.NOT_FHIR)
    kind, _, own_id = read.query.path.partition("/")
    if body.get("resourceType") == "OperationOutcome":
        raise _FailedError(Failure.OUTCOME)
    if own_id:
        if body.get("resourceType") != kind or body.get("id") != own_id:
            raise _FailedError(Failure.NOT_FHIR)
        read.resources.append(body)
        return None
    entries = body.get("entry", [])
    if body.get("resourceType") != "Bundle" or not isinstance(entries, list):
        raise _FailedError(Failure.NOT_FHIR)
    for entry in entries:
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, dict):
            read.broken += 1
        elif resource.get("resourceType") == "OperationOutcome":
            if is_error(resource):
                read.failure = Failure.OUTCOME
        elif child(entry, "search").get("mode") != "outcome":
            read.resources.append(resource)
    return next((link.get("url", "") for link in children(body, "link") if link.get("relation") == "next"), None)
