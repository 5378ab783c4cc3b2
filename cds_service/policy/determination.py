"""What a policy says of one order: a finding for each criterion, and the outcome that follows from them. Pure."""

from datetime import date

from msgspec import Struct
from msgspec.structs import replace

from cds_service.policy.compiled import CompiledCriterion, CompiledPolicy, CompiledRow
from cds_service.policy.criteria import Earlier, Statement
from cds_service.policy.facts import Facts, Plan
from cds_service.policy.policy import Kind, Line, Policy
from cds_service.policy.reasons import Outcome, Reason, Status
from cds_service.policy.said import MET, NOT_MET, SILENT, UNKNOWN, Fact, Said, every, once, why_open


class Evidence(Struct, frozen=True):
    """A fact that decided something: where it is and what it says."""

    reference: str
    display: str


class Finding(Struct, frozen=True):
    """What is said of one criterion, and why."""

    id: str
    label: str
    kind: Kind
    blocking: bool
    status: Status
    reason: Reason | None
    evidence: tuple[Evidence, ...]
    says: str  # a sentence of the policy file that applies, or empty
    needed: tuple[str, ...]
    tests: tuple[str, ...]  # tests whose result would settle it
    remarks: tuple[str, ...]
    questions: tuple[str, ...]
    attach: str
    undated: bool = False  # stale, and of nothing that was found is the day known: it may well be recent


class Determination(Struct, frozen=True):
    """The answer to one order under one policy version."""

    policy: Policy
    order: str
    day: date
    outcome: Outcome
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    line: str  # the line of business, or empty where it could not be told

    def blocking(self, status: Status) -> tuple[Finding, ...]:
        """The blocking findings with this status."""
        return tuple(finding for finding in self.findings if finding.blocking and finding.status is status)


def determine(policy: CompiledPolicy, facts: Facts) -> Determination:
    """What `policy` says of the order in `facts`, as of `facts.day`."""
    line = line_of_business(policy.source, facts.plan)
    notes: list[str] = []
    if line is None:
        notes.append(policy.source.scope.unconfirmed)
    elif line.note:
        notes.append(line.note)
    if line is not None and line.applies == "no":
        return _determination(policy, facts, Outcome.POLICY_NOT_APPLICABLE, (), notes, line)
    said: Earlier = {}
    findings = tuple(_finding(criterion, facts, said) for criterion in policy.criteria)
    notes += [note.text for note in policy.notes if note.when.say(facts, said).truth is MET]
    outcome = outcome_of(findings)
    if line is None and "coverage" in facts.unread and outcome in (Outcome.CRITERIA_MET, Outcome.NEEDS_REVIEW):
        outcome = Outcome.UNDETERMINED  # the plan was not read: the policy may not apply
    return _determination(policy, facts, outcome, findings, notes, line)


def _determination(
    policy: CompiledPolicy,
    facts: Facts,
    outcome: Outcome,
    findings: tuple[Finding, ...],
    notes: list[str],
    line: Line | None,
) -> Determination:
    name = line.name if line is not None else ""
    return Determination(policy.source, facts.order.reference, facts.day, outcome, findings, tuple(notes), name)


def line_of_business(policy: Policy, plan: Plan | None) -> Line | None:
    """The plan's line of business: the roster's word first, then what the coverage shows; None where neither tells."""
    if plan is None:
        return None
    for roster_name in plan.lines:
        wanted = roster_name.strip().casefold()
        for line in policy.scope.lines:
            if wanted == line.name.casefold() or wanted in (name.casefold() for name in line.roster):
                return line
    return next((line for line in policy.scope.lines if plan.sets.issuperset(line.of)), None)


def outcome_of(findings: tuple[Finding, ...]) -> Outcome:
    """The first outcome that applies."""
    blocking = [finding for finding in findings if finding.blocking and finding.status is not Status.MET]
    if any([finding.status is Status.NOT_MET for finding in blocking]):
        return Outcome.CRITERIA_NOT_MET
    reasons = {finding.reason for finding in blocking if finding.status is Status.UNKNOWN}
    if reasons - {Reason.REVIEW, Reason.NOT_RETRIEVED}:
        return Outcome.DOCUMENTATION_MISSING
    if Reason.NOT_RETRIEVED in reasons:
        return Outcome.UNDETERMINED
    return Outcome.NEEDS_REVIEW if reasons else Outcome.CRITERIA_MET


def _finding(criterion: CompiledCriterion, facts: Facts, earlier: Earlier) -> Finding:
    status, said, says = _judge(criterion, facts, earlier)
    source = criterion.source
    earlier[source.id] = said
    blocking = source.blocking == "yes" or (source.blocking == "when-not-met" and status is Status.NOT_MET)
    is_open = status is Status.UNKNOWN
    return Finding(
        id=source.id,
        label=source.label,
        kind=source.kind,
        blocking=blocking,
        status=status,
        reason=said.reason if is_open else None,
        evidence=tuple([Evidence(fact.reference, fact.display) for fact in said.facts]),
        says=says,
        needed=said.needed if is_open else (),
        tests=said.tests if is_open else (),
        remarks=said.remarks,
        questions=source.questions,
        attach=source.attach,
        undated=is_open and said.reason is Reason.STALE and not any(map(_is_dated, said.facts)),
    )


def _is_dated(fact: Fact) -> bool:
    spans = (getattr(fact, "date", None), getattr(fact, "ended", None))
    return any(span is not None and span.exact for span in spans)


_STATUS = {MET: Status.MET, NOT_MET: Status.NOT_MET, UNKNOWN: Status.UNKNOWN}


def _judge(criterion: CompiledCriterion, facts: Facts, earlier: Earlier) -> tuple[Status, Said, str]:
    hidden: Said | None = None  # something that was not read or not settled, and that could speak against
    applies: Said | None = None
    if criterion.applies_when is not None:
        applies = criterion.applies_when.say(facts, earlier)
        if applies.truth is NOT_MET:
            return Status.NOT_APPLICABLE, applies, ""
    for row in criterion.review:
        said = _row(row, facts, earlier)
        if said is None:
            continue
        if said.truth is MET:
            return Status.UNKNOWN, Said(UNKNOWN, Reason.REVIEW, said.facts, remarks=said.remarks), row.says
        hidden = hidden or said
    for row in criterion.not_met:
        said = _row(row, facts, earlier)
        if said is None:
            continue
        if said.truth is MET:
            if applies is not None and applies.truth is UNKNOWN:
                return Status.UNKNOWN, Said(UNKNOWN, applies.reason, said.facts, applies.needed, applies.tests), ""
            return Status.NOT_MET, Said(NOT_MET, None, said.facts, remarks=said.remarks), row.says
        hidden = hidden or said
    met = criterion.met.say(facts, earlier)
    if met.truth is NOT_MET and applies is not None and applies.truth is UNKNOWN:
        return Status.UNKNOWN, Said(UNKNOWN, applies.reason, met.facts, applies.needed, applies.tests), ""
    if met.truth is MET and hidden is not None:
        shown = once([met.facts, hidden.facts])
        return Status.UNKNOWN, Said(UNKNOWN, hidden.reason, shown, hidden.needed, hidden.tests), ""
    if met.truth is UNKNOWN and applies is not None and applies.truth is UNKNOWN and applies.needed:
        met = replace(met, needed=once([applies.needed, met.needed]))
    return _STATUS[met.truth], met, ""


def _row(row: CompiledRow, facts: Facts, earlier: Earlier) -> Said | None:
    """MET where the row applies, UNKNOWN where it may for more than silence, None where it does not."""
    said = row.when[0].say(facts, earlier) if len(row.when) == 1 else _together(row.when, facts, earlier)
    if said is None or said.truth is NOT_MET or said.reason in SILENT:
        return None
    if row.unless is None:
        return said
    unless = row.unless.say(facts, earlier)
    if unless.truth is MET:
        return None
    if said.truth is MET and unless.reason is Reason.NOT_RETRIEVED:
        return Said(UNKNOWN, Reason.NOT_RETRIEVED, said.facts)
    return said


def _together(parts: tuple[Statement, ...], facts: Facts, earlier: Earlier) -> Said | None:
    """What all of them say; None as soon as one does not hold, and for silence: what is shown of it is not needed."""
    heard, open_parts = [], []
    for part in parts:
        said = part.say(facts, earlier)
        if said.truth is NOT_MET:
            return None
        heard.append(said)
        if said.truth is UNKNOWN:
            open_parts.append(said)
    return None if open_parts and why_open(open_parts) in SILENT else every(heard)
