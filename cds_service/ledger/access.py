"""What an operator may do with the ledger. Each use is written down before anything is shown."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, RowMapping, func, insert, or_, select, update

from cds_service.ledger.audit import keys_of, opened
from cds_service.ledger.database import SETTING as URL_SETTING
from cds_service.ledger.database import Database
from cds_service.ledger.errors import NoLedgerError
from cds_service.ledger.feedback import FeedbackRow, feedback_table
from cds_service.ledger.fingerprint import Fingerprints, id_floor
from cds_service.ledger.forms import opened_form
from cds_service.ledger.installation import read_keys
from cds_service.ledger.migrate import migrate, revision_of
from cds_service.ledger.purge import PURGED_AT_ONCE, Doomed, Gone, of_member, older_than, purge_some
from cds_service.ledger.readable import Damage, Row, decisions, feedback_of, pages, reading
from cds_service.ledger.replay import Replayed, replay
from cds_service.ledger.rows import word
from cds_service.ledger.schema import access_log, authorization, card, decision, feedback, kept_form
from cds_service.ledger.sealing import SETTING, Seal, SealedError
from cds_service.policy.library import Library
from hooks.wire import encode

_NO_LEDGER = f"{URL_SETTING}: there is no ledger"
Action = Literal["show", "open", "export", "forms", "replay", "feedback", "purge", "reseal"]


class Use(Struct, frozen=True):
    """A line of the access log."""

    at: datetime
    who: str
    action: str
    about: str
    count: int


class Access:
    """The operator's side of one ledger. A database that is away raises here; newer tables raise NewerSchemaError.

    A row that is damaged is left out and named in `damage`.
    """

    def __init__(self, database: Database, seal: Seal | None, who: str, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._seal = seal
        self._who = who
        self._clock = clock
        self.damage = Damage()  # what could not be read so far

    @property
    def has_keys(self) -> bool:
        """True when there is a key to seal with."""
        return self._seal is not None

    def show(
        self,
        name: str | None = None,
        *,
        order: str = "",
        user: str = "",
        member: str | None = None,
        library: Library | None = None,
    ) -> tuple[dict[str, Any], ...]:
        """The decisions that all of what is given points at, oldest first, each with feedback.

        `name` is a decision id, assertion id, authorization number, hookInstance or card; `order` and `user` are URLs
        at the EHR. With `library` they are opened as far as the keys go: see `audit.py`.
        """
        with self._opened() as connection:
            where, about = self._chosen(connection, None, member)
            hashes = Fingerprints(read_keys(connection).fingerprints)
            if name is not None:
                name = word(name)
                where, about = [*where, _named(name)], f"decision {name}"
            with reading(connection):
                callers = list(connection.scalars(select(decision.c.caller).distinct())) if order or user else []
                if order:
                    where, about = [*where, decision.c.order_key.in_(keys_of("order", order, callers, hashes))], "order"
                if user:
                    where, about = [*where, decision.c.user_key.in_(keys_of("user", user, callers, hashes))], "user"
            seal = self._seal if library is not None else None
            shown = tuple(
                {**_plain(row), "feedback": feedback_of(connection, row["id"], self.damage, seal)}
                | ({"opened": opened(Row(row), library, seal, hashes)} if library is not None else {})
                for row in decisions(connection, where, self.damage)
            )
            self._note(connection, "show" if library is None else "open", about, len(shown))
        return shown

    def export(self, since: datetime | None = None, member: str | None = None) -> Iterator[bytes]:
        """Every decision with its feedback, oldest first, as JSON lines; of one member if named. Not unsealed."""
        with self._opened() as connection:
            where, about = self._chosen(connection, since, member)
            self._note(connection, "export", about, _count(connection, where))
            for row in decisions(connection, where, self.damage):
                said = feedback_of(connection, row["id"], self.damage)
                yield msgspec.json.encode({**_plain(row), "feedback": said}) + b"\n"

    def forms(self, member: str | None = None) -> Iterator[bytes]:
        """The kept forms, oldest first, as JSON lines, each opened as far as the keys go; of one member if named."""
        with self._opened() as connection:
            where, about = [], "all"
            if member is not None:
                key = self._member_key(connection, member)
                where, about = [kept_form.c.member_key == key], f"member {key}"
            ids = [one for page in pages(connection, kept_form.c.id, where, self.damage) for one in page]
            self._note(connection, "forms", about, len(ids))
            for one in ids:
                with reading(connection):
                    row = connection.execute(select(kept_form).where(kept_form.c.id == one)).one_or_none()
                if row is not None:
                    form = opened_form(self._seal, row.id, row.form)
                    yield encode({**_plain_form(row), "form": form if form is not None else "sealed"}) + b"\n"

    def replay(self, library: Library, name: str | None = None, since: datetime | None = None) -> Iterator[Replayed]:
        """The decisions of that name (see `show`) again, or all since a moment, oldest first."""
        with self._opened() as connection:
            where, about = self._chosen(connection, since, None)
            if name is not None:
                name = word(name)
                where, about = [_named(name)], f"decision {name}"
            self._note(connection, "replay", about, _count(connection, where))
            hashes = Fingerprints(read_keys(connection).fingerprints)
            for row in decisions(connection, where, self.damage):
                yield replay(Row(row), library, self._seal, hashes)

    def feedback_table(self) -> tuple[FeedbackRow, ...]:
        """How often each kind of card was accepted or overridden, and why."""
        with self._opened() as connection:
            with reading(connection):
                found = feedback_table(connection)
            self._note(connection, "feedback", "counts", len(found))
        return found

    def purge(self, *, member: str | None = None, older_than_days: int | None = None) -> Gone:
        """What went: all of one member (named as the entries name it), or what is older than so many days."""
        with self._opened() as connection:
            if member is not None:
                key = self._member_key(connection, member)
                doomed, about = of_member(key), f"member {key}"
            elif older_than_days is not None and older_than_days >= 0:
                doomed = older_than(self._clock() - timedelta(days=older_than_days))
                about = f"older than {older_than_days} days"
            else:
                raise ValueError("name a member or an age in days")
            self._note(connection, "purge", about, 0)
            gone = _purge(connection, doomed)
            self._note(connection, "purge", about, sum(gone))
            self._database.forget(connection)
        return gone

    def reseal(self) -> int:
        """How many values were sealed anew with the first key; raises SealedError where no key opens any of them."""
        if self._seal is None:
            return 0
        count = 0
        with self._opened() as connection:
            self._note(connection, "reseal", "all", 0)
            for table, key, column in (
                (decision, decision.c.id, decision.c.inputs),
                (feedback, feedback.c.id, feedback.c.comment),
                (kept_form, kept_form.c.id, kept_form.c.form),
            ):
                for ids in pages(connection, key, [column.is_not(None)], self.damage):
                    with connection.begin():
                        rows = connection.execute(select(key, column).where(key.in_(ids))).all()
                        for found, sealed in rows:
                            with self.damage.noted(f"{column.name} of {table.name} {found}"):
                                new = {column.name: self._seal.renew(sealed)}
                                connection.execute(update(table).where(key == found).values(new))
                                count += 1
            self._note(connection, "reseal", "all", count)
        if self.damage and not count:
            self.damage.clear()  # it is the key that is wrong, and not each of them
            raise SealedError(f"none of the keys in {SETTING} opens it")
        return count

    def uses(self) -> tuple[Use, ...]:
        """The access log, oldest first."""
        with self._opened() as connection, reading(connection):
            said = [access_log.c[name] for name in Use.__struct_fields__]
            rows = connection.execute(select(*said).order_by(access_log.c.id))
            return tuple(Use(**row) for row in rows.mappings())

    @contextmanager
    def _opened(self) -> Iterator[Connection]:
        if not self._database.is_there:
            raise NoLedgerError(_NO_LEDGER)
        with self._database.connect_patiently() as connection:
            with reading(connection):
                if revision_of(connection) is None:
                    raise NoLedgerError(_NO_LEDGER)
            migrate(connection)
            yield connection

    def _note(self, connection: Connection, action: Action, about: str, count: int) -> None:
        with connection.begin():
            row = {"at": self._clock(), "who": word(self._who), "action": action, "about": about, "count": count}
            connection.execute(insert(access_log), row)

    def _member_key(self, connection: Connection, member: str) -> str:
        return Fingerprints(read_keys(connection).fingerprints).of("member", member)

    def _chosen(
        self, connection: Connection, since: datetime | None, member: str | None
    ) -> tuple[list[ColumnElement[bool]], str]:
        where, about = [], []
        if since is not None:
            where.append(decision.c.id >= id_floor(since.timestamp()))
            about.append(f"since {since.isoformat()}")
        if member is not None:
            key = self._member_key(connection, member)
            where.append(decision.c.member_key == key)
            about.append(f"member {key}")
        return where, ", ".join(about) or "all"


def _purge(connection: Connection, doomed: Doomed) -> Gone:
    total = Gone()
    while True:
        with connection.begin():
            gone = purge_some(connection, doomed, PURGED_AT_ONCE)
        total = total.plus(gone)
        if max(gone) < PURGED_AT_ONCE:
            return total


def _count(connection: Connection, where: list[ColumnElement[bool]]) -> int:
    with reading(connection):
        return connection.scalar(select(func.count()).select_from(decision).where(*where)) or 0


def _plain(row: RowMapping) -> dict[str, Any]:
    """The row for people and machines: whether inputs are kept, not the sealed bytes."""
    return {**row, "inputs": "sealed" if row["inputs"] is not None else None}


def _plain_form(row: Any) -> dict[str, Any]:
    return {"id": row.id, "kept_at": row.kept_at.isoformat(), "member_key": row.member_key}


def _named(name: str) -> ColumnElement[bool]:
    """The decisions that are told by that name."""
    ids = select(authorization.c.decision_id).where(authorization.c.number == name)
    of_card = select(card.c.decision_id).where(card.c.uuid == name)
    columns = (decision.c.id, decision.c.assertion_id, decision.c.hook_instance, decision.c.number)
    return or_(*(column == name for column in columns), decision.c.id.in_(ids), decision.c.id.in_(of_card))
