"""`cds-service policies check`: every policy file read strictly, and its cases run."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from cds_service.app import POLICIES, Knowledge, load_knowledge
from cds_service.policy.case_checks import case_faults
from cds_service.policy.cases import CaseFailure, CaseFile, read_cases, run_case
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.documents import each, refuse
from cds_service.policy.library import Library
from cds_service.policy.places import line_at


def check_policies(folder: Path | None) -> tuple[str, bool]:
    """A report for people, and whether all is well. Raises PolicyFileError for files that cannot be used."""
    root = folder or POLICIES
    knowledge = load_knowledge(root)
    drugs = _by_folder(knowledge.library)
    lines, sound = [], True
    for versions, tried in zip(drugs, each(drugs, lambda one: _run_cases(root, one, knowledge)), strict=True):
        beside = _beside(root, versions)
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


def _beside(root: Path, versions: list[CompiledPolicy]) -> Path:
    return root / versions[0].source.policy.lower() / versions[0].source.drug


def _run_cases(
    root: Path, versions: list[CompiledPolicy], knowledge: Knowledge
) -> dict[date, tuple[list[CaseFailure], int]]:
    """What fails and how many were tried, by version: each case is judged by the version in force on its day."""
    tried: dict[date, tuple[list[CaseFailure], int]] = {policy.source.version: ([], 0) for policy in versions}
    paths = sorted(_beside(root, versions).glob("cases*.yaml"))
    for file in each(paths, lambda path: _read_cases(path, versions, knowledge)):
        for case in file.cases:
            policy = _in_force(versions, file.day_of(case))[-1]
            failures, count = tried[policy.source.version]
            tried[policy.source.version] = ([*failures, *run_case(policy, file, case)[1]], count + 1)
    return tried


def _read_cases(path: Path, versions: list[CompiledPolicy], knowledge: Knowledge) -> CaseFile:
    file = read_cases(path)
    refuse(_faults(path, file, versions, knowledge))
    return file


def _faults(path: Path, file: CaseFile, versions: list[CompiledPolicy], knowledge: Knowledge) -> Iterator[str]:
    for place, case in enumerate(file.cases):
        if in_force := _in_force(versions, file.day_of(case)):
            yield from case_faults(path, place, file, in_force[-1], knowledge.library.value_sets, knowledge.labs.tests)
        else:
            where = line_at(path, "cases", place)
            yield f"{path}{where}: no version is in force yet on {file.day_of(case).isoformat()}"


def _in_force(versions: list[CompiledPolicy], day: date) -> list[CompiledPolicy]:
    return [policy for policy in versions if policy.source.version <= day]
