"""What a value[x] says of one test: a number in the canonical unit, a word, or why it says nothing.

Decision order of a qualitative result: the coded value, the words of the text, the number against the test's cut-off,
then the interpretation. A value and an interpretation that disagree are a conflict for a person.
"""

import re
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from cds_service.policy.facts import NO_NAMES, Interval, Names, Result, Stage, Word
from cds_service.policy.reasons import Reason
from fhir_mappings.fibrosis import fibrosis_stage
from fhir_mappings.lab_file import LabTest, fold_unit
from fhir_mappings.labs import LabTable, Match
from fhir_mappings.quantity import Reading, decimal, read_number_text, read_quantity, read_titre, report_limit
from fhir_mappings.result_words import agreed_word, word_of_number, words_of

_VALUE_FORMS = (
    "valueQuantity",
    "valueCodeableConcept",
    "valueString",
    "valueInteger",
    "valueBoolean",
    "valueRange",
    "valueRatio",
    "valueSampledData",
    "valueTime",
    "valueDateTime",
    "valuePeriod",
)
_FOUND = (Word.POSITIVE, Word.REACTIVE)
_DETECTION_LIMIT = frozenset({"detection-limit"})
_CONFLICT = frozenset({"conflict"})
_TITRE = frozenset({"titre"})  # its cut-off is the laboratory's
_IS_TITRE = re.compile(r"\s*[<>≤≥]?=?\s*1\s?:\s?\d+")
_NO_NUMBER = Reading()

NO_RESULTS = ("cancelled", "entered-in-error")  # statuses of an Observation or a report that says nothing


class Value(Struct, frozen=True):
    """What a value[x] says of one test."""

    shown: str = ""  # as the source has it
    value: Interval | None = None
    word: Word | None = None
    problem: Reason | None = None
    flags: Names = NO_NAMES
    prose: str = ""
    none_yet: bool = False  # "pending", "not done"


def result_display(test: LabTest, shown: str, written: str, stage: Stage) -> str:
    """What a card says of a result: title, value as the source has it, day as the source wrote it."""
    if stage is Stage.ORDERED:
        text = f"{test.title}: no result yet"
    elif not shown or shown[0] in "0123456789<>≤≥." or test.kind == "stage":
        text = f"{test.title} {shown}" if shown else test.title
    else:
        text = f"{test.title}: {shown}"
    if written:
        text = f"{text} on {written}"
    return f"{text} (preliminary)" if stage is Stage.PRELIMINARY else text


def of_unknown_status(results: tuple[Result, ...]) -> tuple[Result, ...]:
    """Results that may be final or withdrawn: what has a value proves nothing."""
    return tuple(
        result if result.stage is Stage.ORDERED else doubted(result, f"{result.display} (its status is not known)")
        for result in results
    )


def doubted(result: Result, display: str) -> Result:
    """The result without what it says, so that it proves nothing, and nothing older either."""
    return replace(result, display=display, value=None, word=None, problem=Reason.INCONCLUSIVE, flags=NO_NAMES)


def read_value(element: dict[str, Any], match: Match, labs: LabTable) -> Value | None:
    """What the element's value says; None when it has none and no interpretation that would do instead."""
    for form in _VALUE_FORMS:
        if (raw := element.get(form)) is not None:
            break
    else:
        return _interpreted(element, match.test, labs)
    ranges = element.get("referenceRange")
    match form:
        case "valueQuantity":
            return _quantity(raw, element, match, ranges, labs)
        case "valueInteger":
            if isinstance(raw, int) and not isinstance(raw, bool):
                return _quantity({"value": raw}, element, match, ranges, labs)
        case "valueCodeableConcept":
            return _concept(raw, element, match, ranges, labs)
        case "valueString":
            if isinstance(raw, str):
                return _text(raw, element, match, ranges, labs)
        case "valueBoolean":
            if isinstance(raw, bool) and match.presence and match.test.kind in ("words", "both"):
                word, conflict = agreed_word(
                    Word.POSITIVE if raw else Word.NEGATIVE, None, _interpretation(element, labs), match.test
                )
                return Value("Yes" if raw else "No", word=word, flags=_CONFLICT if conflict else NO_NAMES)
        case "valueRange":
            return _range(raw, match, ranges)
        case "valueRatio":
            shown = _ratio_text(raw)
            if (reading := read_titre(shown, match.test)) is not None:
                return Value(shown, reading.value)
            return Value(shown, problem=Reason.INCONCLUSIVE, flags=_TITRE)
    return Value(problem=Reason.INCONCLUSIVE)


def _interpretation(element: dict[str, Any], labs: LabTable) -> Word | None:
    return words_of(labs).of_interpretation(element) if "interpretation" in element else None


def _interpreted(element: dict[str, Any], test: LabTest, labs: LabTable) -> Value | None:
    if test.kind not in ("words", "both") or "interpretation" not in element:
        return None
    word = words_of(labs).of_interpretation(element)
    if word is None:
        return None
    concepts = element["interpretation"]
    shown = next((text for concept in concepts if (text := concept_text(concept))), "")
    return Value(words_of(labs).display_of(shown), word=word)


def _quantity(raw: Any, element: dict[str, Any], match: Match, ranges: Any, labs: LabTable) -> Value:
    test = match.test
    reading = read_quantity(raw, test, ranges, match.codes)
    shown = quantity_text(raw)
    if test.kind == "number":
        flags = NO_NAMES
        if isinstance(raw, dict) and raw.get("comparator") == "<=":
            flags = _DETECTION_LIMIT  # "at most": the number is what the assay can still tell
        elif "interpretation" in element and _off_scale(element):
            flags = _DETECTION_LIMIT
        return Value(shown, reading.value, None, reading.problem, flags)
    if test.kind == "stage":
        return Value(shown, reading.value, None, reading.problem)
    return _worded(shown, reading, None, element, match, ranges, labs)


def _concept(raw: Any, element: dict[str, Any], match: Match, ranges: Any, labs: LabTable) -> Value:
    if not isinstance(raw, dict):
        return Value(problem=Reason.INCONCLUSIVE)
    shown = concept_text(raw)
    codings, words = raw.get("coding"), words_of(labs)
    said = words.of_codings(codings) if match.test.kind in ("words", "both") else None
    if said is not None:
        return _worded(words.display_of(shown), _NO_NUMBER, said, element, match, ranges, labs)
    if match.test.kind == "stage":
        for coding in codings if isinstance(codings, list) else ():
            code = coding.get("code") if isinstance(coding, dict) else None
            stage = labs.words.stage_codes.get(code) if isinstance(code, str) else None
            if stage is not None:
                return Value(shown, fibrosis_stage(stage, labs.words))
    return _text(shown, element, match, ranges, labs) if shown else Value(problem=Reason.INCONCLUSIVE)


def _text(raw: str, element: dict[str, Any], match: Match, ranges: Any, labs: LabTable) -> Value:
    test, words = match.test, words_of(labs)
    shown = _short(raw)
    if test.kind == "stage":
        value = fibrosis_stage(raw, labs.words)
        if value is None and words.no_result(raw):
            return Value(none_yet=True)
        return Value(shown, value, None, Reason.INCONCLUSIVE if value is None else None, prose=raw)
    reading = read_titre(raw, test) or read_number_text(raw, test, ranges, match.codes)
    if test.kind == "number":
        if reading is None:
            return (
                Value(none_yet=True) if words.no_result(raw) else Value(shown, problem=Reason.INCONCLUSIVE, prose=raw)
            )
        flags = _DETECTION_LIMIT if raw.lstrip()[:2] in ("<=", "=<") or raw.lstrip()[:1] == "≤" else NO_NAMES
        return Value(shown, reading.value, None, reading.problem, flags, raw)
    said = words.in_text(raw, test)
    if said is None and reading is None and words.no_result(raw):
        return Value(none_yet=True)
    found = _worded(shown, reading or _NO_NUMBER, said, element, match, ranges, labs)
    return replace(found, prose=raw, flags=found.flags | _TITRE if _IS_TITRE.match(raw) else found.flags)


def _worded(
    shown: str, reading: Reading, said: Word | None, element: dict[str, Any], match: Match, ranges: Any, labs: LabTable
) -> Value:
    """The word of a test that is reported in words, from all that the report gives."""
    test = match.test
    number = None
    if (values := reading.value or reading.sign) is not None:
        number = word_of_number(values, test, report_limit(test, ranges) if ranges else None)
    interpreted = _interpretation(element, labs)
    if reading.problem is not None and said is None and interpreted not in _FOUND:
        problem = Reason.INCONCLUSIVE if test.cutoff is None else reading.problem
        if test.cutoff is not None or interpreted is None:
            return Value(shown, problem=problem)
    word, conflict = agreed_word(said, number, interpreted, test)
    if word is Word.REACTIVE and not test.reactive:
        word = Word.POSITIVE
    value = reading.value if test.kind == "both" else None
    problem_left = Reason.INCONCLUSIVE if word is None and value is None else None
    return Value(shown, value, word, problem_left, _CONFLICT if conflict else NO_NAMES)


def _range(raw: Any, match: Match, ranges: Any) -> Value:
    if not isinstance(raw, dict) or match.test.kind == "words":
        return Value(problem=Reason.INCONCLUSIVE)
    low, high = raw.get("low"), raw.get("high")
    shown = f"{quantity_text(low)} - {quantity_text(high)}"
    readings = [read_quantity(end, match.test, ranges, match.codes) for end in (low, high) if end is not None]
    if not readings or any(reading.value is None for reading in readings):
        return Value(shown, problem=next((r.problem for r in readings if r.problem), Reason.INCONCLUSIVE))
    ends = [reading.value for reading in readings if reading.value is not None]
    first = ends[0].low if low is not None else decimal(0)
    last = ends[-1].high if high is not None else None
    if first is None or (last is not None and first > last):
        return Value(shown, problem=Reason.INCONCLUSIVE)
    value = Interval(first, last)
    word = word_of_number(value, match.test, None) if match.test.kind == "both" else None
    return Value(shown, value, word)


def unit_agrees(element: dict[str, Any], test: LabTest) -> bool:
    """True when the value's unit is one of this test's, so that a partial code is borne out."""
    raw = element.get("valueQuantity")
    if not isinstance(raw, dict):
        return False
    for unit in (raw.get("code"), raw.get("unit")):
        if isinstance(unit, str) and unit and unit != "1" and "score" not in fold_unit(unit):
            return test.factor(unit) is not None or test.sign_only(unit)
    return False


def _off_scale(element: dict[str, Any]) -> bool:
    concepts = element["interpretation"]
    return isinstance(concepts, list) and any(
        isinstance(coding, dict) and coding.get("code") in ("<", ">")
        for concept in concepts
        if isinstance(concept, dict) and isinstance(concept.get("coding"), list)
        for coding in concept["coding"]
    )


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 120 else words[:117] + "..."


def quantity_text(raw: Any) -> str:
    if not isinstance(raw, dict):
        return ""
    value, unit, comparator = raw.get("value"), raw.get("unit") or raw.get("code"), raw.get("comparator")
    text = "" if value is None else str(value)
    if isinstance(comparator, str):
        text = comparator + text
    return _short(f"{text} {unit}" if isinstance(unit, str) and unit else text)


def _ratio_text(raw: Any) -> str:
    if not isinstance(raw, dict):
        return ""
    return f"{quantity_text(raw.get('numerator'))}:{quantity_text(raw.get('denominator'))}"


def concept_text(concept: Any) -> str:
    if not isinstance(concept, dict):
        return ""
    if isinstance(text := concept.get("text"), str) and text:
        return _short(text)
    codings = concept.get("coding")
    for coding in codings if isinstance(codings, list) else ():
        for member in ("display", "code"):
            if isinstance(coding, dict) and isinstance(found := coding.get(member), str) and found:
                return _short(found)
    return ""


def names_of(concept: Any) -> list[str]:
    """The text of a CodeableConcept and the displays of its codings."""
    if not isinstance(concept, dict):
        return []
    codings = concept.get("coding")
    displays = (
        [coding.get("display") for coding in codings if isinstance(coding, dict)] if isinstance(codings, list) else []
    )
    return [text for text in (concept.get("text"), *displays) if isinstance(text, str) and text]
