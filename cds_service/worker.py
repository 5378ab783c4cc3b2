"""gunicorn's threaded worker, with one difference: a thread is given a request only when all of it is there.

The original reads headers and body, and writes the answer, in the threads that answer, so that as many slow clients as
there are threads stop it, and it waits up to two seconds for a client to hang up in the loop that serves all others.
Here that one loop gathers what comes in, sends on what a client did not take at once, and sees to partings, so slow
clients cost memory and nothing else. Reasons in docs/decisions/0004-server.md.
"""

import select
import socket
import time
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any, cast

from gunicorn.http import errors
from gunicorn.workers.gthread import TConn, ThreadWorker
from msgspec import Struct

from cds_service.framing import Incoming, Received
from cds_service.outgoing import Outgoing

ARRIVAL_S = 60.0  # in which all of a request must have come
_STOPPING_S = 4.0  # the same for what had begun to come when the worker was told to stop
_LINGER_S = 2.0  # for a request that may be on its way on an open connection when the worker stops
_PARTING_S = 2.0  # for a client to hang up, so that it can read its answer to the end
_TAKING_S = 60.0  # for a client to take all of its answer
_MOST_HELD = 256 * 1024 * 1024  # bytes of unfinished requests, and of untaken answers; the longest under way make room
_AT_ONCE = 1024 * 1024
_WORD = b"HTTP/1.1 100 Continue\r\n\r\n"
# What the parser refuses is answered without a body: its own pages and log lines repeat what was sent, and where the
# framing of a request was wrong, that is a part of somebody's chart.
_REFUSED = b"HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_STATUS = (
    ((errors.InvalidResponseHeader, errors.InvalidResponseHeaderName), 500, b"Internal Server Error"),  # type: ignore[attr-defined]
    (errors.UnsupportedTransferCoding, 501, b"Not Implemented"),
    (errors.LimitRequestLine, 414, b"URI Too Long"),
    (errors.LimitRequestHeaders, 431, b"Request Header Fields Too Large"),
    (errors.ExpectationFailed, 417, b"Expectation Failed"),
    (errors.ParseException, 400, b"Bad Request"),
    (Exception, 500, b"Internal Server Error"),
)
_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class _Coming(Struct):
    request: Incoming
    until: float


class _Going(Struct):
    until: float
    keep: bool  # the connection, once the answer is taken


class PatientWorker(ThreadWorker):
    """The worker."""

    most_body = 16 * 1024 * 1024
    sifted = b""  # how requests begin whose files are left out where they are larger than that

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._coming: dict[TConn, _Coming] = {}  # the longest under way first
        self._held = 0
        self._going: dict[TConn, _Going] = {}  # answers that their clients have not taken yet, alike
        self._left = 0
        self._busy = 0
        self._parting: dict[TConn, float] = {}
        self._room = bytearray(_AT_ONCE)

    def set_accept_enabled(self, enabled: bool | None) -> None:
        """While every thread is busy, new connections are left to the other workers; a stopping one leaves the port."""
        super().set_accept_enabled(bool(enabled) and self._busy < self.cfg.threads)
        if not self.alive:
            self._leave_port()

    def enqueue_req(self, conn: TConn) -> None:
        """Begins to gather a request: of a new connection, or the next one of a connection that was kept."""
        if conn.parser is None:
            conn.sock = Outgoing(conn.sock)
            conn.init()
        parser: Any = conn.parser
        began = parser.unreader.take_buffered()
        conn.sock.setblocking(False)
        self._coming[conn] = coming = _Coming(Incoming(self.most_body, self.sifted), time.monotonic() + ARRIVAL_S)
        self.poller.register(conn.sock, EVENT_READ, partial(self._gather, conn))
        self._take(conn, coming, began)
        if conn in self._coming:
            self._gather(conn, conn.sock)
        self._make_room()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answers what the parser refuses, or what broke in the server, with a status alone."""
        status, reason = next((status, reason) for kind, status, reason in _STATUS if isinstance(exc, kind))
        if status == 500:
            self.log.error("unexpected", exc_info=exc)
        with suppress(OSError):
            client.sendall(_REFUSED % (status, reason))

    def finish_request(self, conn: TConn, fs: Future[bool]) -> None:
        """After the answer: keeps the connection, or parts."""
        self._busy -= 1
        keep = not fs.cancelled() and fs.exception() is None and fs.result()
        sock = cast(Outgoing, conn.sock)
        if not sock.left:
            self._go_on(conn, keep)
            return
        sock.setblocking(False)
        self._going[conn] = _Going(time.monotonic() + _TAKING_S, keep)
        self._left += len(sock.left)
        self.poller.register(sock, EVENT_WRITE, partial(self._send_on, conn))
        while self._left > _MOST_HELD:
            self._close(next(iter(self._going)))

    def _send_on(self, conn: TConn, sock: Outgoing) -> None:
        going = self._going.get(conn)
        if going is None:
            return  # it made room for another, after the poller had told of it
        try:
            self._left -= sock.send_left()
        except OSError:
            self._close(conn)
            return
        if not sock.left:
            del self._going[conn]
            self.poller.unregister(sock)
            self._go_on(conn, going.keep)

    def _go_on(self, conn: TConn, keep: bool) -> None:
        parser: Any = conn.parser
        received: Received = parser.unreader
        if not keep or received.is_cut:
            self._part(conn)
        elif received.has_more:
            self.enqueue_req(conn)
        else:
            conn.sock.setblocking(False)
            conn.set_timeout()
            if not self.alive:
                conn.timeout = min(conn.timeout or 0.0, time.monotonic() + _LINGER_S)
            self.keepalived_conns.append(conn)
            self.poller.register(conn.sock, EVENT_READ, partial(self.on_client_socket_readable, conn))

    def murder_pending(self) -> None:
        """Closes what took too long; called about once a second, and more often while stopping."""
        now = time.monotonic()
        for conn, coming in list(self._coming.items()):
            if not self.alive:
                coming.until = min(coming.until, now + (_STOPPING_S if coming.request.data else _LINGER_S))
            if coming.until <= now:
                self._drop(conn)
        for conn, until in list(self._parting.items()):
            if until <= now:
                self._close(conn)
        for conn, going in list(self._going.items()):
            if going.until <= now:
                self._close(conn)

    def _leave_port(self) -> None:
        """Takes what has connected already, and has what comes later refused rather than kept waiting and cut off."""
        for listener in self.sockets:
            listener.setblocking(False)
            waiting = select.poll()
            waiting.register(listener, select.POLLIN)
            while waiting.poll(0):
                self.accept(listener)
            listener.close()
        self.sockets = []

    def _gather(self, conn: TConn, sock: socket.socket) -> None:
        coming = self._coming.get(conn)
        if coming is None:
            return  # it made room for another, after the poller had told of it
        try:
            size = sock.recv_into(self._room)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            size = 0
        if size:
            self._take(conn, coming, memoryview(self._room)[:size])
        elif coming.request.data:
            coming.request.is_cut = True
            self._hand_on(conn, coming)
        else:
            self._let_go(conn, coming)
            self._close(conn)

    def _take(self, conn: TConn, coming: _Coming, data: bytes | memoryview) -> None:
        if not data:
            return
        request = coming.request
        had = len(request.data)
        request.add(data)
        self._held += len(request.data) - had
        if request.is_whole:
            self._hand_on(conn, coming)
        elif request.waits_for_word:
            request.waits_for_word = False
            with suppress(OSError):
                conn.sock.send(_WORD)

    def _hand_on(self, conn: TConn, coming: _Coming) -> None:
        self._let_go(conn, coming)
        parser: Any = conn.parser
        parser.unreader = Received(bytes(coming.request.data), coming.request.is_cut)
        self._busy += 1
        super().enqueue_req(conn)

    def on_client_socket_readable(self, conn: TConn, client: Any) -> None:
        """Takes the next request of a connection that was kept."""
        if conn in self.keepalived_conns:  # else it made room for another, after the poller had told of it
            super().on_client_socket_readable(conn, client)

    def _make_room(self) -> None:
        while self._coming and self._held > _MOST_HELD:
            self._drop(next(iter(self._coming)))
        while self.nr_conns >= self.worker_connections:
            most = max((self.keepalived_conns, self._coming, self._going, self._parting), key=len)
            if not most:
                return  # every connection is being answered
            conn = next(iter(most))
            if conn in self._coming:
                self._drop(conn)
                continue
            if conn in self.keepalived_conns:
                self.keepalived_conns.remove(conn)
                self.poller.unregister(conn.sock)
            self._close(conn)

    def _drop(self, conn: TConn) -> None:
        coming = self._coming[conn]
        self._let_go(conn, coming)
        if coming.request.data:
            with suppress(OSError):
                conn.sock.send(_LATE)
        self._close(conn)

    def _let_go(self, conn: TConn, coming: _Coming) -> None:
        del self._coming[conn]
        self._held -= len(coming.request.data)
        self.poller.unregister(conn.sock)

    def _part(self, conn: TConn) -> None:
        """Says that nothing more is sent, and waits for the client to hang up: closing at once may cost it the end."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
            return
        self._parting[conn] = time.monotonic() + _PARTING_S
        self.poller.register(conn.sock, EVENT_READ, partial(self._drain, conn))

    def _drain(self, conn: TConn, sock: socket.socket) -> None:
        if conn not in self._parting:
            return  # as with what is gathered
        try:
            if sock.recv_into(self._room):
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass  # it has hung up, in its own way
        self._close(conn)

    def _close(self, conn: TConn) -> None:
        if self._parting.pop(conn, None) is not None:
            self.poller.unregister(conn.sock)
        if self._going.pop(conn, None) is not None:
            self._left -= len(cast(Outgoing, conn.sock).left)
            self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()
