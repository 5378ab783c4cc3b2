"""The service as a process of its own, on the loopback, with what it writes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    """A port on which nobody listens now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        found: int = server.getsockname()[1]
        return found


class Served:
    """A running service."""

    def __init__(self, port: int, log: Path, pid: int) -> None:
        self.port, self._log, self.pid = port, log, pid

    def written(self) -> str:
        """Everything that it wrote to standard output and standard error."""
        return self._log.read_text(errors="replace")

    def send(self, raw: bytes, wait_s: float = 5.0) -> bytes:
        """What it answers to these very bytes, up to its hanging up; nothing when it only hangs up."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.settimeout(wait_s)
            received = b""
            try:
                connection.sendall(raw)
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(65_536):
                    received += piece
            except OSError:
                pass
            return received


@contextmanager
def served(folder: Path, **settings: str) -> Iterator[Served]:
    """The service with these settings, as soon as it is live; it is stopped in the end."""
    port, log = free_port(), folder / "written"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CDS_")}
    environment |= {"CDS_DATA_DIR": str(folder / "data"), "CDS_WORKERS": "2", **settings}
    command = [str(Path(sys.executable).with_name("cds-service")), "serve", "--port", str(port)]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)  # noqa: S603
        try:
            found = Served(port, log, process.pid)
            _wait(found, process)
            yield found
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def _wait(service: Served, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        try:
            if b"200 OK" in service.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(service.written())
