"""Completed forms that an EHR did not take, sealed, for every instance to find. Only where there is a key.

A form speaks for the patient, and against: one that cannot be read is not "none". While the database is away, what is
known is which EHRs have refused a form so far (`LedgerStore.refusing`, at most seconds old when it went away): their
patients' forms count as unread, and of every other EHR nothing is kept. A form that an EHR is the first time refused in
those seconds, at another instance, is what this cannot see.
"""

import time
import zlib
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TookTooLongError
from contextlib import suppress
from datetime import datetime
from threading import Event, Thread
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from cds_service.ledger.database import Database, interrupt
from cds_service.ledger.fingerprint import new_decision_id
from cds_service.ledger.lookup import LedgerAwayError, Reader
from cds_service.ledger.query import Query
from cds_service.ledger.schema import kept_form
from cds_service.ledger.sealing import Seal, SealedError
from cds_service.ledger.soundness import DamagedError
from cds_service.ledger.store import LedgerStore
from fhir_mappings.references import Json
from hooks.book import KeptForms
from hooks.refusals import Refusal
from hooks.wire import decode, encode

MOST = 5  # forms of one patient; the newest ones stay
MOST_BYTES = 32 * 1024 * 1024  # of one patient, sealed
_KEEPING_S = 5.0
_LARGEST = 64 * 1024 * 1024  # of an opened form
_OF_PATIENT = Query(
    select(kept_form.c.id, kept_form.c.form)
    .where(kept_form.c.patient_key == bindparam("patient"))
    .order_by(kept_form.c.id)
)
_NONE = KeptForms()
_UNREAD = KeptForms(is_whole=False)


class Forms:
    """The forms that are kept, as one process sees them."""

    def __init__(
        self, database: Database, seal: Seal | None, store: LedgerStore, reader: Reader, clock: Callable[[], datetime]
    ) -> None:
        self._database, self._seal, self._store, self._reader, self._clock = database, seal, store, reader, clock

    def keep(self, ehr: str, patient: str, member: str, response: Json) -> bool:
        """True when the form is committed, sealed; False where it may not or could not be kept. Never raises."""
        hashes = self._store.hashes
        if self._seal is None or hashes is None:
            return False
        form_id = new_decision_id()
        sealed = self._seal.close(zlib.compress(encode(response), 1), form_id)
        if len(sealed) > MOST_BYTES:
            return False
        row = {
            "id": form_id,
            "kept_at": self._clock(),
            "ehr_key": hashes.of("ehr", ehr),
            "patient_key": hashes.of("patient", f"{ehr} {patient}"),
            "member_key": hashes.of("member", member),
            "form": sealed,
        }
        with suppress(RuntimeError):  # no thread could be started
            return self._kept(row)
        return False

    def of(self, ehr: str, patient: str, deadline: float) -> KeptForms:
        """The forms of that patient of that EHR, oldest first, by the deadline (monotonic seconds). Never raises."""
        hashes, refusing = self._store.hashes, self._store.refusing
        if self._seal is None and not refusing:
            return _NONE
        if hashes is None or refusing is None:
            return _UNREAD
        ehr_key = hashes.of("ehr", ehr)
        if self._seal is None and ehr_key not in refusing:
            return _NONE
        wanted = {"patient": hashes.of("patient", f"{ehr} {patient}")}
        try:
            rows = self._reader.rows(_OF_PATIENT, wanted, deadline - time.monotonic())
        except LedgerAwayError:
            return _UNREAD if ehr_key in refusing else _NONE
        found = [opened_form(self._seal, form_id, form) for form_id, form in rows]
        forms = tuple(form for form in found if form is not None)
        return KeptForms(forms, is_whole=len(forms) == len(found))

    def _kept(self, row: dict[str, Any]) -> bool:
        # Not by the writer: a form with its reports takes longer than decisions may wait.
        done: Future[None] = Future()
        opened: list[Connection] = []
        given_up = Event()

        def run() -> None:
            try:
                with self._database.connect_patiently(_KEEPING_S) as connection:
                    opened.append(connection)
                    _write(connection, row, self._database.is_sqlite, given_up)
                done.set_result(None)
            except Exception as error:  # noqa: BLE001 - told to whoever waits
                done.set_exception(error)

        Thread(target=run, name="ledger-form", daemon=True).start()
        try:
            done.result(_KEEPING_S)
        except (TookTooLongError, SQLAlchemyError, OSError, DamagedError):
            given_up.set()
            for connection in opened:
                interrupt(connection)
            return False
        self._store.refusing = (self._store.refusing or frozenset()) | {row["ehr_key"]}
        return True


def opened_form(seal: Seal | None, form_id: str, sealed: bytes) -> Json | None:
    """The form that was kept under this id; None where no key opens it."""
    if seal is None:
        return None
    with suppress(SealedError, zlib.error, Refusal):
        plain = zlib.decompressobj().decompress(seal.open(bytes(sealed), form_id), _LARGEST)
        form = decode(plain)
        return form if isinstance(form, dict) else None
    return None


def _write(connection: Connection, row: dict[str, Any], is_sqlite: bool, given_up: Event) -> None:
    if is_sqlite:
        raw: Any = connection.connection.dbapi_connection
        raw.execute("PRAGMA synchronous = FULL")  # whoever filled it in is told that it is kept
    with connection.begin():
        connection.execute(insert(kept_form), row)
        size = func.length(kept_form.c.form).label("size")
        mine = select(kept_form.c.id, size).where(kept_form.c.patient_key == row["patient_key"])
        is_this = kept_form.c.id == row["id"]  # first, though a clock that was set back may make others newer
        left, gone = MOST_BYTES, []
        for place, found in enumerate(connection.execute(mine.order_by(is_this.desc(), kept_form.c.id.desc()))):
            left -= found.size
            if place >= MOST or left < 0:
                gone.append(found.id)
        if gone:
            connection.execute(delete(kept_form).where(kept_form.c.id.in_(gone)))
        if given_up.is_set():
            raise TookTooLongError  # whoever waited was told that it is not kept
