"""What the plan's roster says of the patient, as it comes out in the answer."""

import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from msgspec.structs import replace
from signing import BY_ID, Ehr, Json, guidance, order_of, outcomes, said_of

from cds_service.app import create_app
from cds_service.settings import Settings
from hooks import order_sign
from hooks.answer import answer
from hooks.book import Entry, Receipt
from hooks.call import parse_call
from hooks.coverages import Plans
from hooks.plans import Enrolment, Member
from hooks.service import Caller, Moment, Service
from hooks.wire import decode, encode

HEADER = "member_id,birth_date,line_of_business,active_from,active_to"
MET = BY_ID["demo-hemgenix-met"]
NUMBER = next(r["subscriberId"] for r in MET.resources if r["resourceType"] == "Coverage")
BIRTH = next(r["birthDate"] for r in MET.resources if r["resourceType"] == "Patient")


@pytest.fixture
def ask(tmp_path: Path, settings: Settings, client: FlaskClient, ehr: Ehr) -> Any:
    """A function: what signing is answered to by a plan with these rows on its roster."""

    def answered(*rows: str, order: Json | None = None, **options: Any) -> Json:
        roster = tmp_path / "roster.csv"
        roster.write_text("\n".join((HEADER, *rows, "")))
        app = create_app(settings.model_copy(update={"members": str(roster), **options}))
        return Ehr(app.test_client(), ehr.templates).sign(MET, *([order] if order is not None else []))

    return answered


def test_an_active_member_is_answered_by_the_policy(ask: Any) -> None:
    """As without a roster."""
    found = ask(f"{NUMBER},{BIRTH},Commercial Group,2026-01-01,")
    assert said_of(found)["covered"] == ["covered"]
    assert outcomes(found) == ["criteria-met"]


@pytest.mark.conformance("resp-44")
def test_somebody_who_is_not_on_the_roster_is_no_member(ask: Any) -> None:
    """Not covered, with the coded reason; the guidance is there all the same and says so."""
    found = ask("M2,1980-01-01,Commercial Group,2026-01-01,")
    said = said_of(found)
    assert said["covered"] == ["not-covered"]
    assert said["reason"][0]["coding"][0]["code"] == "no-member-found"
    assert "do not show this patient as a member" in guidance(found)["detail"]


@pytest.mark.conformance("resp-44")
def test_a_number_with_another_birth_date_is_no_member(ask: Any) -> None:
    """The number is somebody else's."""
    said = said_of(ask(f"{NUMBER},1950-01-01,Commercial Group,2026-01-01,"))
    assert said["reason"][0]["coding"][0]["code"] == "no-member-found"


@pytest.mark.conformance("resp-45")
@pytest.mark.parametrize("period", ["2020-01-01,2026-11-23", "2026-11-25,"], ids=["ended the day before", "to come"])
def test_a_member_who_is_not_active_on_the_day_has_no_active_coverage(period: str, ask: Any) -> None:
    """The coded reason."""
    said = said_of(ask(f"{NUMBER},{BIRTH},Commercial Group,{period}"))
    assert said["covered"] == ["not-covered"]
    assert said["reason"][0]["coding"][0]["code"] == "no-active-coverage"


@pytest.mark.parametrize("period", ["2020-01-01,2026-11-24", "2026-11-24,"], ids=["last day", "first day"])
def test_the_first_and_the_last_day_count(period: str, ask: Any) -> None:
    """Active on both."""
    assert said_of(ask(f"{NUMBER},{BIRTH},Commercial Group,{period}"))["covered"] == ["covered"]


def test_the_day_of_the_order_counts_and_not_the_day_of_the_call(ask: Any) -> None:
    """An order written while the member was active."""
    row = f"{NUMBER},{BIRTH},Commercial Group,2020-01-01,2026-11-20"
    assert said_of(ask(row, order=order_of(MET.id, authoredOn="2026-11-20")))["covered"] == ["covered"]


def test_the_rosters_line_of_business_stands_above_the_coverage(ask: Any) -> None:
    """A commercial Coverage of a member of a federal plan: the policy does not apply."""
    found = ask(f"{NUMBER},{BIRTH},Federal Employee Program,2026-01-01,")
    assert outcomes(found) == ["policy-not-applicable"]
    assert said_of(found)["covered"] == ["conditional"]


def test_the_day_decides_which_line_of_business_counts(ask: Any) -> None:
    """The line of the period that covers the day."""
    past = f"{NUMBER},{BIRTH},Federal Employee Program,2020-01-01,2026-10-31"
    now = f"{NUMBER},{BIRTH},Commercial Group,2026-11-01,"
    assert outcomes(ask(past, now)) == ["criteria-met"]


@pytest.mark.conformance("resp-43", "impl-2")
def test_a_roster_that_does_not_answer_is_technical(service: Service, ehr: Ehr) -> None:
    """Not known is not "no member"; the guidance is there."""
    found = _line(service, ehr, _Roster(Member(Enrolment.UNKNOWN)))
    said = said_of(found)
    assert said["covered"] == said["pa-needed"] == ["indeterminate"]
    assert said["reason"][0]["coding"][0]["code"] == "technical"
    assert outcomes(found) == ["criteria-met"]


@pytest.mark.parametrize("enrolment", [one for one in Enrolment if one is not Enrolment.ACTIVE])
def test_who_is_not_known_to_be_a_member_gets_no_number(enrolment: Enrolment, service: Service, ehr: Ehr) -> None:
    """Whatever the criteria say."""
    book = _Book()
    issuing = replace(service, book=book, issues_numbers=True)
    said = said_of(_line(issuing, ehr, _Roster(Member(enrolment, NUMBER))))
    assert "satisfied-pa-id" not in said
    assert [entry.wants_number for entry in book.entries] == [False]


def test_the_book_knows_the_member_by_the_rosters_number(service: Service, ehr: Ehr) -> None:
    """Contract with the claims side: the roster's id where there is a roster."""
    book = _Book()
    _line(replace(service, book=book), ehr, _Roster(Member(Enrolment.ACTIVE, "M9", ("Commercial Group",))))
    assert [entry.member for entry in book.entries] == ["roster M9"]


def test_the_book_knows_who_asked_and_by_which_file(service: Service, ehr: Ehr) -> None:
    """What an auditor asks for: who was signed in, which file decided, and by which the chart was read."""
    book = _Book()
    _line(replace(service, book=book), ehr, _Roster(Member(Enrolment.ACTIVE, "M9", ("Commercial Group",))))
    (entry,) = book.entries
    policy = service.library.version("PHARMACY-109", "hemgenix", date(2025, 11, 20))
    assert entry.user.split()[-1] == ehr.call(MET)["context"]["userId"]
    assert policy is not None
    assert entry.policy_digest == policy.digest != ""
    assert entry.vocabulary_digest == service.library.vocabulary_digest != ""


def test_the_member_is_the_same_however_the_payers_identifiers_are_ordered(service: Service, ehr: Ehr) -> None:
    """Else one order had a number for each order of them."""
    second = {"system": "https://registry.example", "value": "first"}
    members = []
    for turn in (1, -1):
        call = ehr.call(MET)
        for entry in call["prefetch"]["organizations"]["entry"]:
            entry["resource"]["identifier"] = [second, *entry["resource"]["identifier"]][::turn]
        book = _Book()
        parsed = parse_call(encode(call), order_sign.HOOK)
        moment = Moment(date(2026, 11, 24), time.monotonic() + 5)
        answer(parsed, order_sign.HOOK, replace(service, book=book), Caller(), moment)
        members += [entry.member for entry in book.entries]
    assert members == [members[0]] * 2


class _Roster:
    def __init__(self, member: Member) -> None:
        self._member = member

    def member(self, numbers: object, day: date, deadline: float) -> Member:
        return self._member


class _Book:
    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def record(self, entries: tuple[Entry, ...], deadline: float) -> tuple[Receipt, ...]:
        self.entries += entries
        return tuple(Receipt(True, "PA-1" if entry.wants_number else "") for entry in entries)


def _line(service: Service, ehr: Ehr, roster: _Roster) -> Json:
    asked = replace(service, plans=Plans(roster=roster))
    parsed = parse_call(encode(ehr.call(MET)), order_sign.HOOK)
    moment = Moment(date(2026, 11, 24), time.monotonic() + 5)
    found: Json = decode(encode(answer(parsed, order_sign.HOOK, asked, Caller(), moment)))
    return found
