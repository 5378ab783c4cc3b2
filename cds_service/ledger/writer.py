"""The one thread of each process that writes, so that no caller ever waits for the database longer than it may.

Callers hand in work and wait for its commit, each up to its own deadline. What has gathered is written in one
transaction. The database is in one of three states:

    STARTING   not reached yet: callers wait
    SERVING    callers wait for their commit
    AWAY       callers are told so at once; the thread looks, one probe at a time, whether it is back

A caller that gives up leaves its work: it is written when the database gets to it, but nothing is promised by it then.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from cds_service.ledger.database import Database, interrupt
from cds_service.ledger.errors import kind_of
from cds_service.ledger.pending import Pending, State, Store

MOST_WAITING = 500  # pieces of work; more than this is refused
MOST_AT_ONCE = 100
_OPENING_S = 60.0  # a migration may take that long


class Writer:
    """The thread, its queue, and what is known of the database."""

    def __init__(self, database: Database, store: Store, notice: Callable[[State, str], None]) -> None:
        self._database = database
        self._limits = database.limits
        self._store = store
        self._notice = notice
        self._gate = threading.Lock()
        self._process = 0
        self._reset()

    def _reset(self) -> None:
        self._queue: SimpleQueue[Pending] = SimpleQueue()
        self._in_hand: list[Pending] = []  # work whose connection was lost under it, to be tried once more
        self._state = State.STARTING
        self._connection: Connection | None = None
        self._opening = False
        self._busy_since = 0.0  # 0: waits for nothing of the database
        self._answered_at = 0.0
        self._started_at = time.monotonic()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread of this process, once; a forked child gets its own."""
        if self._process == os.getpid():
            return
        with self._gate:
            if self._process == os.getpid():
                return
            self._reset()
            self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
            self._thread.start()
            self._process = os.getpid()

    def submit(self, work: Any, deadline: float) -> Any:
        """The result after the commit; None where it could not be had by the deadline (monotonic seconds)."""
        self.start()
        self._look_for_stall()
        if not self._takes_work():
            return None
        pending = Pending(work)
        self._queue.put(pending)
        if self._state is State.AWAY:
            return None  # it went away in between, and may not look into the queue again for long
        result = pending.wait(min(deadline - time.monotonic(), self._limits.patience_s))
        if pending.given_up:
            self._look_for_stall()
        return result

    def ready(self) -> bool:
        """True when the database answered lately and nothing hangs."""
        self.start()
        self._look_for_stall()
        since = time.monotonic() - self._answered_at
        return self._state is State.SERVING and since < 3 * self._limits.idle_s + self._limits.stall_s

    def wait_ready(self, seconds: float) -> bool:
        """True as soon as it is ready; False when it is not within this time."""
        until = time.monotonic() + seconds
        while not self.ready():
            if time.monotonic() >= until or self._state is State.AWAY:
                return self.ready()
            time.sleep(0.002)
        return True

    def close(self, seconds: float) -> None:
        """Writes what is waiting, as far as this time allows, and ends the thread."""
        if self._process != os.getpid() or self._thread is None:
            return
        self._closing.set()
        self._queue.put(_NOTHING)
        self._thread.join(seconds)
        self._process = 0

    def _takes_work(self) -> bool:
        if self._state is State.STARTING and time.monotonic() - self._started_at > self._limits.stall_s:
            return False  # whatever it is doing, it takes too long to wait for
        return self._state is not State.AWAY and self._queue.qsize() < MOST_WAITING

    def _look_for_stall(self) -> None:
        since, limit = self._busy_since, self._limits.stall_s
        if not since or (waited := time.monotonic() - since) <= limit:
            return
        if self._state is not State.AWAY:
            self._go_away("stalled")
        connection = self._connection
        if connection is not None and waited > (_OPENING_S if self._opening else limit):
            interrupt(connection)

    def _go_away(self, why: str) -> None:
        with self._gate:
            told, self._state = self._state, State.AWAY
        if told is not State.AWAY:
            self._notice(State.AWAY, why)
        with suppress(Empty):
            while True:
                pending = self._queue.get_nowait()
                if pending is not _NOTHING:
                    pending.fail()

    def _run(self) -> None:
        pause = 0.0
        while not self._closing.wait(pause):
            connection = self._open()
            if connection is None:
                pause = min(max(2 * pause, self._limits.probe_s), self._limits.probe_most_s)
                continue
            pause = 0.0
            try:
                while not self._closing.is_set() or not self._queue.empty():
                    self._turn(connection)
                    if self._state is State.AWAY:
                        break  # it came back after all, but too late: it is looked at afresh
            except Exception as error:  # noqa: BLE001 - whatever it was, the thread must live to look again
                pause = 0.0 if self._in_hand else self._limits.probe_s
                if not self._in_hand:
                    self._go_away(kind_of(error))
            finally:
                self._shut(connection)

    def _open(self) -> Connection | None:
        self._busy_since = time.monotonic()
        connection: Connection | None = None
        try:
            connection = self._connection = self._database.connect()
            self._opening = True
            self._store.opened(connection)
            self._opening, self._busy_since = False, time.monotonic()
            self._store.probe(connection)
        except Exception as error:  # noqa: BLE001 - as above
            self._go_away(kind_of(error))
            self._fail_in_hand()
            if connection is not None:
                self._shut(connection)
            return None
        finally:
            self._opening, self._busy_since = False, 0.0
        self._answered_at = time.monotonic()
        with self._gate:
            told, self._state = self._state, State.SERVING
        if told is not State.SERVING:
            self._notice(State.SERVING, "")
        return connection

    def _shut(self, connection: Connection) -> None:
        self._connection = None
        with suppress(Exception):
            connection.invalidate()
        with suppress(Exception):
            connection.close()

    def _turn(self, connection: Connection) -> None:
        """One batch, or a look at the database where there is none."""
        again, batch = bool(self._in_hand), self._in_hand
        self._in_hand = []
        batch = batch or self._take()
        if not batch:
            if not self._closing.is_set():
                self._timed(lambda: self._store.beat(connection))
            return
        batch = batch if again else self._prepared(batch)
        try:
            self._timed(lambda: self._commit(connection, batch))
        except (DataError, IntegrityError):
            self._one_by_one(connection, batch)
        except Exception as error:
            lost = isinstance(error, DBAPIError) and error.connection_invalidated
            if lost and not again and self._state is State.SERVING:
                self._in_hand = batch  # its ids make it safe to write twice
                raise
            for pending in batch:
                pending.fail()
            raise
        else:
            for pending in batch:
                pending.settle()

    def _take(self) -> list[Pending]:
        batch: list[Pending] = []
        with suppress(Empty):
            batch.append(self._queue.get(timeout=self._limits.idle_s))
            while len(batch) < MOST_AT_ONCE:
                batch.append(self._queue.get_nowait())
        return [pending for pending in batch if pending is not _NOTHING]

    def _prepared(self, batch: list[Pending]) -> list[Pending]:
        good = []
        for pending in batch:
            try:
                self._store.prepare(pending)
            except Exception as error:  # noqa: BLE001 - one that cannot be written must not cost the others theirs
                self._notice(self._state, kind_of(error))
                pending.fail()
            else:
                good.append(pending)
        return good

    def _commit(self, connection: Connection, batch: Sequence[Pending]) -> None:
        with connection.begin():
            self._store.write(connection, batch)

    def _one_by_one(self, connection: Connection, batch: Sequence[Pending]) -> None:
        for place, pending in enumerate(batch):
            try:
                self._timed(lambda one=pending: self._commit(connection, [one]))  # type: ignore[misc]
            except (DataError, IntegrityError) as error:
                self._notice(self._state, kind_of(error))
                pending.fail()
            except Exception:
                for rest in batch[place:]:
                    rest.fail()
                raise
            else:
                pending.settle()

    def _timed(self, do: Callable[[], None]) -> None:
        self._busy_since = time.monotonic()
        try:
            do()
        finally:
            self._busy_since = 0.0
        self._answered_at = time.monotonic()

    def _fail_in_hand(self) -> None:
        for pending in self._in_hand:
            pending.fail()
        self._in_hand = []


_NOTHING = Pending(None)  # wakes the thread
