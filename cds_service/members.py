"""The plan's roster of members: a CSV file, or a table `members` by a SQLAlchemy URL.

Columns: member_id, birth_date, line_of_business, active_from, active_to (dates as YYYY-MM-DD; active_to may be empty).
"""

import csv
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct
from sqlalchemy import Engine, bindparam, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from cds_service.policy.truth import Truth
from fhir_mappings.membership import MemberNumbers
from hooks.plans import Enrolment, Member

COLUMNS = ("member_id", "birth_date", "line_of_business", "active_from", "active_to")
_ASK = text(f"SELECT {', '.join(COLUMNS)} FROM members WHERE member_id IN :numbers").bindparams(  # noqa: S608 - constants
    bindparam("numbers", expanding=True)
)
_AT_ONCE = 8  # roster questions under way in one process
_SHARE = 0.5  # of the time that is left, at most so much is waited for the roster


class RosterError(ValueError):
    """A roster that cannot be used; the message says where and what is expected."""


class Row(Struct, frozen=True):
    """One period of one member."""

    member_id: str
    birth_date: date
    line_of_business: str
    active_from: date
    active_to: date | None


def read_roster(source: str) -> "CsvRoster | SqlRoster":
    """The roster at a file's path or a database's URL. Raises RosterError."""
    return SqlRoster(source) if "://" in source else CsvRoster(Path(source))


class CsvRoster:
    """A roster in a file, read at start."""

    def __init__(self, path: Path) -> None:
        self._rows: dict[str, list[Row]] = {}
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                lines = csv.DictReader(file)
                if tuple(lines.fieldnames or ()) != COLUMNS:
                    raise RosterError(f"{path}: expected the header {','.join(COLUMNS)}")
                for number, line in enumerate(lines, 2):
                    if None in line or None in line.values():  # a cut line must not pass for one without an end
                        raise RosterError(f"{path}, line {number}: expected {len(COLUMNS)} columns")
                    row = _row(line, f"{path}, line {number}")
                    self._rows.setdefault(row.member_id, []).append(row)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise RosterError(f"{path}: {type(error).__name__}") from None

    def member(self, numbers: MemberNumbers, day: date, deadline: float) -> Member:
        """What the file says of the member on that day."""
        return _member(self._rows, numbers, day)


class SqlRoster:
    """A roster in a database, asked at each call in a thread of its own, so that a frozen one holds nobody up."""

    def __init__(self, url: str) -> None:
        self._url = url.replace("postgresql://", "postgresql+psycopg://", 1)
        self._engine: Engine | None = None
        self._threads: ThreadPoolExecutor | None = None

    def member(self, numbers: MemberNumbers, day: date, deadline: float) -> Member:
        """What the table says of the member on that day; unknown when it does not answer in time."""
        asked = [*numbers.of_coverage, *numbers.of_patient]
        if not asked:
            return _member({}, numbers, day)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="roster")
        wait = max(0.0, (deadline - time.monotonic()) * _SHARE)
        answer: Future[dict[str, list[Row]]] = self._threads.submit(self._ask, asked)
        try:
            return _member(answer.result(timeout=wait), numbers, day)
        except (TimeoutError, SQLAlchemyError, OSError, RosterError):
            answer.cancel()
            return Member(Enrolment.UNKNOWN)

    def _ask(self, asked: list[str]) -> dict[str, list[Row]]:
        if self._engine is None:
            self._engine = create_engine(self._url, pool_pre_ping=True, pool_size=_AT_ONCE)
        found: dict[str, list[Row]] = {}
        with self._engine.connect() as connection:
            for line in connection.execute(_ASK, {"numbers": asked}).mappings():
                row = _row(line, "members")
                found.setdefault(row.member_id, []).append(row)
        return found


def _row(line: Mapping[Any, Any], where: str) -> Row:
    try:
        member_id, line_of_business = str(line["member_id"]).strip(), str(line["line_of_business"]).strip()
        birth, start = _date(line["birth_date"]), _date(line["active_from"])
        end = _date(line["active_to"]) if line["active_to"] not in (None, "") else None
    except (ValueError, KeyError, TypeError):
        raise RosterError(f"{where}: expected {', '.join(COLUMNS)} with dates as YYYY-MM-DD") from None
    if not member_id:
        raise RosterError(f"{where}: expected a member_id")
    return Row(member_id, birth, line_of_business, start, end)


def _date(value: Any) -> date:
    found = value if isinstance(value, date) else datetime.fromisoformat(str(value).strip())
    return found.date() if isinstance(found, datetime) else found


def _member(rows: Mapping[str, Iterable[Row]], numbers: MemberNumbers, day: date) -> Member:
    for number in numbers.of_coverage:
        own = [row for row in rows.get(number, ()) if _born(row, numbers)]
        if own:
            active = [row for row in own if row.active_from <= day and (row.active_to is None or day <= row.active_to)]
            lines = tuple(dict.fromkeys(row.line_of_business for row in active or own if row.line_of_business))
            return Member(Enrolment.ACTIVE if active else Enrolment.INACTIVE, number, lines)
    for number in numbers.of_patient:
        if any(_born(row, numbers) for row in rows.get(number, ())):
            return Member(Enrolment.OTHER_COVERAGE, number)
    return Member(Enrolment.NOT_A_MEMBER)


def _born(row: Row, numbers: MemberNumbers) -> bool:
    """False when the birth date shows that the number is somebody else's."""
    return numbers.birth is None or numbers.birth.within(row.birth_date, row.birth_date) is not Truth.NOT_MET
