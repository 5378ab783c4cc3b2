"""Decisions made again from what was kept."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from entries import entry, keep, library, opened
from looks import rows
from msgspec.structs import replace
from sqlalchemy import update

from cds_service.ledger.ledger import Ledger
from cds_service.ledger.replay import Replayed, Verdict
from cds_service.ledger.schema import decision
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.kept import keep as kept
from cds_service.policy.library import Library
from cds_service.policy.reasons import Reason, Status

KEY = Fernet.generate_key().decode()


def replayed(ledger: Ledger, **given: Any) -> list[Replayed]:
    """The replays of what is chosen."""
    return list(ledger.access("test").replay(given.pop("library", library()), **given))


def test_the_same_is_said_again(url: str) -> None:
    """Kept facts under the same policy version give the same findings."""
    with opened(url, seal_keys=KEY) as ledger:
        keep(ledger, entry("1"), entry("2"))
        found = replayed(ledger)
    assert [(one.verdict, one.differences) for one in found] == [(Verdict.SAME, ())] * 2


def test_a_difference_is_told_finding_by_finding(url: str) -> None:
    """A kept finding that is not what the policy says now is named with both."""
    given = entry()
    with opened(url, seal_keys=KEY) as ledger:
        said = given.said
        findings = tuple(
            replace(finding, status=Status.UNKNOWN, reason=Reason.STALE) if finding.id == "8c" else finding
            for finding in said.findings
        )
        now = next(finding for finding in said.findings if finding.id == "8c")
        keep(ledger, entry(said=replace(said, findings=findings)))
        (found,) = replayed(ledger)
    assert found.verdict is Verdict.DIFFERENT
    ((what, kept, says),) = [(d.what, d.kept, d.now) for d in found.differences]
    assert (what, kept) == ("8c", "unknown (stale)")
    assert says.startswith(now.status)


def test_the_version_of_that_day_decides(url: str) -> None:
    """A policy version that came later changes nothing; a version that is gone is named."""
    source = library().policies[0].source
    later = CompiledPolicy(replace(source, version=date(2026, 12, 1), criteria=()))
    known = library()
    with_later = Library((*known.versions, kept(later)), known.value_sets, known.systems)
    with opened(url, seal_keys=KEY) as ledger:
        keep(ledger, entry())
        assert replayed(ledger, library=with_later)[0].verdict is Verdict.SAME
        (found,) = replayed(ledger, library=Library((kept(later),), known.value_sets, known.systems))
    assert (found.verdict, found.needs) == (
        Verdict.POLICY_NOT_HERE,
        ("policies/pharmacy-109/hemgenix/2025-11-20.yaml",),
    )


def test_without_inputs_it_says_what_it_needs(url: str) -> None:
    """Where nothing was sealed, the policy's tests and value sets are named, and which criteria had evidence."""
    with opened(url) as ledger:
        keep(ledger, entry())
        (found,) = replayed(ledger)
    assert found.verdict is Verdict.INPUTS_NOT_KEPT
    assert "results of platelets" in found.needs
    assert any(need.startswith("criterion 8c: 1 piece") for need in found.needs)


@pytest.mark.parametrize("keys", ["", Fernet.generate_key().decode()], ids=["without key", "with another"])
def test_with_another_key_it_says_so(url: str, keys: str) -> None:
    """Inputs that cannot be opened are neither the same nor different."""
    with opened(url, seal_keys=KEY) as ledger:
        keep(ledger, entry())
    with opened(url, seal_keys=keys) as ledger:
        assert [one.verdict for one in replayed(ledger)] == [Verdict.INPUTS_NOT_READABLE]


def test_one_or_all_since(url: str) -> None:
    """One decision by its id, or everything from a moment on, oldest first."""
    now = datetime.now(UTC)
    with opened(url, seal_keys=KEY) as ledger:
        for n in range(3):
            keep(ledger, entry(str(n)))
        ids = sorted(row.id for row in rows(ledger, decision))
        assert [one.decision_id for one in replayed(ledger, name=ids[1])] == [ids[1]]
        assert [one.decision_id for one in replayed(ledger, since=now - timedelta(minutes=1))] == ids
        assert replayed(ledger, since=now + timedelta(minutes=1)) == []


def test_a_history_longer_than_a_page(url: str) -> None:
    """More decisions than are read at once are all replayed, each once."""
    with opened(url, seal_keys=KEY) as ledger:
        keep(ledger, *(entry(str(n)) for n in range(401)))
        found = replayed(ledger)
    assert len({one.decision_id for one in found}) == len(found) == 401


def test_a_changed_row_is_told(url: str) -> None:
    """An outcome that somebody wrote over is a difference."""
    with opened(url, seal_keys=KEY) as ledger:
        keep(ledger, entry())
        with ledger.database.connect_patiently() as connection, connection.begin():
            connection.execute(update(decision).values(outcome="criteria-met"))
        (found,) = replayed(ledger)
    assert [difference.what for difference in found.differences] == ["outcome"]
