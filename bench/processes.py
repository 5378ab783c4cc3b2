"""The servers that are measured, each a process tree of its own, and how much CPU time a tree has used."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType

HOST = "127.0.0.1"
_START_S = 20.0


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """One server under way, until the `with` block ends."""

    def __init__(
        self,
        name: str,
        command: list[str],
        port: int,
        settings: dict[str, str] | None = None,
        python: str = sys.executable,
    ) -> None:
        self.name, self.port = name, port
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("CDS_")}
        self._running = subprocess.Popen(  # noqa: S603 - our own commands
            [python, *command],
            env={**inherited, **(settings or {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> "Process":
        """The server, once it answers. Raises RuntimeError when it does not."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._running.poll() is None:
            try:
                connection = HTTPConnection(HOST, self.port, timeout=1)
                connection.request("GET", "/health/live")
                if connection.getresponse().status == 200:
                    return self
            except (OSError, HTTPException):
                time.sleep(0.05)
            finally:
                connection.close()
        self._stop()
        raise RuntimeError(f"{self.name} did not start")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @classmethod
    @contextmanager
    def begun(cls, name: str, command: list[str], port: int, settings: dict[str, str]) -> Iterator["Process"]:
        """The server as it starts: nothing is waited for."""
        process = cls(name, command, port, settings)
        try:
            yield process
        finally:
            process._stop()

    def memory_mb(self) -> float:
        """Megabytes of memory that the tree of processes has, what they share counted once (PSS)."""
        found = 0
        for pid in _tree(self._running.pid):
            rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            found += sum(int(row.split()[1]) for row in rows if row.startswith("Pss:"))
        return found / 1024

    def cpu(self) -> float:
        """Seconds of CPU time that the process and those below it have used."""
        return sum(_cpu_of(pid) for pid in _tree(self._running.pid))

    def _stop(self) -> None:
        self._running.terminate()
        try:
            self._running.wait(15)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()


def _tree(pid: int) -> list[int]:
    found = [pid]
    for parent in found:  # grows while it is walked
        children = Path(f"/proc/{parent}/task/{parent}/children")
        found += [int(child) for child in children.read_text().split()] if children.exists() else []
    return found


def _cpu_of(pid: int) -> float:
    """CPU time of a process with all its threads, those that ended too, in seconds."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # Linux: the CPU clock of another process, to the nanosecond
    except OSError:  # a kernel without it: clock ticks of 10 ms
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
