"""FHIR Observations to results: which test, what value or word, how final, of which day.

It knows the lab table and no policy. What cannot be read costs that Observation only: no result, or one that says
`inconclusive`; nothing raises.
"""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from cds_service.policy.dates import Span
from cds_service.policy.facts import NO_NAMES, Names, Result, Stage
from fhir_mappings.fhir_dates import result_date
from fhir_mappings.labs import LabTable, Match
from fhir_mappings.reference_range import NO_LIMIT, upper_limit_of_normal
from fhir_mappings.result_flags import ResultFlags, flag_words, flags_of
from fhir_mappings.result_values import (
    NO_RESULTS,
    concept_text,
    names_of,
    of_unknown_status,
    quantity_text,
    read_value,
    result_display,
    unit_agrees,
)

_STAGES = {
    "final": Stage.FINAL,
    "amended": Stage.FINAL,
    "corrected": Stage.FINAL,
    "preliminary": Stage.PRELIMINARY,
    "registered": Stage.ORDERED,
}
_TEXT_MATCH = frozenset({"text-match"})
_DATE_ISSUED = frozenset({"date-issued"})


class Frame(Struct, frozen=True):
    """What an Observation or a report gives to each of its results."""

    reference: str
    stage: Stage
    date: Span | None
    date_text: str
    flags: Names
    prose: tuple[str, ...]  # notes, method: read for flags


def read_observation(resource: dict[str, Any], labs: LabTable) -> tuple[Result, ...]:
    """The results of one Observation and of its components; none when it is no listed test or does not count."""
    matches = labs.matches(resource.get("code"))
    components = resource.get("component")
    if not matches and not components:
        return ()
    status = resource.get("status")
    stage = _STAGES.get(status) if isinstance(status, str) else None
    if stage is None:
        return (
            () if status in NO_RESULTS else of_unknown_status(read_observation({**resource, "status": "final"}, labs))
        )
    span, written, issued = result_date(resource)
    name = resource.get("id")
    frame = Frame(
        f"Observation/{name}" if isinstance(name, str) else "Observation",
        stage,
        span,
        written,
        _DATE_ISSUED if issued else NO_NAMES,
        _prose(resource),
    )
    if not components or not isinstance(components, list):
        return _results(resource, matches, frame, labs)
    frame = replace(frame, prose=(*frame.prose, *_beside(components, labs)))
    found = [
        result
        for component in components
        if isinstance(component, dict)
        for result in _results(component, labs.matches(component.get("code")), frame, labs)
    ]
    tested = {result.test for result in found}
    own = [
        result
        for result in _results(resource, matches, frame, labs)
        if result.test not in tested and not (found and result.stage is Stage.ORDERED)
    ]
    return (*own, *found)


def _results(element: dict[str, Any], matches: tuple[Match, ...], frame: Frame, labs: LabTable) -> tuple[Result, ...]:
    if len(matches) == 1:
        result = _result(element, matches[0], frame, labs)
        return (result,) if result is not None else ()
    return tuple(result for match in matches if (result := _result(element, match, frame, labs)) is not None)


def _result(element: dict[str, Any], match: Match, frame: Frame, labs: LabTable) -> Result | None:
    """The result of one test of that Observation or component; None when it is none of its own."""
    test = match.test
    if match.how == "partial" and not unit_agrees(element, test):
        return None
    found = read_value(element, match, labs)
    if found is None or frame.stage is Stage.ORDERED or found.none_yet:
        if match.panel or "hasMember" in element:  # the members hold the results
            return None
        shown = result_display(test, "", frame.date_text, Stage.ORDERED)
        return Result(test.name, frame.reference, shown, frame.date, Stage.ORDERED)
    if match.panel and found.word is None and found.value is None:
        return None
    flags = frame.flags | found.flags
    if match.how == "text":
        flags |= _TEXT_MATCH
    code = element.get("code")
    said: Names = NO_NAMES
    for text in (*frame.prose, found.prose, *names_of(code)):
        if text and isinstance(text, str):
            said |= flags_of(labs, test.name, text)
    if said:
        flags = ResultFlags.settled(flags | said)
    limited = test.name in labs.limited and "referenceRange" in element
    limit, normal = upper_limit_of_normal(element, test) if limited else NO_LIMIT
    shown = result_display(test, found.shown, frame.date_text, frame.stage) + flag_words(labs, test.name, flags)
    return Result(
        test.name,
        frame.reference,
        shown,
        frame.date,
        frame.stage,
        found.value,
        found.word,
        found.problem,
        flags,
        upper_limit_of_normal=limit,
        normal=normal,
    )


def _prose(resource: dict[str, Any]) -> tuple[str, ...]:
    """The notes and the method, where the source says how the sample was taken."""
    if "note" not in resource and "method" not in resource:
        return ()
    notes = resource.get("note")
    texts = [note.get("text") for note in notes if isinstance(note, dict)] if isinstance(notes, list) else []
    texts.append(concept_text(resource.get("method")))
    return tuple(text for text in texts if isinstance(text, str) and text)


def _beside(components: list[Any], labs: LabTable) -> list[str]:
    """Components that are no test of their own as text ("IQR/med 35 %"): they may qualify the one beside them."""
    return [
        f"{concept_text(component.get('code'))} {quantity_text(component.get('valueQuantity'))}"
        for component in components
        if isinstance(component, dict) and "valueQuantity" in component and not labs.matches(component.get("code"))
    ]
