"""An entry as the row that is kept of it. What must not be readable is hashed or sealed here, and nowhere else."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from cds_service.ledger.fingerprint import Fingerprints
from cds_service.ledger.kept_facts import encode_facts
from cds_service.ledger.sealing import Seal
from cds_service.policy.determination import Finding
from hooks.book import Entry

LONGEST = 200  # what a caller chose is cut to this


class KeptEvidence(Struct, frozen=True):
    """A fact that decided something: hashes of where it is and of what it said."""

    reference: str
    display: str


class KeptFinding(Struct, frozen=True, omit_defaults=True):
    """What was said of one criterion."""

    id: str
    status: str
    reason: str | None = None
    evidence: tuple[KeptEvidence, ...] = ()


_encoder = msgspec.json.Encoder()


def to_text(value: Any) -> str:
    """The value as JSON text."""
    return _encoder.encode(value).decode()


def word(text: str) -> str:
    """The text as any database takes it: without NUL and lone surrogates, and not endless."""
    if text.isascii() and len(text) <= LONGEST and "\0" not in text:
        return text
    return text[:LONGEST].replace("\0", "").encode("utf-8", "replace").decode()


def kept_finding(finding: Finding, hashes: Fingerprints) -> KeptFinding:
    """The finding without anything that it quotes."""
    evidence = tuple(
        KeptEvidence(hashes.of("evidence", fact.reference), hashes.of("display", fact.display))
        for fact in finding.evidence
    )
    return KeptFinding(finding.id, str(finding.status), str(finding.reason) if finding.reason else None, evidence)


def decision_row(
    entry: Entry, decision_id: str, at: datetime, hashes: Fingerprints, seal: Seal | None, service_version: str
) -> dict[str, Any]:
    """The row of `decision`, its number still open."""
    said = entry.said
    return {
        "id": decision_id,
        "assertion_id": word(entry.assertion_id),
        "recorded_at": at,
        "hook": word(entry.hook),
        "hook_instance": word(entry.hook_instance),
        "caller": word(entry.caller),
        "dialect": word(entry.dialect),
        "member_key": hashes.of("member", entry.member),
        "order_key": hashes.of("order", entry.order),
        "coverage_key": hashes.of("coverage", entry.coverage),
        "policy": word(said.policy.policy),
        "policy_version": said.policy.version,
        "service_version": service_version,
        "drug": word(said.policy.drug),
        "day": said.day,
        "outcome": str(said.outcome),
        "covered": word(entry.covered),
        "findings": to_text([kept_finding(finding, hashes) for finding in said.findings]),
        "inputs": seal.close(encode_facts(entry.facts), decision_id) if seal is not None else None,
        "cards": to_text(entry.cards),
        "suggestions": to_text(entry.suggestions),
        "number": None,
        "user_key": hashes.of("user", entry.user) if entry.user else None,
        "policy_digest": entry.policy_digest or None,
        "vocabulary_digest": entry.vocabulary_digest or None,
    }


def card_rows(entry: Entry, decision_id: str) -> list[dict[str, Any]]:
    """The rows of `card`, by which feedback finds its decision."""
    return [{"uuid": word(uuid), "decision_id": decision_id, "kind": word(kind)} for uuid, kind in entry.cards]
