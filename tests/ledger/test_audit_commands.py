"""The operator's commands on the ledger: what they print, and with which status they end."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from cryptography.fernet import Fernet
from entries import MARK, POLICIES, entry, keep, opened

HEMGENIX = "pharmacy-109/hemgenix/2025-11-20.yaml"
Run = Callable[..., Result]


@pytest.fixture
def decided(tmp_path: Path) -> tuple[str, str]:
    """A ledger with one decision; its name and the key."""
    key = Fernet.generate_key().decode()
    with opened(f"sqlite:///{tmp_path}/data/ledger.db", seal_keys=key) as ledger:
        keep(ledger, entry("1"))
    return "ca-1", key


def test_a_replay_takes_the_policies_of_the_settings(decided: tuple[str, str], run: Run, tmp_path: Path) -> None:
    """`CDS_POLICIES_DIR` is what the service judged by, and not the shipped policies."""
    name, key = decided
    own = Path(shutil.copytree(POLICIES, tmp_path / "policies"))
    written = (own / HEMGENIX).read_text()
    assert "test: platelets, below: 50," in written
    (own / HEMGENIX).write_text(written.replace("test: platelets, below: 50,", "test: platelets, below: 250,"))
    assert run("replay", name, CDS_LEDGER_KEYS=key).exit_code == 0
    found = run("replay", name, CDS_LEDGER_KEYS=key, CDS_POLICIES_DIR=str(own))
    assert found.exit_code == 1
    assert "8c: met then, unknown (inconclusive) now" in found.stdout


def test_a_replay_that_cannot_be_done_is_no_success(decided: tuple[str, str], run: Run) -> None:
    """Status 4 without the key; a name that is not kept is said to be so."""
    name, _ = decided
    assert run("replay", name).exit_code == 4
    unknown = run("replay", "ca-2")
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert "nothing is kept" in unknown.stderr


@pytest.mark.parametrize("command", [("ledger", "purge"), ("ledger", "export"), ("ledger", "show")])
def test_a_member_that_is_not_kept_is_told(command: tuple[str, ...], decided: tuple[str, str], run: Run) -> None:
    """Status 1, and how members are named: a purge that found nobody must not look done."""
    found = run(*command, "--member", "M-4711")
    assert found.exit_code == 1
    assert "payer <system>|<value> <member number>" in found.stderr


def test_resealing_says_what_it_cannot_do(decided: tuple[str, str], run: Run) -> None:
    """Without a key, and with another than what was sealed with; no traceback."""
    for keys, said in (("", "CDS_LEDGER_KEYS: no key"), (Fernet.generate_key().decode(), "none of the keys")):
        found = run("ledger", "reseal", CDS_LEDGER_KEYS=keys)
        assert found.exit_code == 2
        assert said in found.stderr
        assert "Traceback" not in found.output


def test_a_decision_is_opened(decided: tuple[str, str], run: Run) -> None:
    """With the key its facts are shown; without it they are not, and the rest is."""
    name, key = decided
    shown = json.loads(run("ledger", "show", name, "--open", CDS_LEDGER_KEYS=key).stdout)
    assert shown["opened"]["facts"]["person"]["display"]
    sealed = json.loads(run("ledger", "show", name, "--open").stdout)
    assert sealed["opened"]["replay"] == "inputs-not-readable"
    assert "facts" not in sealed["opened"]
    assert run("ledger", "show").exit_code == 2


def test_who_looked_is_shown(decided: tuple[str, str], run: Run) -> None:
    """Each use in a line, with who it was; names of members and orders are not in it."""
    name, key = decided
    run("ledger", "show", name, "--open", CDS_LEDGER_KEYS=key, LOGNAME="ada")
    run("ledger", "show", "--order", f"MedicationRequest/{MARK}", LOGNAME="ada")
    lines = run("ledger", "uses").stdout.splitlines()
    assert [line.split("  ")[1:] for line in lines] == [
        ["ada", "open", "decision ca-1", "1"],
        ["ada", "show", "order", "0"],
    ]
