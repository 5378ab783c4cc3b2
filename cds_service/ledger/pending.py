"""A piece of work for the writer, the caller who waits for it, and what the writer asks of whoever writes it."""

import threading
from collections.abc import Sequence
from enum import Enum
from typing import Any, Protocol

from sqlalchemy import Connection


class State(Enum):
    """What is known of the database."""

    STARTING = "starting"
    SERVING = "serving"
    AWAY = "away"


class Pending:
    """A piece of work and the caller who waits for it."""

    __slots__ = ("_done", "given_up", "prepared", "result", "work")

    def __init__(self, work: Any) -> None:
        self.work = work
        self.prepared: Any = None
        self.result: Any = None  # set by the store; told only after the commit
        self.given_up = False
        self._done = threading.Lock()
        self._done.acquire()

    def wait(self, seconds: float) -> Any:
        """The result after the commit; None where it did not come in time."""
        if self._done.acquire(timeout=max(0.0, seconds)):
            return self.result
        self.given_up = True
        return None

    def settle(self) -> None:
        """Lets the caller go."""
        self._done.release()

    def fail(self) -> None:
        """Lets the caller go with nothing."""
        self.result = None
        self._done.release()


class Store(Protocol):
    """What is done with the work. Each may raise a DBAPIError or OSError; `prepare` may raise anything."""

    def opened(self, connection: Connection) -> None:
        """Gets a new connection ready."""

    def probe(self, connection: Connection) -> None:
        """Writes what shows that work can be written again."""

    def beat(self, connection: Connection) -> None:
        """Looks, without writing, whether the database answers."""

    def prepare(self, pending: Pending) -> None:
        """Makes the rows, before the transaction."""

    def write(self, connection: Connection, pendings: Sequence[Pending]) -> None:
        """Writes them inside the transaction, and sets the results."""
