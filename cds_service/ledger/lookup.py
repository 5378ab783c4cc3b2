"""What was answered under an assertion id, for the client that was told it, by a deadline."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLongError
from datetime import date

from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from cds_service.ledger.database import READS, Database
from cds_service.ledger.kept_facts import KeptFactsError, decode_facts
from cds_service.ledger.schema import decision
from cds_service.ledger.sealing import Seal, SealedError
from cds_service.policy.facts import Facts

_AT_ONCE = 8


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
        if not self._ready():
            raise LedgerAwayError
        try:
            return self._threads.submit(self._read, assertion_id, caller).result(self._database.limits.patience_s)
        except (TookTooLongError, SQLAlchemyError, OSError, RuntimeError):
            raise LedgerAwayError from None

    def _read(self, assertion_id: str, caller: str) -> Answered | None:
        wanted = (
            select(
                decision.c.id,
                decision.c.policy,
                decision.c.drug,
                decision.c.policy_version,
                decision.c.outcome,
                decision.c.inputs,
            )
            .where(decision.c.assertion_id == assertion_id, decision.c.caller == caller)
            .order_by(decision.c.id.desc())
            .limit(1)
        )
        with self._database.connect() as connection:
            connection.execution_options(**{READS: True})
            with connection.begin():
                row = connection.execute(wanted).one_or_none()
        if row is None:
            return None
        facts = self._opened(row.id, row.inputs)
        return Answered(row.policy, row.drug, row.policy_version, row.outcome, facts)

    def _opened(self, decision_id: str, inputs: bytes | None) -> Facts | None:
        if inputs is None or self._seal is None:
            return None
        try:
            return decode_facts(self._seal.open(bytes(inputs), decision_id))
        except (SealedError, KeptFactsError):
            return None
