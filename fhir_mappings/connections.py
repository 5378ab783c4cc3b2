"""Connections that another thread can end: a server that drips a byte a second would hold a thread for hours.

A socket's timeout counts from byte to byte, so it cannot bound a whole answer, and least of all its headers.
"""

import socket
import threading
from typing import Any

import urllib3
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

_THREAD = threading.local()
_OWNERS = threading.Lock()


class Use:
    """One use of a connection by one thread, which another thread can end."""

    def __init__(self) -> None:
        self._connection: _Tracked | None = None

    def __enter__(self) -> "Use":
        """The use, known to the connections that this thread opens or takes from the pool."""
        _THREAD.use = self
        return self

    def __exit__(self, *_: object) -> None:
        _THREAD.use = None

    def serve(self, connection: "_Tracked") -> None:
        """Notes the connection that serves this use now."""
        self._connection = connection

    def end(self) -> None:
        """Shuts down the socket that serves this use, so that the thread that waits for it is free at once."""
        connection = self._connection
        if connection is None:
            return
        with _OWNERS:
            # Back in the pool it serves somebody else, who must not suffer.
            if connection.use is not self or connection.sock is None:
                return
            try:
                # The plain socket's method: the TLS one would pull the session from under the reading thread.
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
            except OSError:
                return  # closed already


class _Tracked:
    """A connection that knows whose use it serves."""

    use: Use | None = None
    sock: Any

    def claim(self) -> None:
        """Ties the connection to the use of the calling thread."""
        use: Use | None = getattr(_THREAD, "use", None)
        with _OWNERS:
            self.use = use
        if use is not None:
            use.serve(self)


class _Http(_Tracked, HTTPConnection):
    def request(self, *args: Any, **kwargs: Any) -> None:
        self.claim()
        super().request(*args, **kwargs)


class _Https(_Tracked, HTTPSConnection):
    def request(self, *args: Any, **kwargs: Any) -> None:
        self.claim()
        super().request(*args, **kwargs)


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Https


class EndableAdapter(HTTPAdapter):
    """An adapter whose connections belong to a Use while they serve it; it has no proxies and keeps no cookies."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def request_url(self, request: PreparedRequest, proxies: object) -> str:
        """Path and query: what is asked for by proxy is not looked for."""
        return request.path_url

    def build_response(self, req: PreparedRequest, resp: Any) -> Response:
        """Status, headers and the body that is still to be read."""
        found = Response()
        found.request, found.status_code, found.headers, found.raw = req, resp.status, resp.headers, resp
        return found
