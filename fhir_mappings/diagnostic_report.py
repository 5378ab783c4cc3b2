"""FHIR DiagnosticReports to results, where the result stands in the conclusion and in no Observation.

Read are the tests that laboratories and imaging really report so: AAV5 antibody, factor inhibitors, liver stiffness
(the number beside kPa, never the one beside dB/m) and the fibrosis stage.
"""

import re
from collections.abc import Iterator
from typing import Any

from cds_service.policy.facts import NO_NAMES, Interval, Result, Stage
from cds_service.policy.reasons import Reason
from fhir_mappings.codes import concept_key
from fhir_mappings.fhir_dates import result_date
from fhir_mappings.fibrosis import fibrosis_stage
from fhir_mappings.lab_file import LabTest
from fhir_mappings.labs import LabTable, Match
from fhir_mappings.quantity import read_number_text
from fhir_mappings.result_flags import ResultFlags, flag_words, flags_of
from fhir_mappings.result_values import NO_RESULTS, of_unknown_status, result_display
from fhir_mappings.result_words import word_of_number, words_of

_STAGES = {
    "final": Stage.FINAL,
    "amended": Stage.FINAL,
    "corrected": Stage.FINAL,
    "appended": Stage.FINAL,
    "preliminary": Stage.PRELIMINARY,
    "partial": Stage.PRELIMINARY,
    "registered": Stage.ORDERED,
}
_LIVER = ("liver_stiffness", "fibrosis_stage")
# Possessive (`++`): a long run of digits is looked at once, not from each of its digits.
_KPA = re.compile(r"(?<!\d)\d++(?:\.\d++)?+(?:\s?(?:-|–|to)\s?\d++(?:\.\d++)?+)?(?=\s?kPa\b)", re.I)
_BEFORE_KPA = re.compile(r"([^.;\n]{0,60}?)([<>≤≥]?\s*+)\Z")
_LONGEST = 64 * 1024  # of a conclusion; in a longer one nothing is looked for
# A number beside kPa that is not this patient's stiffness of today.
_OTHER_KPA = re.compile(
    r"\bIQR\b|interquartile|normal|reference|cut-?off|threshold|suggest|spleen|splenic|prior|previous|was\b.*\b(19|20)\d\d"
    r"|\b(19|20)\d\d\b.{0,15}$|compared|from$",
    re.I,
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9])|[\n\r]+|;\s+")


def read_report(resource: dict[str, Any], labs: LabTable) -> tuple[Result, ...]:
    """The results that stand in the report itself; none when Observations hold them or it does not count."""
    matches = {match.test.name: match for match in labs.matches(resource.get("code"))}
    if not matches:
        return ()
    status = resource.get("status")
    stage = _STAGES.get(status) if isinstance(status, str) else None
    if stage is None:
        if status in NO_RESULTS:
            return ()
        return of_unknown_status(read_report({**resource, "status": "final"}, labs))
    conclusion = resource.get("conclusion")
    text = conclusion if isinstance(conclusion, str) else ""
    found: list[Result] = []
    for match in matches.values():
        in_words = match.test.in_reports and match.test.kind in ("words", "both")
        if in_words and (result := _in_words(resource, match, text, stage, labs)) is not None:
            found.append(result)
    if any(name in matches for name in _LIVER):
        found.extend(_of_liver(resource, text, stage, labs, named=matches))
    return tuple(found)


def report_sentences(resource: dict[str, Any]) -> tuple[str, ...]:
    """The sentences of the report's conclusion."""
    conclusion = resource.get("conclusion")
    return sentences(conclusion) if isinstance(conclusion, str) else ()


def sentences(text: str) -> tuple[str, ...]:
    """The sentences and lines of a prose text, each without surrounding space."""
    return tuple(part for piece in _SENTENCE.split(text) if piece and (part := piece.strip()))


def _in_words(resource: dict[str, Any], match: Match, text: str, stage: Stage, labs: LabTable) -> Result | None:
    test = match.test
    if stage is Stage.ORDERED:
        return None if resource.get("result") else _result(resource, test, "", stage, labs)
    words = words_of(labs)
    concepts = resource.get("conclusionCode")
    codings = [
        coding
        for concept in (concepts if isinstance(concepts, list) else ())
        if isinstance(concept, dict) and isinstance(concept.get("coding"), list)
        for coding in concept["coding"]
    ]
    word = words.of_codings(codings)
    said = words.in_text(text, test) if text else None
    conflict = word is not None and said is not None and word is not said
    number = read_number_text(text, test) if text and test.kind == "both" else None
    value = number.value if number is not None else None
    word = word if word is not None else said
    if word is None and value is not None:
        word = word_of_number(value, test, None)
    if word is None and value is None:
        if resource.get("result"):
            return None  # the Observations say it
        if text and words.no_result(text):
            return _result(resource, test, "", Stage.ORDERED, labs)
        return _result(resource, test, "see report", stage, labs, problem=Reason.INCONCLUSIVE, text=text)
    shown = " ".join(text.split())[:120] or next(
        (c["display"] for c in codings if isinstance(c, dict) and isinstance(c.get("display"), str)), ""
    )
    result = _result(resource, test, shown, stage, labs, value=value, text=text)
    flags = result.flags | {"conflict"} if conflict else result.flags
    return Result(result.test, result.reference, result.display, result.date, stage, value, word, None, flags)


def _of_liver(
    resource: dict[str, Any], text: str, stage: Stage, labs: LabTable, named: dict[str, Match]
) -> list[Result]:
    found = []
    if stage is Stage.ORDERED or not text:
        if stage is Stage.ORDERED and "liver_stiffness" in named and not resource.get("result"):
            found.append(_result(resource, labs.test("liver_stiffness"), "", stage, labs))
        return found
    stiffness = labs.test("liver_stiffness")
    if len(text) > _LONGEST:
        return [_result(resource, stiffness, "see report", stage, labs, problem=Reason.INCONCLUSIVE)]
    numbers = set(_kpa(text))
    readings = [read_number_text(f"{number} kPa", stiffness) for number in numbers]
    values = {reading.value for reading in readings if reading is not None and reading.value is not None}
    if len(values) == 1 and len(readings) == 1:
        found.append(_result(resource, stiffness, f"{numbers.pop()} kPa", stage, labs, value=values.pop(), text=text))
    elif numbers:  # several numbers: which one is meant is not for a machine
        shown = ", ".join(sorted(numbers))[:80]
        found.append(_result(resource, stiffness, f"{shown} kPa", stage, labs, problem=Reason.INCONCLUSIVE, text=text))
    if (metavir := fibrosis_stage(text, labs.words)) is not None:
        low, high = metavir.low, metavir.high
        shown = f"F{low}" if low == high else f"F{low}-F{high}"
        found.append(_result(resource, labs.test("fibrosis_stage"), shown, stage, labs, value=metavir, text=text))
    return found


def _kpa(text: str) -> Iterator[str]:
    """The numbers beside kPa that are this patient's stiffness of today, as written."""
    end = 0
    for match in _KPA.finditer(text):
        before = _BEFORE_KPA.search(text[max(end, match.start() - 80) : match.start()])
        end = match.end()
        if before is not None and not _OTHER_KPA.search(before[1].rstrip("( :")):
            yield " ".join(f"{before[2]}{match[0]}".split())


def _result(
    resource: dict[str, Any],
    test: LabTest,
    shown: str,
    stage: Stage,
    labs: LabTable,
    *,
    value: Interval | None = None,
    problem: Reason | None = None,
    text: str = "",
) -> Result:
    span, written, issued = result_date(resource)
    name = resource.get("id")
    codings, title = concept_key(resource.get("code"))
    flags = frozenset({"date-issued"}) if issued else NO_NAMES
    for words in (text, title, *(display for _, _, display in codings)):
        if words:
            flags |= flags_of(labs, test.name, words)
    display = result_display(test, shown, written, stage) + flag_words(labs, test.name, flags)
    reference = f"DiagnosticReport/{name}" if isinstance(name, str) else "DiagnosticReport"
    return Result(test.name, reference, display, span, stage, value, None, problem, ResultFlags.settled(flags))
