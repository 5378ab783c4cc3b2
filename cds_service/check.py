"""`cds-service policies check`: every policy file read strictly, and its cases run."""

from pathlib import Path

from cds_service.app import POLICIES, load_knowledge
from cds_service.policy.cases import CaseFailure, read_cases, run_case
from cds_service.policy.compiled import CompiledPolicy


def check_policies(folder: Path | None) -> tuple[str, bool]:
    """A report for people, and whether all is well. Raises PolicyFileError for a file that cannot be read."""
    root = folder or POLICIES
    knowledge = load_knowledge(root)
    lines, sound = [], True
    for policy in knowledge.library.policies:
        failures, count = _run_cases(root, policy)
        name = f"{policy.source.policy} {policy.source.drug} {policy.source.version.isoformat()}"
        lines.append(f"{name}: {len(policy.criteria)} criteria, {count} cases, {len(failures)} failed")
        lines += [f"  {failure.case}\n    {failure.message}" for failure in failures]
        sound = sound and not failures
        if count == 0:
            lines.append(f"  no cases: expected {policy.source.policy.lower()}/{policy.source.drug}/cases.yaml")
            sound = False
    lines.append("All is well." if sound else "Some cases do not hold.")
    return "\n".join(lines), sound


def _run_cases(root: Path, policy: CompiledPolicy) -> tuple[list[CaseFailure], int]:
    path = root / policy.source.policy.lower() / policy.source.drug / "cases.yaml"
    if not path.exists():
        return [], 0
    file = read_cases(path)
    failures = [failure for case in file.cases for failure in run_case(policy, file, case)[1]]
    return failures, len(file.cases)
