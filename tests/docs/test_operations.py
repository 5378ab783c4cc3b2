"""docs/operations.md names only what there is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cds_service.cli import main
from cds_service.ledger.sealing import parse_keys
from cds_service.metrics import Metrics
from cds_service.settings import unknown_settings

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
COMPOSE = (ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8")


def test_every_setting_that_it_names_is_one() -> None:
    """And those that must be set are among them."""
    named = set(re.findall(r"CDS_[A-Z_]+", DOCUMENT))
    assert unknown_settings(dict.fromkeys(named, "")) == ()
    assert set(re.findall(r"CDS_[A-Z_]+(?=:)", COMPOSE.partition("services:")[0])) <= named


def test_every_metric_that_it_names_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is scraped."""
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    metrics = Metrics()
    metrics.call("order-sign", 200, 0.1)
    metrics.unread("order-sign", 1)
    metrics.refused("expired")
    metrics.unrecorded(1)
    metrics.throttled("client")
    metrics.circuit("https://ehr.example", True)
    text = metrics.text().decode()
    named = set(re.findall(r"`(cds_[a-z_]+)`", DOCUMENT))
    assert named
    assert {name for name in named if not re.search(rf"^{name}(?:_bucket)?\{{|^{name} ", text, re.MULTILINE)} == set()


def test_every_target_and_file_that_it_names_is_there() -> None:
    """Links and `make` alike."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"`make ([a-z-]+)`", DOCUMENT))
    assert {target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)} == set()
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", DOCUMENT)}
    assert {link for link in links if not (ROOT / "docs" / link).exists()} == set()


def test_every_command_of_the_service_that_it_names_is_one() -> None:
    """`ledger show` and `ledger reseal`."""
    ledger = main.commands["ledger"]
    named = set(re.findall(r"cds-service ledger ([a-z]+)", DOCUMENT))
    assert named
    assert named <= set(ledger.commands)  # type: ignore[attr-defined]


def test_the_key_that_it_makes_is_one() -> None:
    """The command as it is written there, in this Python."""
    code = re.search(r"python -c '([^']+)'", DOCUMENT)
    assert code is not None
    made = subprocess.run([sys.executable, "-c", code[1]], capture_output=True, text=True, check=True)  # noqa: S603
    assert parse_keys(made.stdout.strip()) is not None


def test_what_compose_asks_for_is_exported() -> None:
    """Every `${NAME:?…}` has its place in the commands."""
    asked = set(re.findall(r"\$\{([A-Z_]+):\?\w", COMPOSE))
    assert len(asked) == 4
    assert {name for name in asked if f"{name}=" not in DOCUMENT} == set()
