"""Servers on the loopback that behave badly, for clients that must not suffer from it."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Behaviour = Callable[[socket.socket], None]


class Peer:
    """A listening server; `met` counts the connections it took."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.met = 0
        self.over = threading.Event()


@contextmanager
def peer(behaviour: Behaviour) -> Iterator[Peer]:
    """A server that treats each connection so, until it is let go."""
    server = Peer()

    def treat(connection: socket.socket) -> None:
        with connection:
            try:
                behaviour(connection)
            except OSError:
                return

    def listen() -> None:
        while not server.over.is_set():
            try:
                connection, _ = server.socket.accept()
            except OSError:
                return
            server.met += 1
            threading.Thread(target=treat, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.socket.shutdown(socket.SHUT_RDWR)
        server.socket.close()
        thread.join(2)


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        found: int = server.getsockname()[1]
        return found


def silent(connection: socket.socket) -> None:
    """Takes everything and says nothing, until the other side goes."""
    connection.settimeout(10)
    while connection.recv(65_536):
        pass


def saying(*pieces: bytes, pause_s: float = 0.0) -> Behaviour:
    """Reads once, then says these pieces with a pause after each."""

    def behaviour(connection: socket.socket) -> None:
        connection.recv(65_536)
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause_s)

    return behaviour


def http(body: bytes, status: str = "200 OK", *headers: str, kind: str = "application/json") -> bytes:
    """An HTTP response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body
