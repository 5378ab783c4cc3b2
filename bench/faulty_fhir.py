"""A FHIR server that fails in the way its base names: `python -m bench.faulty_fhir PORT`, `http://127.0.0.1:PORT/hang`."""

import sys
import time
from socketserver import StreamRequestHandler, ThreadingTCPServer

from bench.processes import HOST

FAULTS = {
    "hang": "says nothing",
    "drip": "a byte every 50 ms",
    "cut": "cut off in the middle",
    "busy": "429, to come back in an hour",
    "error": "500",
}
_LONGEST_S = 30.0
_HEAD = "HTTP/1.1 {status} -\r\nContent-Type: application/fhir+json\r\nContent-Length: {size}\r\n{more}\r\n"


class Handler(StreamRequestHandler):
    """One connection."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Answers until the caller hangs up."""
        try:
            while line := self.rfile.readline():
                while self.rfile.readline() not in (b"\r\n", b""):
                    pass
                if not self._answer(line.split()[1].decode("ascii").split("/")[1]):
                    return
        except OSError:
            return

    def _answer(self, fault: str) -> bool:
        """True when the connection goes on."""
        if fault == "hang":
            time.sleep(_LONGEST_S)
            return False
        if fault == "drip":
            self._send(200, 10_000)
            until = time.monotonic() + _LONGEST_S
            while time.monotonic() < until:
                self.wfile.write(b" ")
                time.sleep(0.05)
            return False
        if fault == "cut":
            self._send(200, 10_000)
            self.wfile.write(b'{"resourceType": "Bundle", "entry": [')
            return False
        if fault == "busy":
            self._send(429, 2, "Retry-After: 3600\r\n")
        elif fault == "error":
            self._send(500, 2)
        else:
            self._send(200, 2)  # /health/live, by which its start is seen
        self.wfile.write(b"{}")
        return True

    def _send(self, status: int, size: int, more: str = "") -> None:
        self.wfile.write(_HEAD.format(status=status, size=size, more=more).encode())


class FaultyServer(ThreadingTCPServer):
    """The server."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256


if __name__ == "__main__":
    with FaultyServer((HOST, int(sys.argv[1])), Handler) as server:
        server.serve_forever()
