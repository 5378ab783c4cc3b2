"""Completed forms that an EHR did not take: kept for every instance, sealed, bounded, and never unread as none."""

import json
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from cryptography.fernet import Fernet
from entries import MARK, entry, keep, opened, soon, until
from looks import count, rows

from cds_service.ledger.database import Database
from cds_service.ledger.forms import MOST, Forms
from cds_service.ledger.ledger import Ledger
from cds_service.ledger.lookup import Reader
from cds_service.ledger.schema import kept_form

EHR = "https://ehr.example/fhir"
OTHER = "https://other.example/fhir"
KEY, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def form(number: int = 1) -> dict[str, Any]:
    """A form whose every word is marked."""
    item = {"linkId": "q.liver", "answer": [{"valueQuantity": {"value": Decimal("5.10")}}]}
    return {"resourceType": "QuestionnaireResponse", "id": f"kept-{number}", "text": MARK, "item": [item]}


def kept(ledger: Ledger, number: int = 1, ehr: str = EHR, patient: str = MARK, member: str = "m") -> None:
    """Keeps a form."""
    assert ledger.forms.keep(ehr, patient, member, form(number))


def numbers(ledger: Ledger, ehr: str = EHR, patient: str = MARK) -> list[str]:
    """The ids of what is found, which must be all."""
    found = ledger.forms.of(ehr, patient, soon())
    assert found.is_whole
    return [one["id"] for one in found.forms]


def while_away(ledger: Ledger, ehr: str) -> bool:
    """Whether it is known, with a database that is away, that there is nothing more of this patient."""
    away = Reader(ledger.database, ledger.seal, lambda: False)
    return Forms(ledger.database, ledger.seal, ledger._store, away, lambda: datetime.now(UTC)).of(ehr, "p", 0).is_whole


@pytest.fixture
def sealed(url: str) -> Iterator[Ledger]:
    """A ledger with a key."""
    with opened(url, seal_keys=KEY) as ledger:
        yield ledger


def test_another_instance_finds_it(sealed: Ledger, url: str) -> None:
    """At once, digit for digit, and for this patient of this EHR alone."""
    with opened(url, seal_keys=KEY) as other:
        kept(sealed)
        assert other.forms.of(EHR, MARK, soon()).forms == (form(),)
        assert numbers(other, OTHER) == numbers(other, EHR, "another") == []


def test_nothing_of_it_can_be_read_without_the_key(sealed: Ledger) -> None:
    """Who and what are digests and sealed bytes."""
    kept(sealed, member=MARK)
    (row,) = rows(sealed, kept_form)
    assert all(word not in str(tuple(row)) for word in (MARK, "5.10", "ehr.example"))


def test_without_a_key_nothing_is_kept(ledger: Ledger) -> None:
    """And nothing can be."""
    assert not ledger.forms.keep(EHR, MARK, "m", form())
    assert count(ledger, kept_form) == 0
    assert numbers(ledger) == []


def test_the_newest_of_a_patient_stay(sealed: Ledger) -> None:
    """Others' are left alone."""
    kept(sealed, 99, patient="another")
    for number in range(MOST + 2):
        kept(sealed, number)
        time.sleep(0.002)  # an id tells milliseconds apart
    assert numbers(sealed) == [f"kept-{number}" for number in range(2, MOST + 2)]
    assert numbers(sealed, patient="another") == ["kept-99"]


def test_too_many_bytes_of_a_patient(sealed: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest that fit stay; one that does not fit at all is not kept."""
    kept(sealed, 1)
    size = len(rows(sealed, kept_form)[0].form)
    monkeypatch.setattr("cds_service.ledger.forms.MOST_BYTES", int(size * 1.5))
    kept(sealed, 2)
    assert numbers(sealed) == ["kept-2"]
    assert not sealed.forms.keep(EHR, MARK, "m", {**form(3), "more": [str(n) for n in range(9999)]})


def test_a_database_that_is_away_holds_back_forms_only_where_there_may_be_some(sealed: Ledger) -> None:
    """An EHR that refused one may have more; of one that never did there is none."""
    kept(sealed)
    assert until(lambda: bool(sealed._store.refusing))
    assert not while_away(sealed, EHR)
    assert while_away(sealed, OTHER)


def test_a_busy_service_looks_too(sealed: Ledger, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which EHRs refuse is learnt from other instances also while the writer never rests."""
    monkeypatch.setattr("cds_service.ledger.store._LOOK_S", 0.1)
    monkeypatch.setattr(sealed._store, "beat", lambda connection: None)
    with opened(url, seal_keys=KEY) as other:
        kept(other)

    def learnt() -> bool:
        keep(sealed, entry())
        return bool(sealed._store.refusing)

    assert until(learnt)


def test_a_database_that_was_never_reached(url: str) -> None:
    """Nothing is known of any EHR."""
    ledger = Ledger(url, service_version="0.0", seal_keys=KEY)
    assert not ledger.forms.of(EHR, MARK, soon()).is_whole
    assert not ledger.forms.keep(EHR, MARK, "m", form())


@pytest.mark.parametrize("keys", [NEW, ""], ids=["another key", "no key"])
def test_a_form_that_no_key_opens_is_unread(url: str, keys: str) -> None:
    """With another key or none it is known to be there; those of other patients and EHRs are as they are."""
    with opened(url, seal_keys=KEY) as ledger:
        kept(ledger)
    with opened(url, seal_keys=keys) as ledger:
        assert not ledger.forms.of(EHR, MARK, soon()).is_whole
        assert numbers(ledger, OTHER) == numbers(ledger, EHR, "another") == []


def test_a_lock_that_does_not_go_away(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever filled it in is told in time that it is not kept, and later it is not there."""
    monkeypatch.setattr("cds_service.ledger.forms._KEEPING_S", 0.5)
    with opened(sqlite_url, seal_keys=KEY) as ledger:
        held = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
        held.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        assert not ledger.forms.keep(EHR, MARK, "m", form())
        assert time.monotonic() - began < 1.0
        held.execute("COMMIT")
        held.close()
        assert not until(lambda: numbers(ledger), 0.5)


def test_it_goes_with_its_member(sealed: Ledger) -> None:
    """Others' stay."""
    kept(sealed, 1, member="m")
    kept(sealed, 2, patient="another", member="n")
    assert sealed.access("ada").purge(member="m") == (0, 0, 1, 0)
    assert numbers(sealed) == []
    assert numbers(sealed, patient="another") == ["kept-2"]
    assert [(use.action, use.count) for use in sealed.access("").uses()] == [("purge", 0), ("purge", 1)]


def test_it_goes_with_its_age(url: str) -> None:
    """By an operator, or by the retention."""
    later = datetime.now(UTC) + timedelta(days=31)
    with opened(url, seal_keys=KEY) as ledger:
        kept(ledger)
        assert ledger.access("ada").purge(older_than_days=1) == (0, 0, 0, 0)
    with opened(url, seal_keys=KEY, clock=lambda: later, retention_days=32) as ledger:
        assert not until(lambda: count(ledger, kept_form) == 0, 0.6)
    with opened(url, seal_keys=KEY, clock=lambda: later, retention_days=30) as ledger:
        assert until(lambda: count(ledger, kept_form) == 0)


def test_the_newest_stays_whatever_the_clock_says(sealed: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever completed it was told that it is kept."""
    for one in range(MOST):
        kept(sealed, one)
    monkeypatch.setattr("cds_service.ledger.fingerprint.time.time", lambda: 1_500_000_000.0)
    kept(sealed, 99)
    assert "kept-99" in numbers(sealed)
    assert len(numbers(sealed)) == MOST


def test_it_is_sealed_anew(url: str) -> None:
    """With the first key, so that the old one can go."""
    with opened(url, seal_keys=KEY) as ledger:
        kept(ledger)
    with opened(url, seal_keys=f"{NEW},{KEY}") as ledger:
        assert ledger.access("ada").reseal() == 1
    with opened(url, seal_keys=NEW) as ledger:
        assert numbers(ledger) == ["kept-1"]


def test_the_plan_can_read_it(sealed: Ledger) -> None:
    """As JSON lines, all or of one member; each use is written down, a member by hash alone."""
    kept(sealed, 1, member=f"{MARK}-member")
    kept(sealed, 2, patient="another", member="n")
    operator = sealed.access("ada")
    assert sorted(json.loads(line)["form"]["id"] for line in operator.forms()) == ["kept-1", "kept-2"]
    assert [json.loads(line)["form"]["id"] for line in operator.forms(member=f"{MARK}-member")] == ["kept-1"]
    written = operator.uses()
    assert [(use.action, use.count) for use in written] == [("forms", 2), ("forms", 1)]
    assert all(MARK not in use.about for use in written)


def test_without_its_key_an_operator_is_shown_that_it_is_there(url: str) -> None:
    """Sealed."""
    with opened(url, seal_keys=KEY) as ledger:
        kept(ledger)
    with opened(url) as ledger:
        assert [json.loads(line)["form"] for line in ledger.access("ada").forms()] == ["sealed"]


def test_it_waits_for_the_disk(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On SQLite too, whatever decisions do."""
    seen: list[int] = []
    made = Database.connect_patiently

    def watched(database: Database, seconds: float) -> Any:
        connection = made(database, seconds)
        raw: Any = connection.connection.dbapi_connection
        raw.set_trace_callback(
            lambda said: seen.append(raw.execute("PRAGMA synchronous").fetchone()[0]) if "kept_form" in said else None
        )
        return connection

    with opened(sqlite_url, seal_keys=KEY) as ledger:
        monkeypatch.setattr(Database, "connect_patiently", watched)
        kept(ledger)
    assert set(seen) == {2}
