"""What an auditor asks years later: which decisions of this order, who asked, from which facts, by which file."""

import json
import subprocess
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from entries import MARK, PATIENT, QUICK, entry, facts, keep, library, opened, soon
from looks import rows
from msgspec.structs import replace
from sqlalchemy import column, insert, table

from cds_service.app import load_knowledge
from cds_service.ledger.database import Database
from cds_service.ledger.feedback import FeedbackItem
from cds_service.ledger.fingerprint import Fingerprints, new_decision_id
from cds_service.ledger.ledger import Ledger
from cds_service.ledger.migrate import migrate
from cds_service.ledger.rows import decision_row
from cds_service.ledger.schema import decision, installation
from cds_service.ledger.sealing import parse_keys
from cds_service.policy.library import Library

ROOT = Path(__file__).parents[2]
KEY = Fernet.generate_key().decode()
EHR = "https://ehr.example/fhir"
LATER = ("user_key", "policy_digest", "vocabulary_digest")  # columns that the first tables did not have
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def ids(found: Any) -> list[str]:
    """The assertion ids of what was shown."""
    return [row["assertion_id"] for row in found]


def digested(digest: str, vocabulary: str = "") -> Library:
    """The shipped policies as if read from files with that digest, and charts by value sets with that other one."""
    known = library()
    versions = [replace(one, digest=digest) for one in known.versions]
    return Library(versions, known.value_sets, known.systems, vocabulary_digest=vocabulary)


@pytest.mark.parametrize("home", [EHR, f"https://client.example {EHR}", "https://client.example"])
def test_an_order_is_found_by_its_url(home: str, ledger: Ledger) -> None:
    """Whether its server was registered for the client, was the client's own word, or was not named."""
    url = "MedicationRequest/7" if home == "https://client.example" else f"{EHR}/MedicationRequest/7"
    mine = replace(entry("1", caller="https://client.example"), order=f"{home} MedicationRequest/7")
    keep(ledger, mine, entry("2"))
    operator = ledger.access("ada")
    assert ids(operator.show(order=url)) == ["ca-1"]
    assert operator.show(order=f"{EHR}/MedicationRequest/8") == ()


def test_who_asked_is_found_and_not_readable(ledger: Ledger) -> None:
    """The user at the EHR is kept as a keyed hash; an answer that names nobody has none."""
    user = f"{EHR}/Practitioner/{MARK}"
    keep(ledger, entry("1", user=f"{EHR} Practitioner/{MARK}"), entry("2"))
    assert ids(ledger.access("ada").show(user=user)) == ["ca-1"]
    first, second = sorted(rows(ledger, decision), key=lambda row: row.assertion_id)
    assert MARK not in first.user_key
    assert second.user_key is None


def test_a_decision_is_found_by_call_and_card(ledger: Ledger) -> None:
    """By hookInstance and by a card's uuid; both at once are both asked."""
    first = entry("1")
    keep(ledger, first, entry("2"))
    operator = ledger.access("ada")
    for name in (first.hook_instance, first.cards[1][0]):
        assert ids(operator.show(name)) == ["ca-1"]
    assert operator.show(first.hook_instance, member="another") == ()


def test_a_number_names_every_decision_that_told_it(ledger: Ledger) -> None:
    """The order was asked about again, and was told the same number."""
    (receipt,) = keep(ledger, entry("1", wants_number=True))
    keep(ledger, entry("1", assertion_id="ca-again", wants_number=True))
    assert ids(ledger.access("ada").show(receipt.number)) == ["ca-1", "ca-again"]


def test_a_decision_is_opened_with_its_facts(url: str) -> None:
    """Each criterion with its words and what decided it, all facts, and the comment; the use is written down."""
    given = entry("1", policy_digest="a" * 64)
    with opened(url, limits=PATIENT, seal_keys=KEY) as ledger:
        keep(ledger, given)
        item = FeedbackItem(given.cards[0][0], "overridden", "2026-11-24T00:00:00Z", comment=f"{MARK} is well")
        ledger.feedback((item,), soon())
        (found,) = ledger.access("ada").show("ca-1", library=digested("a" * 64))
        assert ledger.access("").uses()[-1].action == "open"
    said = found["opened"]
    assert (said["replay"], said["policy_file"], said["differences"]) == ("same", "same", [])
    by_id = {criterion["id"]: criterion for criterion in said["criteria"]}
    assert by_id["8c"]["evidence"][0]["display"] == f"Platelets {MARK} 212.50 × 10⁹/L"
    assert said["facts"]["person"]["display"] == facts().person.display  # type: ignore[union-attr]
    assert found["feedback"][0]["comment"] == f"{MARK} is well"
    json.dumps(found, default=str)


@pytest.mark.parametrize("has_key", [False, True])
def test_what_no_key_opens_stays_sealed(has_key: bool, url: str) -> None:
    """It says what is needed, and shows nothing."""
    given = entry("1")
    with opened(url, limits=PATIENT, seal_keys=KEY) as ledger:
        keep(ledger, given)
        ledger.feedback((FeedbackItem(given.cards[0][0], "overridden", "t", comment=MARK),), soon())
    with opened(url, limits=PATIENT, seal_keys=Fernet.generate_key().decode() if has_key else "") as ledger:
        (found,) = ledger.access("ada").show("ca-1", library=library())
    assert found["opened"]["replay"] == "inputs-not-readable"
    assert found["opened"]["needs"]
    assert found["feedback"][0]["comment"] == "sealed"
    assert MARK not in str(found)


@pytest.mark.parametrize(("digest", "said"), [("a" * 64, "same"), ("b" * 64, "changed"), ("", "unknown")])
def test_a_replay_says_whether_the_file_is_still_the_same(digest: str, said: str, url: str) -> None:
    """A version's file that was changed in place is told, even where it still says the same."""
    with opened(url, limits=PATIENT, seal_keys=KEY) as ledger:
        keep(ledger, entry("1", policy_digest="a" * 64))
        (found,) = ledger.access("ada").replay(digested(digest))
    assert (found.verdict.value, found.policy_file) == ("same", said)


@pytest.mark.parametrize(("digest", "said"), [("a" * 64, "same"), ("b" * 64, "changed"), ("", "unknown")])
@pytest.mark.parametrize("key", [KEY, ""], ids=["judged", "not judged"])
def test_a_replay_says_whether_charts_are_still_read_alike(key: str, digest: str, said: str, url: str) -> None:
    """Other value sets or another lab table are told apart from a changed policy file, whatever the verdict."""
    with opened(url, limits=PATIENT, seal_keys=key) as ledger:
        keep(ledger, entry("1", policy_digest="c" * 64, vocabulary_digest="a" * 64))
        (found,) = ledger.access("ada").replay(digested("c" * 64, digest))
        (shown,) = ledger.access("ada").show("ca-1", library=digested("c" * 64, digest))
    assert (found.policy_file, found.vocabulary) == ("same", said)
    assert shown["vocabulary_digest"] == "a" * 64
    assert shown["opened"]["vocabulary"] == said


def test_an_export_tells_what_became_of_the_cards(ledger: Ledger) -> None:
    """Each line has the feedback on its decision."""
    given = entry("1")
    keep(ledger, given)
    ledger.feedback((FeedbackItem(given.cards[0][0], "overridden", "t", reason_code="no"),), soon())
    (line,) = ledger.access("ada").export()
    assert [(one["outcome"], one["reason_code"]) for one in json.loads(line)["feedback"]] == [("overridden", "no")]


def test_rows_of_an_older_database_can_be_replayed(url: str) -> None:
    """What was kept before there were users and digests knows neither, and is judged all the same."""
    known = Fingerprints(b"k" * 32)
    kept = decision_row(entry("1"), new_decision_id(), datetime.now(UTC), known, parse_keys(KEY), "0.0")
    with Database(url, QUICK).connect_patiently() as connection:
        migrate(connection, "0003")
        with connection.begin():
            row = {name: kept[name] for name in kept if name not in LATER}
            older = table("decision", *(column(name, decision.c[name].type) for name in row))
            connection.execute(insert(older), row)
            connection.execute(insert(installation), {"name": "fingerprints", "value": b"k" * 32, "created_at": NOW})
    with opened(url, limits=PATIENT, seal_keys=KEY) as ledger:
        (found,) = ledger.access("ada").replay(digested("a" * 64, "b" * 64))
        (shown,) = ledger.access("ada").show("ca-1")
    assert (found.verdict.value, found.policy_file, found.vocabulary) == ("same", "unknown", "unknown")
    assert [shown[name] for name in LATER] == [None] * len(LATER)


def test_the_shipped_policies_have_the_digest_of_their_file() -> None:
    """It is what `sha256sum` says of it."""
    folder = library().folder
    policy = library().version("PHARMACY-109", "hemgenix", date(2025, 11, 20))
    assert folder is not None
    assert policy is not None
    assert policy.digest == sha256((folder / "pharmacy-109/hemgenix/2025-11-20.yaml").read_bytes()).hexdigest()


@pytest.mark.parametrize("folder", ["policies", "docs/example"])
def test_the_digest_of_the_vocabulary_can_be_had_without_this_service(folder: str) -> None:
    """It is what `docs/data.md` says: the files one after the other."""
    own = f"{folder}/tests.yaml" if (ROOT / folder / "tests.yaml").exists() else ""
    command = f"LC_ALL=C; cat {folder}/value_sets/*.yaml fhir_mappings/labs.yaml {own} | sha256sum"
    told = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, check=True)  # noqa: S602 - our own words
    assert load_knowledge(ROOT / folder).library.vocabulary_digest == told.stdout.split()[0].decode()
