"""Loopback servers for a real browser."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from werkzeug.serving import generate_adhoc_ssl_context, make_server

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]
Wsgi = Callable[..., Any]


class Served:
    """A server at `origin`, which is known before there is an `app`."""

    def __init__(self, host: str = "") -> None:
        """By https with a certificate of its own under a host's name, where one is given."""
        self.app: Wsgi | None = None
        tls: Any = generate_adhoc_ssl_context() if host else None
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, ssl_context=tls)
        self.port: int = self._server.server_port
        self.origin = f"https://{host}:{self.port}" if host else f"http://127.0.0.1:{self.port}"

    def _answer(self, environ: Any, start: Any) -> Any:
        assert self.app is not None
        return self.app(environ, start)

    @contextmanager
    def running(self) -> Iterator["Served"]:
        """Answers until the end of the block."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        yield self
        self._server.shutdown()
        thread.join()
        self._server.server_close()
