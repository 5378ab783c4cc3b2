"""Decides again what was decided, from the facts that were kept, by the policy version of that day. Pure."""

from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cds_service.ledger.fingerprint import Fingerprints
from cds_service.ledger.kept_facts import KeptFactsError, decode_facts
from cds_service.ledger.rows import KeptFinding, kept_finding
from cds_service.ledger.sealing import Seal, SealedError
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.determination import determine
from cds_service.policy.library import Library


class Verdict(StrEnum):
    """What became of a replay."""

    SAME = "same"
    DIFFERENT = "different"
    INPUTS_NOT_KEPT = "inputs-not-kept"  # there was no key
    INPUTS_NOT_READABLE = "inputs-not-readable"  # sealed with a key that is not here, or in an unknown form
    POLICY_NOT_HERE = "policy-not-here"  # that version's file is gone


class Difference(Struct, frozen=True):
    """One thing that is said differently now: the outcome, or a criterion by its number."""

    what: str
    kept: str
    now: str


class Replayed(Struct, frozen=True):
    """The replay of one decision."""

    decision_id: str
    verdict: Verdict
    policy: str
    policy_version: str
    drug: str
    day: str
    outcome: str
    differences: tuple[Difference, ...] = ()
    needs: tuple[str, ...] = ()  # what a replay would need, where it could not be done
    policy_file: str = "unknown"  # same, changed: whether the version's file is still the one that decided


def replay(row: Any, library: Library, seal: Seal | None, hashes: Fingerprints) -> Replayed:
    """The replay of a row of `decision`."""
    policy = library.version(row.policy, row.drug, row.policy_version)
    if policy is None:
        file = f"policies/{row.policy.lower()}/{row.drug}/{row.policy_version}.yaml"
        return _replayed(row, Verdict.POLICY_NOT_HERE, needs=(file,))
    try:
        kept = msgspec.convert(row.findings, tuple[KeptFinding, ...])
    except msgspec.ValidationError:
        return _replayed(row, Verdict.INPUTS_NOT_READABLE, needs=("findings in a form that this version reads",))
    if row.inputs is None:
        return _replayed(row, Verdict.INPUTS_NOT_KEPT, needs=_needs(policy, kept))
    if seal is None:
        return _replayed(row, Verdict.INPUTS_NOT_READABLE, needs=("the key that the inputs were sealed with",))
    try:
        facts = decode_facts(seal.open(row.inputs, row.id))
    except (SealedError, KeptFactsError) as error:
        return _replayed(row, Verdict.INPUTS_NOT_READABLE, needs=(str(error),))
    said = determine(policy, facts)
    now = tuple(kept_finding(finding, hashes) for finding in said.findings)
    differences = _differences(row.outcome, str(said.outcome), kept, now)
    found = _replayed(row, Verdict.DIFFERENT if differences else Verdict.SAME, differences)
    if not row.policy_digest or not policy.digest:
        return found
    return replace(found, policy_file="same" if row.policy_digest == policy.digest else "changed")


def _replayed(
    row: Any, verdict: Verdict, differences: tuple[Difference, ...] = (), needs: tuple[str, ...] = ()
) -> Replayed:
    version, day = row.policy_version.isoformat(), row.day.isoformat()
    return Replayed(row.id, verdict, row.policy, version, row.drug, day, row.outcome, differences, needs)


def _needs(policy: CompiledPolicy, kept: tuple[KeptFinding, ...]) -> tuple[str, ...]:
    """What the policy reads, and how many pieces of it decided each criterion, to be told by their hashes."""
    decided = tuple(
        f"criterion {finding.id}: {len(finding.evidence)} piece(s) of the chart, by their hashes"
        for finding in kept
        if finding.evidence
    )
    tests = tuple(f"results of {test}" for test in sorted(policy.tests))
    sets = tuple(f"entries of {name}" for name in sorted(policy.sets))
    return (*decided, *tests, *sets)


def _differences(
    kept_outcome: str, outcome: str, kept: tuple[KeptFinding, ...], now: tuple[KeptFinding, ...]
) -> tuple[Difference, ...]:
    found = [Difference("outcome", kept_outcome, outcome)] if kept_outcome != outcome else []
    before, after = {finding.id: finding for finding in kept}, {finding.id: finding for finding in now}
    for criterion in dict.fromkeys((*before, *after)):
        old, new = before.get(criterion), after.get(criterion)
        if old != new:
            found.append(Difference(criterion, _words(old), _words(new, old)))
    return tuple(found)


def _words(finding: KeptFinding | None, other: KeptFinding | None = None) -> str:
    if finding is None:
        return "not asked"
    said = finding.status + (f" ({finding.reason})" if finding.reason else "")
    if other is not None and (finding.status, finding.reason) == (other.status, other.reason):
        return said + ", by other evidence"
    return said
