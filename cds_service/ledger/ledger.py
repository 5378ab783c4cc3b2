"""The ledger as the service uses it: entries and feedback in, receipts out, by a deadline and without raising.

ledger = Ledger(url, service_version=…, seal_keys=…)    a setting that can never work raises here
ledger.prepare()                                        before serving: migrates, or says that it could not yet
ledger.record(entries, deadline)                        from any thread of any worker
"""

import atexit
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from cds_service.ledger.access import Access
from cds_service.ledger.database import Database, Durability, Limits
from cds_service.ledger.errors import LedgerError, LedgerSettingError, NewerSchemaError
from cds_service.ledger.feedback import FeedbackItem
from cds_service.ledger.forms import Forms
from cds_service.ledger.lookup import Reader
from cds_service.ledger.migrate import migrate
from cds_service.ledger.pending import State
from cds_service.ledger.sealing import parse_keys
from cds_service.ledger.store import Decisions, Feedback, LedgerStore
from cds_service.ledger.writer import Writer
from hooks.book import Entry, Receipt

__all__ = ["FeedbackItem", "Ledger", "LedgerError", "LedgerSettingError", "Limits", "NewerSchemaError"]

NOT_RECORDED = Receipt(recorded=False)
_PREPARE_S = 5.0
_CLOSE_S = 2.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """One ledger, by the URL of its database. Raises LedgerSettingError for what can never work."""

    def __init__(
        self,
        url: str,
        *,
        service_version: str,
        seal_keys: str = "",
        durability: Durability = "normal",
        retention_days: int | None = None,
        limits: Limits | None = None,
        clock: Callable[[], datetime] = _utc_now,
        log: Any = None,
    ) -> None:
        limits = limits or Limits()
        self.database = Database(url, limits, durability)
        self.seal = parse_keys(seal_keys)
        self._clock = clock
        self._log = log
        self._store = LedgerStore(self.seal, service_version, clock, retention_days, limits.steady_s)
        self._writer = Writer(self.database, self._store, self._notice)
        self.reader = Reader(self.database, self.seal, self.ready)
        self.forms = Forms(self.database, self.seal, self._store, self.reader, clock)
        self._provisional = secrets.token_bytes(32)

    def prepare(self) -> bool:
        """True when the tables are ready; False where the database could not be reached. Raises NewerSchemaError."""
        outcome: list[bool | NewerSchemaError] = []

        def run() -> None:
            try:
                with self.database.connect() as connection:
                    migrate(connection)
                outcome.append(True)
            except NewerSchemaError as error:
                outcome.append(error)
            except Exception as error:  # noqa: BLE001 - whatever keeps it away, the service starts and looks again
                self._notice(State.AWAY, type(error).__name__)

        thread = threading.Thread(target=run, name="ledger-prepare", daemon=True)
        thread.start()
        thread.join(_PREPARE_S)
        if outcome and isinstance(outcome[0], NewerSchemaError):
            raise outcome[0]
        return bool(outcome)

    def start(self, wait_s: float = 0.0) -> bool:
        """Starts writing in this process (after a fork); True when the database was reached within `wait_s`."""
        self._writer.start()
        atexit.register(self.close)
        return self._writer.wait_ready(wait_s)

    def record(self, entries: tuple[Entry, ...], deadline: float) -> tuple[Receipt, ...]:
        """One receipt for each entry, by the deadline (monotonic seconds); never raises."""
        if not entries:
            return ()
        receipts = self._submit(Decisions(entries, self._clock()), deadline)
        return receipts if receipts is not None else (NOT_RECORDED,) * len(entries)

    def feedback(self, items: tuple[FeedbackItem, ...], deadline: float) -> bool:
        """True when all of it is kept; False where that could not be done by the deadline. Never raises."""
        return self._submit(Feedback(items, self._clock()), deadline) is True

    def ready(self) -> bool:
        """True when decisions can be kept; costs next to nothing."""
        with suppress(RuntimeError):
            return self._writer.ready()
        return False

    def assertion_secret(self) -> bytes:
        """The key of assertion ids, the same from every instance; one of this process until the database is reached."""
        keys = self._store.keys
        return keys.assertions if keys is not None else self._provisional

    def shared_key(self, purpose: str) -> bytes | None:
        """A key for that purpose, the same from every instance; None until the database is reached."""
        keys = self._store.keys
        return blake2b(purpose.encode(), key=keys.assertions, digest_size=32).digest() if keys is not None else None

    def access(self, who: str) -> Access:
        """What an operator may do, each use of it written down under this name."""
        return Access(self.database, self.seal, who, self._clock)

    def close(self) -> None:
        """Writes what is waiting and ends the thread of this process."""
        atexit.unregister(self.close)
        self._writer.close(_CLOSE_S)
        self.database.close_readers()

    def _submit(self, work: Any, deadline: float) -> Any:
        try:
            return self._writer.submit(work, deadline)
        except RuntimeError:  # no thread could be started
            return None

    def _notice(self, state: State, why: str) -> None:
        if self._log is None:
            return
        if state is State.AWAY:
            self._log.warning("the ledger is away", kind=why)
        elif why:
            self._log.warning("an entry could not be kept", kind=why)
        else:
            self._log.info("the ledger is ready")
