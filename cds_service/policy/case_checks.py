"""A case held against the policy that it is about: a misspelt name in a chart would be silently nothing there."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import UNSET

from cds_service.policy.case_charts import CaseChart, CaseNote
from cds_service.policy.cases import CaseFile
from cds_service.policy.checks import KnownTest, unknown
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.doses import DOSE_UNITS
from cds_service.policy.facts import SOURCES
from cds_service.policy.reasons import Reason, Status

OTHER = "other"  # in a chart: of none of the value sets
_FINDINGS = frozenset(
    {"nothing", *(status.value for status in Status if status is not Status.UNKNOWN)}
    | {f"unknown {reason.value}" for reason in Reason}
)


def case_faults(
    path: Path,
    place: int,
    file: CaseFile,
    policy: CompiledPolicy,
    value_sets: Iterable[str],
    tests: Mapping[str, KnownTest],
) -> Iterator[str]:
    """Each name in the case or its chart that the policy, the value sets or the lab table do not have."""
    case = file.cases[place]
    criteria, sets = [criterion.id for criterion in policy.source.criteria], frozenset(value_sets)
    at = ("cases", place)
    for criterion, finding in case.expect.items():
        yield from unknown(path, "criterion", [criterion], criteria, (*at, "expect", criterion))
        yield from unknown(path, "finding", [finding], _FINDINGS, (*at, "expect", criterion))
    yield from unknown(path, "test or question", case.without, {*tests, *policy.questions}, (*at, "without"))
    for where, chart in ((("charts", case.chart), file.charts[case.chart]), ((*at, "change"), case.change)):
        yield from _chart_faults(path, where, chart, policy, sets, tests)


def _chart_faults(
    path: Path,
    where: tuple[str | int, ...],
    chart: CaseChart,
    policy: CompiledPolicy,
    sets: frozenset[str],
    tests: Mapping[str, KnownTest],
) -> Iterator[str]:
    if chart.results is not UNSET:
        for test in chart.results:
            yield from unknown(path, "test", [test], tests, (*where, "results", test))
    if chart.answers is not UNSET:
        for link_id, answer in chart.answers.items():
            at = (*where, "answers", link_id)
            yield from unknown(path, "question", [link_id], policy.questions, at)
            question = policy.questions.get(link_id)
            if question is not None and question.type in ("boolean", "choice"):
                yield from unknown(path, f"answer to {link_id}", [answer], question.options or ("yes", "no"), at)
    if chart.unread is not UNSET:
        sources = {*SOURCES, *(f"result/{test}" for test in tests)}
        yield from unknown(path, "source", chart.unread, sources, (*where, "unread"))
    if chart.doses is not UNSET:
        for dose in chart.doses:
            yield from unknown(path, "unit of a dose", [dose.unit], {*DOSE_UNITS, "treatment"}, (*where, "doses"))
    for part, names in _named(chart):
        yield from unknown(path, "value set", names, {*sets, OTHER}, (*where, part))


def _named(chart: CaseChart) -> Iterable[tuple[str, Iterable[str]]]:
    """The value sets that each part of a chart names."""
    if chart.coverage is not UNSET:
        yield "coverage", chart.coverage
    for part, rows in (("diagnoses", chart.diagnoses), ("treatments", chart.treatments)):
        for row in rows if rows is not UNSET else ():
            yield part, row.of
    for clinician in chart.clinicians if chart.clinicians is not UNSET else ():
        yield "clinicians", {*clinician.specialty, *clinician.site}
    for note in chart.notes if chart.notes is not UNSET else ():
        yield "notes", note.of if isinstance(note, CaseNote) else note
