"""A decision as an auditor reads it: how it is named from outside, and, with the key, what it was judged from.

Nothing here reads or writes; `access.py` does, and writes each use down.
"""

import re
from collections.abc import Iterable
from typing import Any

from cds_service.ledger.fingerprint import Fingerprints, Kind
from cds_service.ledger.kept_facts import decode_facts, plain_facts
from cds_service.ledger.replay import Verdict, replay
from cds_service.ledger.sealing import Seal, SealedError
from cds_service.policy.determination import determine
from cds_service.policy.library import Library

_AT_HOME = re.compile(r"(?:(?P<base>.+)/)?(?P<name>[A-Za-z]+/[A-Za-z0-9\-.]{1,64})")


def keys_of(kind: Kind, url: str, callers: Iterable[str], hashes: Fingerprints) -> list[str]:
    """The hashes under which that order or user may stand, by its URL at the EHR.

    What a client calls a server that is not registered for it is its own word, and stands under its name.
    """
    found = _AT_HOME.fullmatch(url)
    base, name = (found["base"] or "", found["name"]) if found else ("", url)
    homes = {base, *(f"{caller} {base}".strip() for caller in callers)}
    return sorted({hashes.of(kind, f"{home} {name}") for home in homes} | {hashes.of(kind, url)})


def opened(row: Any, library: Library, seal: Seal | None, hashes: Fingerprints) -> dict[str, Any]:
    """What a replay says of the row, and where the facts can be read: these, and each criterion with what decided it.

    The words are the policy version's of then; they are those of now only where `policy_file` is `same`.
    """
    again = replay(row, library, seal, hashes)
    said: dict[str, Any] = {"replay": again.verdict.value}
    said |= {"policy_file": again.policy_file, "vocabulary": again.vocabulary}
    if again.needs:
        said["needs"] = list(again.needs)
    said["differences"] = [{"what": d.what, "kept": d.kept, "now": d.now} for d in again.differences]
    policy = library.version(row.policy, row.drug, row.policy_version)
    if again.verdict not in (Verdict.SAME, Verdict.DIFFERENT) or seal is None or policy is None:
        return said
    kept = seal.open(bytes(row.inputs), row.id)
    said["criteria"] = [
        {
            "id": finding.id,
            "label": finding.label,
            "status": str(finding.status),
            "reason": str(finding.reason) if finding.reason else None,
            "evidence": [{"reference": fact.reference, "display": fact.display} for fact in finding.evidence],
        }
        for finding in determine(policy, decode_facts(kept)).findings
    ]
    said["facts"] = plain_facts(kept)
    return said


def opened_comment(row: Any, seal: Seal | None) -> str | None:
    """The comment of a feedback; `sealed` where no key opens it, None where there is none."""
    if row["comment"] is None:
        return None
    try:
        return seal.open(bytes(row["comment"]), row["card"]).decode() if seal is not None else "sealed"
    except SealedError:
        return "sealed"
