"""Reads for a caller who waits: what was answered under an assertion id, for the client that was told it."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLongError
from datetime import date
from math import inf
from typing import Any

from msgspec import Struct
from sqlalchemy import bindparam, select
from sqlalchemy.exc import SQLAlchemyError

from cds_service.ledger.database import Database
from cds_service.ledger.kept_facts import KeptFactsError, decode_facts
from cds_service.ledger.query import Query, Rows
from cds_service.ledger.readers import UnreadError
from cds_service.ledger.schema import decision
from cds_service.ledger.sealing import Seal, SealedError
from cds_service.policy.facts import Facts

_AT_ONCE = 8
_READ = ("id", "policy", "drug", "policy_version", "outcome", "inputs")
_WANTED = Query(
    select(*(decision.c[name] for name in _READ))
    .where(decision.c.assertion_id == bindparam("assertion"), decision.c.caller == bindparam("caller"))
    .order_by(decision.c.id.desc())
    .limit(1)
)


class LedgerAwayError(Exception):
    """The ledger cannot be asked just now."""


class Answered(Struct, frozen=True):
    """One decision; `facts` where they were kept and can be opened."""

    policy: str
    drug: str
    version: date
    outcome: str
    facts: Facts | None


class Reader:
    """Reads decisions of one process."""

    def __init__(self, database: Database, seal: Seal | None, ready: Callable[[], bool]) -> None:
        self._database, self._seal, self._ready = database, seal, ready
        self._threads = ThreadPoolExecutor(_AT_ONCE, "ledger-read")  # no thread is started before it is needed

    def answered(self, assertion_id: str, caller: str) -> Answered | None:
        """The newest decision of that id that this caller was told; None for none. Raises LedgerAwayError."""
        found = self.rows(_WANTED, {"assertion": assertion_id, "caller": caller})
        if not found:
            return None
        decision_id, policy, drug, version, outcome, inputs = found[0]
        begun = version if isinstance(version, date) else date.fromisoformat(version)  # SQLite has no dates
        return Answered(policy, drug, begun, outcome, self._opened(decision_id, inputs))

    def rows(self, query: Query, given: Mapping[str, Any], seconds: float = inf) -> Rows:
        """What the query finds within these seconds. Raises LedgerAwayError."""
        if not self._ready():
            raise LedgerAwayError
        try:
            if self._database.is_sqlite:  # whose readers wait for nobody
                return self._database.read(query, given)
            patience_s = max(0.0, min(seconds, self._database.limits.patience_s))
            return self._threads.submit(self._database.read, query, given).result(patience_s)
        except (TookTooLongError, UnreadError, SQLAlchemyError, OSError, RuntimeError):
            raise LedgerAwayError from None

    def _opened(self, decision_id: str, inputs: bytes | None) -> Facts | None:
        if inputs is None or self._seal is None:
            return None
        try:
            return decode_facts(self._seal.open(bytes(inputs), decision_id))
        except (SealedError, KeptFactsError):
            return None
