"""Calls over one connection that stays open, and two sides compared in turns."""

import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from statistics import median

from msgspec import Struct, field

from bench.processes import HOST, Process

_WARM_UP = 5  # calls before a round's clock starts: the first of a worker fill its tables


class Connection:
    """One connection that is kept open."""

    def __init__(self, port: int) -> None:
        self._http = HTTPConnection(HOST, port, timeout=30)

    def post(self, path: str, body: bytes) -> tuple[float, bytes]:
        """Seconds from sending to the last byte of the answer, and the answer. Raises RuntimeError unless it is 200."""
        started = time.perf_counter()
        self._http.request("POST", path, body, {"Content-Type": "application/json"})
        response = self._http.getresponse()
        found = response.read()
        seconds = time.perf_counter() - started
        if response.status != 200:
            raise RuntimeError(f"{path} answered {response.status}: {found[:300]!r}")
        return seconds, found

    def get(self, path: str) -> tuple[float, bytes]:
        """The same of a GET."""
        started = time.perf_counter()
        self._http.request("GET", path)
        found = self._http.getresponse().read()
        return time.perf_counter() - started, found

    def post_again(self, path: str, body: bytes) -> tuple[float, bytes]:
        """`post`, over a new connection where the server has closed the idle one."""
        try:
            return self.post(path, body)
        except (OSError, HTTPException):
            self._http.close()
            return self.post(path, body)


class Side(Struct):
    """One of the things that are compared: whom to call, where, with what; and what was measured."""

    process: Process
    connection: Connection
    path: str
    body: Callable[[], bytes]
    cpu: list[float] = field(default_factory=list)  # seconds per call, one for each round
    rounds: list[list[float]] = field(default_factory=list)  # seconds of each call, by round

    def run(self, calls: int) -> None:
        """One round."""
        for _ in range(_WARM_UP):
            self.connection.post_again(self.path, self.body())
        before = self.process.cpu()
        self.rounds.append([self.connection.post(self.path, self.body())[0] for _ in range(calls)])
        self.cpu.append((self.process.cpu() - before) / calls)

    @property
    def medians(self) -> list[float]:
        """The median of each round."""
        return [median(one) for one in self.rounds]

    @property
    def samples(self) -> list[float]:
        """Every call of every round."""
        return [seconds for one in self.rounds for seconds in one]


def in_turns(sides: list[Side], rounds: int, calls: int) -> None:
    """Runs the sides in turns, so that what else the machine does falls on all of them."""
    for number in range(rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            side.run(calls)


def percentile(samples: list[float], share: float) -> float:
    """The value that `share` of the samples do not exceed."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def ratios(above: list[float], below: list[float]) -> list[float]:
    """Round by round."""
    return [upper / lower for upper, lower in zip(above, below, strict=True)]


def milliseconds(seconds: list[float]) -> str:
    """The median, for a remark."""
    return f"{1000 * median(seconds):.2f}"
