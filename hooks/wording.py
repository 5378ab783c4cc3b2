"""The words of the guidance card, for a prescriber at order entry.

The answer and what to do next come first, then what is missing, then every criterion with the fact that decided it.
Markdown that also reads well as plain text; text from a chart is escaped.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

from cds_service.policy.determination import Determination, Evidence, Finding
from cds_service.policy.reasons import Outcome, Reason, Status
from fhir_mappings.references import plain

LONGEST = 1000  # characters of one text from a chart
_OURS = "of the plan's criteria"
SUMMARY_LIMIT = 139  # CDS Hooks 2.0.1: a summary is shorter than 140 characters

WHY = {
    Reason.NOT_RECORDED: "not found in the chart",
    Reason.STALE: "too old",
    Reason.PRELIMINARY: "only a preliminary result",
    Reason.UNIT_UNKNOWN: "the result's unit is missing or not known",
    Reason.IMPLAUSIBLE: "the result's value cannot be right",
    Reason.INCONCLUSIVE: "what is there does not decide it",
    Reason.ATTESTED_ONLY: "stated on the form, the report is missing",
    Reason.REVIEW: "the plan has to look at it",
    Reason.NOT_RETRIEVED: "could not be read from the chart",
}
_STATUS = {
    Status.MET: "Met",
    Status.NOT_MET: "Not met",
    Status.UNKNOWN: "Open",
    Status.NOT_APPLICABLE: "Does not apply",
}
# Of what does not decide: nothing is open there that somebody must close.
_INFORMATION = {
    Status.MET: "As approved",
    Status.NOT_MET: "Differs",
    Status.UNKNOWN: "Not stated",
    Status.NOT_APPLICABLE: "Does not apply",
}
# What Markdown would read as markup within a line, and nothing else: a backslash is noise to who reads plain text.
_MARKUP = re.compile(r"[\\`*\[~|]|(?<![^\W_])_|_(?![^\W_])|<(?=[A-Za-z/!?])|&(?=[A-Za-z#])")
# What would make a heading, a list, a quotation or a rule of a line that begins with it.
_OPENING = re.compile(r"(\d{0,9})([#>+=-]|(?<=\d)[.)](?=\s|$))")
# GitHub's Markdown makes links of bare addresses, other renderers of whatever looks like a host.
_ADDRESS = re.compile(r"(?i)/(?=/)|@(?=\w)|(?<=\w)\.(?=[^\W\d_]{2})|\bwww(?=\.)|(?<=[a-z])(?=:[a-z])")
# A line that none of the others finds anything in: told in one pass.
_HARMLESS = re.compile(
    r"(?![#>+=\d-])(?:[^\\`*\[_<&~|@/.:]++|<(?![A-Za-z/!?])|/(?!/)|[.:](?=\s|$)|:(?=\d)|(?<=\d)\.(?=\d))*"
)
_POWER = re.compile(r"\b10\*(\d{1,2})(?=/)")
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class Trouble(Struct, frozen=True):
    """What stands before the criteria: the coverage is not there, not active, or could not be told."""

    short: str  # for the summary
    sentence: str


class Telling(Struct, frozen=True):
    """What a card says beside the determination."""

    again: str = "sign again"  # what the user does for the plan to look again
    trouble: Trouble | None = None
    caveats: tuple[str, ...] = ()  # sentences about the call itself
    died: bool = False  # the patient, by the chart
    carried: bool = False  # the order carries its authorization number from an earlier answer
    number: str = ""  # of the authorization that was issued
    until: str = ""  # its last day


PLAIN = Telling()


def escaped(text: str) -> str:
    """`text` from a chart as one line of literal Markdown: no markup, no bare links, and `10*9/L` as 10⁹/L."""
    line = plain(text, LONGEST)
    if _HARMLESS.fullmatch(line):
        return line
    raised = _POWER.sub(lambda found: "10" + found[1].translate(_RAISED), line)
    parted = _ADDRESS.sub("\\g<0>\u200b", _MARKUP.sub(r"\\\g<0>", raised))
    opening = _OPENING.match(parted)
    return f"{opening[1]}\\{parted[opening.start(2) :]}" if opening else parted


def summary(said: Determination, telling: Telling = PLAIN) -> str:
    """The card's one line."""
    name = f"{said.policy.name}: {''.join(f'{short}; ' for short in _before(telling))}"
    open_ones, failed = said.blocking(Status.UNKNOWN), said.blocking(Status.NOT_MET)
    match said.outcome:
        case Outcome.CRITERIA_MET:
            text = f"{name}the chart meets all of the plan's criteria"
        case Outcome.CRITERIA_NOT_MET:
            text = f"{name}the chart does not meet {_counted(failed, _OURS)}"
            text = _with_sentences(text, failed)
        case Outcome.DOCUMENTATION_MISSING:
            verb = "is" if len(open_ones) == 1 else "are"
            text = _with_labels(f"{name}{_counted(open_ones, _OURS)} {verb} still open", open_ones)
        case Outcome.UNDETERMINED:
            text = f"{name}no answer yet, part of the chart could not be read"
        case Outcome.NEEDS_REVIEW:
            text = _with_labels(f"{name}the plan has to review {_counted(open_ones, 'point')}", open_ones)
        case Outcome.POLICY_NOT_APPLICABLE:
            text = f"{name}this drug policy does not apply to the patient's plan: {said.line}"
    return text if len(text) <= SUMMARY_LIMIT else text[: SUMMARY_LIMIT - 1].rstrip() + "…"


def _before(telling: Telling) -> Iterator[str]:
    if telling.died:
        yield "the patient has died by the chart"
    if telling.trouble is not None:
        yield telling.trouble.short
    elif telling.number:
        yield "authorized"


def _counted(findings: tuple[Finding, ...], what: str) -> str:
    count = len(findings)
    if what == "point":
        return "1 point" if count == 1 else f"{count} points"
    return f"{count} {what}"


def _with_labels(text: str, findings: tuple[Finding, ...]) -> str:
    full = f"{text}: {'; '.join(finding.label for finding in findings)}"
    return full if len(full) <= SUMMARY_LIMIT else text


def _with_sentences(text: str, findings: tuple[Finding, ...]) -> str:
    """With what was found where a sentence says it: "No earlier gene therapy: not met" is a riddle."""
    if not all(finding.says for finding in findings):
        return _with_labels(text, findings)
    full = f"{text}. {' '.join(finding.says for finding in findings)}"
    return full if len(full) <= SUMMARY_LIMIT else text


def detail(said: Determination, telling: Telling = PLAIN) -> str:
    """The card's body."""
    parts = [f"**{_answer(said)}** {_next_step(said, telling)}".strip()]
    if telling.trouble is not None:
        parts.insert(0, f"**{telling.trouble.sentence}** Check the coverage with the plan; the criteria are below.")
    parts += [f"*{escaped(text)}*" for text in (*telling.caveats, *said.notes)]
    failed = said.blocking(Status.NOT_MET)
    if failed:
        parts.append("**Not met**\n\n" + "\n".join(_failed_line(finding) for finding in failed))
    missing = [f for f in said.blocking(Status.UNKNOWN) if f.reason not in (Reason.REVIEW, Reason.NOT_RETRIEVED)]
    if missing:
        parts.append("**Missing**\n\n" + "\n".join(_missing_line(finding) for finding in missing))
    unread = [f for f in said.blocking(Status.UNKNOWN) if f.reason is Reason.NOT_RETRIEVED]
    if unread:
        parts.append("**Could not be read**\n\n" + "\n".join(f"- {finding.label}" for finding in unread))
    reviewed = [f for f in said.blocking(Status.UNKNOWN) if f.reason is Reason.REVIEW]
    if reviewed:
        parts.append("**For the plan to review**\n\n" + "\n".join(_failed_line(finding) for finding in reviewed))
    if said.findings:
        parts.append("**Every criterion**\n\n" + "\n".join([_criterion_line(finding) for finding in said.findings]))
        attach = [f.attach for f in said.findings if f.attach and _answered(f)]
        if attach:
            kept = telling.died or telling.number or telling.carried
            do = "Keep, should the plan ask" if kept else "Attach to the request"
            parts.append(f"{do}: {'; '.join(dict.fromkeys(attach))}.")
    policy = said.policy
    parts.append(f"{policy.policy}, version {policy.version.isoformat()}, judged as of {said.day.isoformat()}.")
    return "\n\n".join(parts)


def _answer(said: Determination) -> str:
    name = said.policy.name
    match said.outcome:
        case Outcome.CRITERIA_MET:
            return f"The chart meets all of the plan's criteria for {name}."
        case Outcome.CRITERIA_NOT_MET:
            return f"The chart does not meet the plan's criteria for {name}."
        case Outcome.DOCUMENTATION_MISSING:
            return f"Documentation for {name} is missing."
        case Outcome.UNDETERMINED:
            return f"The plan's criteria for {name} could not be judged: part of the chart could not be read."
        case Outcome.NEEDS_REVIEW:
            return f"The plan has to review the request for {name}."
        case Outcome.POLICY_NOT_APPLICABLE:
            return f"The plan's policy for {name} does not apply to this line of business: {said.line}."


def _next_step(said: Determination, telling: Telling) -> str:
    again = telling.again
    if telling.died:
        return (
            f"The chart says that the patient has died. Check the order; if the chart is wrong, correct it and {again}."
        )
    match said.outcome:
        case Outcome.CRITERIA_MET if telling.number:
            return f"It is authorized: number {telling.number}, until {telling.until}. No request is needed."
        case Outcome.CRITERIA_MET if telling.carried:
            return "Nothing is missing, and the order carries its authorization number. No request is needed."
        case Outcome.CRITERIA_MET:
            return "Nothing is missing. Send the prior authorization request if the patient's contract asks for one."
        case Outcome.CRITERIA_NOT_MET:
            return f"Check the points below; if one is wrong, correct the chart and {again}. The plan decides."
        case Outcome.DOCUMENTATION_MISSING:
            return f"Add what is listed below, then {again}."
        case Outcome.UNDETERMINED:
            return f"{_sentence(again)} in a few minutes. If it stays so, send the request with the documents."
        case Outcome.NEEDS_REVIEW:
            return "Send the request with the documents on the points below; nothing else is missing."
        case Outcome.POLICY_NOT_APPLICABLE:
            return "Ask the plan which rules apply."


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


_ANY_ANSWER = "A result or a statement that settles what is in the chart"


def why_open(finding: Finding) -> str:
    """Why it is open."""
    if finding.reason is None:
        return ""
    return "its day is not known exactly" if finding.undated else WHY[finding.reason]


def _missing_line(finding: Finding) -> str:
    needed = "; ".join(_sentence(text) for text in finding.needed) or _ANY_ANSWER
    why = f" ({why_open(finding)})" if finding.reason is not None else ""
    line = f"- **{finding.label}**{why}. Needed: {needed}."
    if finding.evidence:
        line += f" In the chart: {_shown(finding.evidence)}."
    return line


def _failed_line(finding: Finding) -> str:
    line = f"- **{finding.label}**."
    if finding.says:
        line += f" {finding.says}"
    if finding.remarks:
        line += f" {'. '.join(escaped(text) for text in finding.remarks)}."
    if finding.evidence:
        line += f" In the chart: {_shown(finding.evidence)}."
    return line


def _criterion_line(finding: Finding) -> str:
    informs = finding.kind == "information"
    line = f"- {(_INFORMATION if informs else _STATUS)[finding.status]}: {finding.label} ({finding.id})"
    if finding.reason is not None and not informs:
        line += f", {why_open(finding)}"
    if finding.evidence:
        line += f". {_shown(finding.evidence)}"
    if finding.remarks:
        line += f". Note: {'; '.join(escaped(text) for text in finding.remarks)}"
    return line


def _shown(evidence: tuple[Evidence, ...]) -> str:
    if len(evidence) == 1:
        return escaped(evidence[0].display)
    return "; ".join(dict.fromkeys([escaped(fact.display) for fact in evidence]))


def _answered(finding: Finding) -> bool:
    return any(fact.reference.startswith("QuestionnaireResponse/") for fact in finding.evidence)
