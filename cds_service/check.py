"""`cds-service policies check`: every policy file read strictly, and its cases run."""

from datetime import date
from pathlib import Path

from cds_service.app import POLICIES, Knowledge, load_knowledge
from cds_service.policy.case_checks import check_case
from cds_service.policy.cases import CaseFailure, read_cases, run_case
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.documents import PolicyFileError
from cds_service.policy.library import Library
from cds_service.policy.places import line_at


def check_policies(folder: Path | None) -> tuple[str, bool]:
    """A report for people, and whether all is well. Raises PolicyFileError for a file that cannot be read."""
    root = folder or POLICIES
    knowledge = load_knowledge(root)
    lines, sound = [], True
    for versions in _by_folder(knowledge.library):
        beside = root / versions[0].source.policy.lower() / versions[0].source.drug
        tried = _run_cases(beside, versions, knowledge)
        for policy in versions:
            failures, count = tried[policy.source.version]
            name = f"{policy.source.policy} {policy.source.drug} {policy.source.version.isoformat()}"
            lines.append(f"{name}: {len(policy.criteria)} criteria, {count} cases, {len(failures)} failed")
            lines += [f"  {failure.case}\n    {failure.message}" for failure in failures]
            if count == 0:
                expected = f"{beside.relative_to(root).as_posix()}/cases.yaml"
                lines.append(f"  no cases: expected {expected} with a `day` on which this version is in force")
            sound = sound and not failures and count > 0
    lines.append("All is well." if sound else "Some cases do not hold.")
    return "\n".join(lines), sound


def _by_folder(library: Library) -> list[list[CompiledPolicy]]:
    """The versions of each drug's policy, oldest first."""
    found: dict[tuple[str, str], list[CompiledPolicy]] = {}
    for policy in sorted(library.policies, key=lambda one: one.source.version):
        found.setdefault((policy.source.policy, policy.source.drug), []).append(policy)
    return list(found.values())


def _run_cases(
    beside: Path, versions: list[CompiledPolicy], knowledge: Knowledge
) -> dict[date, tuple[list[CaseFailure], int]]:
    """What fails and how many were tried, by version: each case is judged by the version in force on its day."""
    tried: dict[date, tuple[list[CaseFailure], int]] = {policy.source.version: ([], 0) for policy in versions}
    for path in sorted(beside.glob("cases*.yaml")):
        file = read_cases(path)
        for place, case in enumerate(file.cases):
            in_force = [policy for policy in versions if policy.source.version <= file.day_of(case)]
            if not in_force:
                where = line_at(path, "cases", place)
                raise PolicyFileError(f"{path}{where}: no version is in force yet on {file.day_of(case).isoformat()}")
            policy = in_force[-1]
            check_case(path, place, file, policy, knowledge.library.value_sets, knowledge.labs.tests)
            failures, count = tried[policy.source.version]
            tried[policy.source.version] = ([*failures, *run_case(policy, file, case)[1]], count + 1)
    return tried
