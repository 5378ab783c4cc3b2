"""The plan's roster as a CSV file and as a table: who is a member, and what a roster does that is broken or frozen."""

import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path

import pytest
from sqlalchemy.exc import SQLAlchemyError

from cds_service.members import COLUMNS, CsvRoster, RosterError, SqlRoster, read_roster
from cds_service.policy.dates import Span
from fhir_mappings.membership import MemberNumbers, member_numbers
from hooks.plans import Enrolment, Member, Roster

DAY = date(2026, 11, 24)
BORN = Span(date(1992, 8, 16), date(1992, 8, 16))
ROWS = [
    ("M1", "1992-08-16", "Commercial Group", "2026-01-01", ""),
    ("M2", "1992-08-16", "Medicaid Managed Care", "2020-01-01", "2025-12-31"),
    ("M3", "1950-01-01", "Commercial Group", "2026-01-01", ""),
    ("M4", "1992-08-16", "Commercial Group", "2020-01-01", "2026-11-24"),
    ("M5-02", "1992-08-16", "Commercial Group", "2026-01-01", ""),
    ("M603", "1992-08-16", "Commercial Group", "2026-01-01", ""),
    ("M7", "1992-08-16", "Old Line", "2020-01-01", "2026-06-30"),
    ("M7", "1992-08-16", "New Line", "2026-07-01", ""),
]


def csv_file(folder: Path, rows: list[tuple[str, ...]], header: tuple[str, ...] = COLUMNS) -> Path:
    """A roster file."""
    path = folder / "roster.csv"
    path.write_text("\n".join(",".join(line) for line in (header, *rows)) + "\n", encoding="utf-8")
    return path


def database(folder: Path, rows: list[tuple[str, ...]]) -> str:
    """A roster database."""
    path = folder / "roster.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE members ({', '.join(COLUMNS)})")
        connection.executemany(
            "INSERT INTO members VALUES (?, ?, ?, ?, ?)", [(*row[:4], row[4] or None) for row in rows]
        )
    return f"sqlite:///{path}"


@pytest.fixture(params=["csv", "sql"])
def roster(request: pytest.FixtureRequest, tmp_path: Path) -> Roster:
    """The same roster as a file and as a table."""
    return read_roster(str(csv_file(tmp_path, ROWS)) if request.param == "csv" else database(tmp_path, ROWS))


def numbers(*of_coverage: str, of_patient: tuple[str, ...] = (), birth: Span | None = BORN) -> MemberNumbers:
    """What a member is known by."""
    return MemberNumbers(of_coverage, of_patient, birth)


def asked(roster: Roster, known: MemberNumbers) -> Member:
    """What it says, with time enough."""
    return roster.member(known, DAY, time.monotonic() + 10)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (numbers("M1"), Member(Enrolment.ACTIVE, "M1", ("Commercial Group",))),
        (numbers("M2"), Member(Enrolment.INACTIVE, "M2", ("Medicaid Managed Care",))),
        (numbers("M4"), Member(Enrolment.ACTIVE, "M4", ("Commercial Group",))),
        (numbers("M7"), Member(Enrolment.ACTIVE, "M7", ("New Line",))),
        (numbers("nobody"), Member(Enrolment.NOT_A_MEMBER)),
        (numbers(), Member(Enrolment.NOT_A_MEMBER)),
        (numbers("M3"), Member(Enrolment.NOT_A_MEMBER)),
        (numbers("M3", birth=None), Member(Enrolment.ACTIVE, "M3", ("Commercial Group",))),
        (numbers("other", of_patient=("M1",)), Member(Enrolment.OTHER_COVERAGE, "M1")),
        (numbers("other", of_patient=("M3",)), Member(Enrolment.NOT_A_MEMBER)),
        (numbers("nobody", "M1"), Member(Enrolment.ACTIVE, "M1", ("Commercial Group",))),
    ],
    ids=[
        "active", "ended", "on the last day", "two periods", "unknown", "without a number", "another birth date",
        "without a birth date", "the patient's number, another coverage", "and another birth date", "a second number",
    ],
)  # fmt: skip
def test_what_the_roster_says(known: MemberNumbers, expected: Member, roster: Roster) -> None:
    """The same from a file and from a table."""
    assert asked(roster, known) == expected


@pytest.mark.parametrize(
    ("birth", "found"),
    [
        (Span(date(1992, 1, 1), date(1992, 12, 31)), Enrolment.ACTIVE),
        (Span(date(1992, 8, 1), date(1992, 8, 31)), Enrolment.ACTIVE),
        (Span(date(1993, 1, 1), date(1993, 12, 31)), Enrolment.NOT_A_MEMBER),
    ],
    ids=["the year", "the month", "another year"],
)
def test_a_birth_date_in_part_only_speaks_against_where_it_cannot_be(
    birth: Span, found: Enrolment, roster: Roster
) -> None:
    """FHIR dates may lack month and day."""
    assert asked(roster, numbers("M1", birth=birth)).enrolment is found


@pytest.mark.parametrize(("subscriber", "dependent"), [("M5", "02"), ("M6", "03")])
def test_a_dependent_is_found_with_and_without_a_dash(subscriber: str, dependent: str, roster: Roster) -> None:
    """Plans write `M5-02` or `M502`."""
    known = member_numbers({"subscriberId": subscriber, "dependent": dependent}, None, BORN)
    assert asked(roster, known).enrolment is Enrolment.ACTIVE


def test_a_dependent_does_not_pass_for_the_subscriber_of_another_birth_date(roster: Roster) -> None:
    """The subscriber's own row is another person's."""
    child = Span(date(2015, 3, 1), date(2015, 3, 1))
    known = member_numbers({"subscriberId": "M1", "dependent": "05"}, None, child)
    assert asked(roster, known).enrolment is Enrolment.NOT_A_MEMBER


@pytest.mark.parametrize("number", ["' OR 1=1 --", "M1' --", "%", "M_", "", "M1\x00", "m1"], ids=repr)
def test_a_number_is_nothing_but_a_number(number: str, roster: Roster) -> None:
    """Whatever a Coverage holds is looked up as it is."""
    assert asked(roster, numbers(number)).enrolment is Enrolment.NOT_A_MEMBER


# Broken files


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (("M1", "16.08.1992", "X", "2026-01-01", ""), 3),
        (("M1", "1992-08-16", "X", "2026-13-01", ""), 3),
        (("M1", "1992-08-16", "X", "2026-01-01", "never"), 3),
        (("M1", "1992-08-16", "X", "", ""), 3),
        (("M1", "1992-08-16"), 3),
        (("M1", "1992-08-16", "X", "2026-01-01"), 3),
        (("M1", "1992-08-16", "X", "2026-01-01", "", "2026-06-30"), 3),
        (("M1", "1992-08-16", "X", "2026-01-01", "2026-06-300"), 3),
        ((" ", "1992-08-16", "X", "2026-01-01", ""), 3),
    ],
    ids=["birth date", "month", "end", "no start", "short", "no end", "too long", "end too long", "no number"],
)
def test_a_malformed_line_is_named(row: tuple[str, ...], line: int, tmp_path: Path) -> None:
    """With file, line and what is expected, and without what stands there."""
    path = csv_file(tmp_path, [ROWS[0], row])
    with pytest.raises(RosterError, match=rf"{path.name}, line {line}: expected") as error:
        CsvRoster(path)
    assert "1992" not in str(error.value)


@pytest.mark.parametrize(
    "header",
    [("member_id", "birth_date"), COLUMNS[::-1], tuple(name.upper() for name in COLUMNS), ("M1", "x", "y", "z", "")],
    ids=["short", "another order", "upper case", "none"],
)
def test_another_header_is_refused(header: tuple[str, ...], tmp_path: Path) -> None:
    """With the one that is expected."""
    with pytest.raises(RosterError, match=",".join(COLUMNS)):
        CsvRoster(csv_file(tmp_path, ROWS, header))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"\x00"], ids=repr)
def test_a_file_that_is_no_csv_is_refused(content: bytes, tmp_path: Path) -> None:
    """By name."""
    path = tmp_path / "roster.csv"
    path.write_bytes(content)
    with pytest.raises(RosterError, match=r"roster\.csv"):
        CsvRoster(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """By name."""
    with pytest.raises(RosterError, match=r"none\.csv: FileNotFoundError"):
        CsvRoster(tmp_path / "none.csv")


def test_a_byte_order_mark_and_quotes_are_read(tmp_path: Path) -> None:
    """As spreadsheets write them."""
    path = tmp_path / "roster.csv"
    line = '"M1","1992-08-16","Commercial, Group","2026-01-01",""'
    path.write_text(f"{','.join(COLUMNS)}\r\n{line}\r\n", encoding="utf-8-sig")
    assert asked(CsvRoster(path), numbers("M1")) == Member(Enrolment.ACTIVE, "M1", ("Commercial, Group",))


# Broken and frozen databases


def test_a_table_that_is_not_there_leaves_the_member_unknown(tmp_path: Path) -> None:
    """Not known is not "no member"."""
    url = database(tmp_path, ROWS)
    with sqlite3.connect(tmp_path / "roster.db") as connection:
        connection.execute("DROP TABLE members")
    assert asked(SqlRoster(url), numbers("M1")) == Member(Enrolment.UNKNOWN)


def test_a_malformed_row_leaves_the_member_unknown(tmp_path: Path) -> None:
    """A date that is none."""
    roster = SqlRoster(database(tmp_path, [("M1", "x", "Commercial Group", "2026-01-01", "")]))
    assert asked(roster, numbers("M1")) == Member(Enrolment.UNKNOWN)


def test_dates_of_the_database_are_read_as_they_are(tmp_path: Path) -> None:
    """With a time behind them, as some databases give them."""
    rows = [("M1", "1992-08-16 00:00:00", "Commercial Group", "2026-01-01 00:00:00", "2026-11-24 00:00:00")]
    assert asked(SqlRoster(database(tmp_path, rows)), numbers("M1")).enrolment is Enrolment.ACTIVE


@pytest.mark.parametrize(("end", "found"), [("2026-11-24", Enrolment.ACTIVE), ("2026-11-23", Enrolment.INACTIVE)])
def test_a_column_of_timestamps_is_read_by_its_days(end: str, found: Enrolment, tmp_path: Path) -> None:
    """A driver gives them as datetimes, which do not compare with days."""
    sqlite3.register_converter("timestamp", lambda value: datetime.fromisoformat(value.decode()))
    path = tmp_path / "timestamps.db"
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE members (member_id, birth_date TIMESTAMP, line_of_business,"
            " active_from TIMESTAMP, active_to TIMESTAMP)"
        )
        days = {place: f"{day} 00:00:00" for place, day in ((1, "1992-08-16"), (3, "2026-01-01"), (4, end))}
        row = [days.get(place, text) for place, text in enumerate(("M1", "", "Commercial Group", "", ""))]
        connection.execute("INSERT INTO members VALUES (?, ?, ?, ?, ?)", row)
    roster = SqlRoster(f"sqlite:///{path}?detect_types={sqlite3.PARSE_DECLTYPES}")
    assert asked(roster, numbers("M1")).enrolment is found


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[str]:
    """A database that another holds for itself."""
    url = database(tmp_path, ROWS)
    holder = sqlite3.connect(tmp_path / "roster.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    yield url
    holder.execute("ROLLBACK")
    holder.close()


def within(deadline_s: float, ask: Callable[[float], Member]) -> Member:
    """What it says, which must come before the deadline."""
    started = time.monotonic()
    found = ask(started + deadline_s)
    assert time.monotonic() - started < deadline_s
    return found


def test_a_locked_database_leaves_the_member_unknown_in_time(locked: str) -> None:
    """Half of the time that is left is waited, and no more."""
    roster = SqlRoster(locked)
    assert within(0.6, lambda deadline: roster.member(numbers("M1"), DAY, deadline)) == Member(Enrolment.UNKNOWN)


def test_a_deadline_that_is_over_is_not_waited_for(locked: str) -> None:
    """The order's other reads took it all."""
    started = time.monotonic()
    assert SqlRoster(locked).member(numbers("M1"), DAY, started - 1).enrolment is Enrolment.UNKNOWN
    assert time.monotonic() - started < 0.3


def test_a_frozen_server_leaves_the_member_unknown_in_time() -> None:
    """It accepts and says nothing."""
    pytest.importorskip("psycopg")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        roster = SqlRoster(f"postgresql://user@127.0.0.1:{listener.getsockname()[1]}/plan")
        for _ in range(2):
            found = within(0.6, lambda deadline: roster.member(numbers("M1"), DAY, deadline))
            assert found == Member(Enrolment.UNKNOWN)


def test_a_database_that_was_locked_answers_again(tmp_path: Path) -> None:
    """Without a restart."""
    roster = SqlRoster(database(tmp_path, ROWS))
    holder = sqlite3.connect(tmp_path / "roster.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert roster.member(numbers("M1"), DAY, time.monotonic() + 0.2).enrolment is Enrolment.UNKNOWN
    holder.execute("ROLLBACK")
    holder.close()
    assert asked(roster, numbers("M1")).enrolment is Enrolment.ACTIVE


def test_many_callers_are_answered_at_once(tmp_path: Path) -> None:
    """Forty at a time, each with its own member."""
    rows = [(f"N{at}", "1992-08-16", f"Line {at}", "2026-01-01", "") for at in range(40)]
    roster = SqlRoster(database(tmp_path, rows))
    found: dict[int, Member] = {}

    def ask(at: int) -> None:
        found[at] = asked(roster, numbers(f"N{at}"))

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {at: Member(Enrolment.ACTIVE, f"N{at}", (f"Line {at}",)) for at in range(40)}


def test_a_fault_of_the_driver_never_reaches_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The roster's part of the contract: it never raises."""
    roster = SqlRoster(database(tmp_path, ROWS))

    def fail(*_: object) -> None:
        raise SQLAlchemyError("away")

    monkeypatch.setattr(roster, "_ask", fail)
    assert asked(roster, numbers("M1")) == Member(Enrolment.UNKNOWN)
