"""Decides again what was decided, from the facts that were kept, by the policy version of that day. Pure."""

from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

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
    differences: tuple[Difference, ...]
    needs: tuple[str, ...]  # what a replay would need, where it could not be done
    policy_file: str  # same, changed or unknown: whether the version's file is still the one that decided
    vocabulary: str  # likewise, of the value sets and lab tables by which the chart was read


def replay(row: Any, library: Library, seal: Seal | None, hashes: Fingerprints) -> Replayed:
    """The replay of a row of `decision`."""
    policy = library.version(row.policy, row.drug, row.policy_version)
    verdict, differences, needs = _judged(row, policy, seal, hashes)
    return Replayed(
        row.id,
        verdict,
        row.policy,
        row.policy_version.isoformat(),
        row.drug,
        row.day.isoformat(),
        row.outcome,
        differences,
        needs,
        policy_file=_compared(row.policy_digest, policy.digest if policy is not None else ""),
        vocabulary=_compared(row.vocabulary_digest, library.vocabulary_digest),
    )


def _compared(then: str | None, now: str) -> str:
    if not then or not now:
        return "unknown"
    return "same" if then == now else "changed"


def _judged(
    row: Any, policy: CompiledPolicy | None, seal: Seal | None, hashes: Fingerprints
) -> tuple[Verdict, tuple[Difference, ...], tuple[str, ...]]:
    """The verdict, what is different, and what is needed."""
    if policy is None:
        return Verdict.POLICY_NOT_HERE, (), (f"policies/{row.policy.lower()}/{row.drug}/{row.policy_version}.yaml",)
    try:
        kept = msgspec.convert(row.findings, tuple[KeptFinding, ...])
    except msgspec.ValidationError:
        return Verdict.INPUTS_NOT_READABLE, (), ("findings in a form that this version reads",)
    if row.inputs is None:
        return Verdict.INPUTS_NOT_KEPT, (), _needs(policy, kept)
    if seal is None:
        return Verdict.INPUTS_NOT_READABLE, (), ("the key that the inputs were sealed with",)
    try:
        facts = decode_facts(seal.open(row.inputs, row.id))
    except (SealedError, KeptFactsError) as error:
        return Verdict.INPUTS_NOT_READABLE, (), (str(error),)
    said = determine(policy, facts)
    now = tuple(kept_finding(finding, hashes) for finding in said.findings)
    differences = _differences(row.outcome, str(said.outcome), kept, now)
    return Verdict.DIFFERENT if differences else Verdict.SAME, differences, ()


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
