"""What is sealed, who can open it, and how keys are changed."""

import zlib
from base64 import b64encode

import pytest
from entries import entry, facts, keep, opened
from looks import rows
from msgspec.structs import fields

from cds_service.ledger.kept_facts import KeptFacts, KeptFactsError, decode_facts, encode_facts
from cds_service.ledger.ledger import LedgerSettingError
from cds_service.ledger.schema import decision
from cds_service.ledger.sealing import SealedError, parse_keys
from cds_service.policy.facts import Facts

OLD, NEW = (b64encode(bytes([n]) * 32).decode() for n in (1, 2))


def test_facts_come_back_as_they_were() -> None:
    """Every digit, date, word and kind of answer survives being kept."""
    given = facts()
    back = decode_facts(encode_facts(given))
    assert back == given
    assert {name: type(answer.value) for name, answer in back.answers.items()} == {
        name: type(answer.value) for name, answer in given.answers.items()
    }
    assert str(back.results["platelets"][0].value) == str(given.results["platelets"][0].value)


def test_facts_that_were_kept_uncompressed_are_read() -> None:
    """What an earlier version kept as JSON alone gives back the same facts."""
    given = facts()
    assert decode_facts(zlib.decompress(encode_facts(given))) == given


def test_facts_are_kept_small() -> None:
    """A chart of many alike facts takes less than half of its JSON."""
    kept = encode_facts(facts())
    assert len(kept) < len(zlib.decompress(kept)) / 2


def test_every_fact_is_kept() -> None:
    """What is kept has the fields of `Facts`, no more and no fewer."""
    assert [field.name for field in fields(KeptFacts)] == [field.name for field in fields(Facts)]


@pytest.mark.parametrize("kept", [b'{"day": "Smith"}', zlib.compress(b'{"day": "Smith"}'), b"Smith", b""])
def test_another_form_is_refused(kept: bytes) -> None:
    """Bytes that are not kept facts raise without repeating them."""
    with pytest.raises(KeptFactsError, match=r"^a version of this service that reads the form in which they are kept$"):
        decode_facts(kept)


def test_without_a_key_nothing_is_sealed(url: str) -> None:
    """There is no seal for an empty setting, and no inputs in the row."""
    assert parse_keys("") is None
    with opened(url) as ledger:
        keep(ledger, entry())
        assert rows(ledger, decision)[0].inputs is None


def test_with_a_key_the_row_has_the_facts(url: str) -> None:
    """The facts of the row open with the key, for this row alone."""
    given = entry()
    with opened(url, seal_keys=NEW) as ledger:
        keep(ledger, given)
        (row,) = rows(ledger, decision)
    seal = parse_keys(NEW)
    assert seal is not None
    assert decode_facts(seal.open(bytes(row.inputs), row.id)) == given.facts
    with pytest.raises(SealedError, match="sealed for another"):
        seal.open(bytes(row.inputs), "other")


def test_the_first_key_seals_and_all_open() -> None:
    """After a new key was put first, old values open and new ones do not with the old key."""
    old, both, new = parse_keys(OLD), parse_keys(f"{NEW}, {OLD}"), parse_keys(NEW)
    assert old is not None
    assert both is not None
    assert new is not None
    before, after = old.close(b"x", "r"), both.close(b"x", "r")
    assert both.open(before, "r") == both.open(after, "r") == new.open(after, "r") == b"x"
    with pytest.raises(SealedError):
        old.open(after, "r")


def test_resealed_values_open_with_the_new_key_alone(url: str) -> None:
    """Rows that were sealed with the old key need only the new one after `reseal`."""
    with opened(url, seal_keys=OLD) as ledger:
        keep(ledger, entry("1"), entry("2"))
    with opened(url, seal_keys=f"{NEW},{OLD}") as ledger:
        assert ledger.access("test").reseal() == 2
        found = rows(ledger, decision)
    seal = parse_keys(NEW)
    assert seal is not None
    assert all(seal.open(bytes(row.inputs), row.id) for row in found)


@pytest.mark.parametrize("setting", ["secret-value", f"{OLD},secret-value", f"{OLD},,{NEW}"])
def test_a_key_that_cannot_be_used_is_refused(setting: str) -> None:
    """The message names the setting and which key it is, never the key."""
    with pytest.raises(LedgerSettingError, match=r"^CDS_LEDGER_KEYS: key \d of") as refused:
        parse_keys(setting)
    assert "secret-value" not in str(refused.value)
    assert refused.value.__cause__ is None
