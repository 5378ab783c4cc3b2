"""Cases: small charts in the policy's own words with the findings that they must lead to. They lie beside each policy.

A case starts from a named chart of the file and changes it: `results` test by test, `answers` item by item, everything
else as a whole. Values are written as a laboratory would in the test's canonical unit: `50`, `<50`, `8-10`.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

import msgspec
from msgspec import UNSET, Struct

from cds_service.policy.case_charts import CaseChart, chart_facts, on_a_day
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.determination import Determination, Finding, determine
from cds_service.policy.documents import read_document, refuse
from cds_service.policy.facts import Facts
from cds_service.policy.places import line_at, nearest
from cds_service.policy.reasons import Outcome


class Case(Struct, frozen=True, forbid_unknown_fields=True):
    """One case: what the chart is, and what must be found."""

    name: str  # a sentence
    chart: str
    expect: Mapping[str, str]  # criterion → status, with the reason behind it where unknown: "unknown stale"
    change: CaseChart = CaseChart()
    without: tuple[str, ...] = ()  # tests and answers taken out
    outcome: Outcome | None = None
    line: str | None = None  # the line of business that must be found
    day: str = ""

    def __post_init__(self) -> None:
        if self.day:
            on_a_day(self.day)


class CaseFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`cases.yaml`."""

    day: str
    charts: Mapping[str, CaseChart]
    cases: tuple[Case, ...]

    def __post_init__(self) -> None:
        on_a_day(self.day)

    def day_of(self, case: Case) -> date:
        """The day on which the case is judged: its own, else the file's."""
        return date.fromisoformat(case.day or self.day)


class CaseFailure(Struct, frozen=True):
    """A case that does not hold, with what was expected and found."""

    case: str
    message: str


def read_cases(path: Path) -> CaseFile:
    """The cases of a file. Raises PolicyFileError."""
    file = read_document(path, CaseFile)
    refuse(_faults(path, file))
    return file


def _faults(path: Path, file: CaseFile) -> Iterator[str]:
    named: set[str] = set()
    for place, case in enumerate(file.cases):
        if case.name in named:
            yield f"{path}{line_at(path, 'cases', place, 'name')}: the case {case.name!r} is written twice"
        named.add(case.name)
        if case.chart not in file.charts:
            yield (
                f"{path}{line_at(path, 'cases', place, 'chart')}: case {case.name!r} starts from a chart "
                f"{case.chart!r} that is not there{nearest(case.chart, file.charts)}"
            )


def facts_of(policy: CompiledPolicy, file: CaseFile, case: Case) -> Facts:
    """The facts of a case's chart with its changes."""
    return chart_facts(_changed(file.charts[case.chart], case), file.day_of(case), policy)


def run_case(policy: CompiledPolicy, file: CaseFile, case: Case) -> tuple[Determination, tuple[CaseFailure, ...]]:
    """The determination of a case, and where it differs from what is expected."""
    said = determine(policy, facts_of(policy, file, case))
    by_id = {finding.id: finding for finding in said.findings}
    failures = [
        CaseFailure(
            case.name,
            f"{wanted_id}: expected {wanted}, found {_words(by_id.get(wanted_id))}{_why(by_id.get(wanted_id))}",
        )
        for wanted_id, wanted in case.expect.items()
        if _words(by_id.get(wanted_id)) != wanted
    ]
    if case.outcome is not None and said.outcome is not case.outcome:
        failures.append(CaseFailure(case.name, f"outcome: expected {case.outcome}, found {said.outcome}"))
    if case.line is not None and said.line != case.line:
        failures.append(CaseFailure(case.name, f"line: expected {case.line!r}, found {said.line!r}"))
    return said, tuple(failures)


def _words(finding: Finding | None) -> str:
    if finding is None:
        return "nothing"
    return f"{finding.status} {finding.reason}" if finding.reason else str(finding.status)


def _why(finding: Finding | None) -> str:
    """What decided it, as the card would say."""
    if finding is None:
        return ""
    told = [finding.says, *(f"needed: {text}" for text in finding.needed), *(fact.display for fact in finding.evidence)]
    return f" ({'; '.join(text for text in told if text)})" if any(told) else ""


def _changed(chart: CaseChart, case: Case) -> CaseChart:
    given = {name: value for name in chart.__struct_fields__ if (value := getattr(case.change, name)) is not UNSET}
    for name in ("results", "answers"):
        base = getattr(chart, name)
        merged = {**(base if base is not UNSET else {}), **given.get(name, {})}
        given[name] = {key: value for key, value in merged.items() if key not in case.without}
    return msgspec.structs.replace(chart, **given)
