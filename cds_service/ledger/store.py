"""What the writer writes: batches of decisions and of feedback, and the probes in between."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, delete, select, text

from cds_service.ledger.dialect import insert_new
from cds_service.ledger.feedback import FeedbackItem, write_feedback
from cds_service.ledger.fingerprint import Fingerprints, new_decision_id
from cds_service.ledger.installation import Keys, read_keys
from cds_service.ledger.migrate import migrate
from cds_service.ledger.numbers import KEY, number_for
from cds_service.ledger.pending import Pending
from cds_service.ledger.purge import PURGED_AT_ONCE, older_than, purge_some
from cds_service.ledger.rows import card_rows, decision_row, word
from cds_service.ledger.schema import authorization, card, decision, feedback, installation, kept_form
from cds_service.ledger.sealing import Seal
from hooks.book import Entry, Receipt

RECORDED = Receipt(recorded=True)
_PROBE = "probe"
_REFUSING = select(kept_form.c.ehr_key).distinct()
_LOOK_S = 2.0
_RETENTION_EVERY_S = 3600.0
_JUMP_S = 60.0


class Decisions(Struct, frozen=True):
    """The entries of one call."""

    entries: tuple[Entry, ...]
    at: datetime


class Feedback(Struct, frozen=True):
    """The feedback of one call."""

    items: tuple[FeedbackItem, ...]
    at: datetime


class LedgerStore:
    """The store of one process."""

    def __init__(
        self,
        seal: Seal | None,
        service_version: str,
        now: Callable[[], datetime],
        retention_days: int | None,
        steady_s: float,
    ) -> None:
        self.keys: Keys | None = None  # known once the database was reached
        self.hashes: Fingerprints | None = None
        self.refusing: frozenset[str] | None = None  # keys of the EHRs of kept forms, once the database was reached
        self._next_look = 0.0
        self._seal = seal
        self._service_version = service_version
        self._now = now
        self._retention_days = retention_days
        self._steady_s = steady_s
        self._ahead = self._clock_ahead()
        self._next_retention = time.monotonic() + steady_s

    def opened(self, connection: Connection) -> None:
        """Brings the tables up to date and reads the keys. Raises NewerSchemaError."""
        migrate(connection)
        self.keys = read_keys(connection)
        self.hashes = Fingerprints(self.keys.fingerprints)
        with connection.begin():
            self._look(connection)

    def probe(self, connection: Connection) -> None:
        """Writes and takes back as much as a call does: a full or read-only database fails here, not with a call."""
        row = {"name": _PROBE, "value": bytes(32_768), "created_at": datetime.now(UTC)}
        mine = installation.c.name == _PROBE
        with connection.begin():
            if connection.dialect.name == "postgresql":
                names = ", ".join(f'"{table.name}"' for table in (decision, card, authorization, feedback, kept_form))
                connection.execute(text(f"LOCK TABLE {names} IN ROW EXCLUSIVE MODE"))
            connection.execute(insert_new(connection, installation), row)
            connection.execute(delete(installation).where(mine))

    def beat(self, connection: Connection) -> None:
        """Asks for nothing, on SQLite with the write lock; from time to time takes out what is past its retention."""
        with connection.begin():
            if self._retention_days is not None and self._is_due():
                before = self._now() - timedelta(days=self._retention_days)
                if max(purge_some(connection, older_than(before), PURGED_AT_ONCE)) < PURGED_AT_ONCE:
                    self._next_retention = time.monotonic() + _RETENTION_EVERY_S
            else:
                self._look(connection)

    def _is_due(self) -> bool:
        ahead = self._clock_ahead()
        if abs(ahead - self._ahead) > _JUMP_S:  # it was set: rightly or wrongly is not known yet
            self._ahead, self._next_retention = ahead, time.monotonic() + self._steady_s
        return time.monotonic() >= self._next_retention

    def _clock_ahead(self) -> float:
        return self._now().timestamp() - time.monotonic()

    def _look(self, connection: Connection) -> None:
        self.refusing = frozenset(connection.scalars(_REFUSING))
        self._next_look = time.monotonic() + _LOOK_S

    def prepare(self, pending: Pending) -> None:
        """The rows of decisions; feedback is written as it is."""
        work = pending.work
        if not isinstance(work, Decisions):
            return
        assert self.hashes is not None, "opened first"  # noqa: S101 - the writer's order of calls
        made = []
        for entry in work.entries:
            decision_id = new_decision_id()
            row = decision_row(entry, decision_id, work.at, self.hashes, self._seal, self._service_version)
            made.append((entry, row, card_rows(entry, decision_id)))
        pending.prepared = made

    def write(self, connection: Connection, pendings: Sequence[Pending]) -> None:
        """Everything of the batch, one statement for each table."""
        rows: list[dict[str, Any]] = []
        cards: list[dict[str, Any]] = []
        numbered = self._numbers(connection, pendings)
        for pending in pendings:
            work = pending.work
            if isinstance(work, Feedback):
                continue
            receipts = []
            for _, row, its_cards in pending.prepared:
                receipt = numbered.get(row["id"], RECORDED)
                row["number"] = receipt.number or None
                receipts.append(receipt)
                rows.append(row)
                cards += its_cards
            pending.result = tuple(receipts)
        if rows:
            connection.execute(insert_new(connection, decision), rows[0] if len(rows) == 1 else rows)
        if cards:
            connection.execute(insert_new(connection, card), cards[0] if len(cards) == 1 else cards)
        if time.monotonic() >= self._next_look:
            self._look(connection)
        for pending in pendings:
            if isinstance(pending.work, Feedback):
                write_feedback(connection, pending.work.items, pending.work.at, self._seal)
                pending.result = True

    def _numbers(self, connection: Connection, pendings: Sequence[Pending]) -> dict[str, Receipt]:
        """The receipts of the entries that get a number, by decision; none for callers who have gone."""
        wanted = [
            (entry, row)
            for pending in pendings
            if isinstance(pending.work, Decisions) and not pending.given_up
            for entry, row, _ in pending.prepared
            if entry.wants_number
        ]
        wanted.sort(key=lambda pair: [pair[1][name] for name in KEY])  # one order for all: no deadlock
        found = {}
        for entry, row in wanted:
            months = entry.said.policy.authorization.months
            number = number_for(connection, row, self._now().date(), months, word(entry.carried))
            if number is not None:
                found[row["id"]] = Receipt(recorded=True, number=number[0], issued_on=number[1])
        return found
