"""Whether one resource answers to one search criterion."""

import unicodedata
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from cds_service.demo import search_dates
from cds_service.demo.outcomes import Resource, invalid, not_supported
from cds_service.demo.search_parameters import Kind, Parameter, all_values, values

MODIFIERS = {
    Kind.TOKEN: frozenset({"text", "not"}),
    Kind.STRING: frozenset({"exact", "contains"}),
    Kind.REFERENCE: frozenset({"Patient"}),
    Kind.DATE: frozenset[str](),
    Kind.URI: frozenset[str](),
}


class Criterion(Struct, frozen=True):
    """One `name[:modifier]=a,b` of a search: any of the alternatives is enough."""

    parameter: Parameter
    modifier: str
    alternatives: tuple[str, ...]


def parse_criterion(name: str, parameter: Parameter, modifier: str, value: str, base: str) -> Criterion:
    """The criterion. Raises RefusedError (400): an empty value, a modifier that is not served, a malformed date."""
    if modifier and modifier not in MODIFIERS[parameter.kind]:
        raise not_supported(f"The modifier ':{modifier}' of '{name}' is not served here.")
    alternatives = tuple(value.split(","))
    # Some servers drop a criterion without a value and answer with everybody's resources; here that is an error.
    if not all(alternatives):
        raise invalid(f"The search parameter '{name}' has an empty value.")
    if parameter.kind is Kind.DATE:
        for alternative in alternatives:
            _asked_range(alternative)
    if parameter.kind is Kind.REFERENCE:
        alternatives = tuple(text.removeprefix(f"{base}/") for text in alternatives)
        if modifier:
            alternatives = tuple(text if "/" in text else f"{modifier}/{text}" for text in alternatives)
    return Criterion(parameter, modifier, alternatives)


def answers(resource: Resource, criterion: Criterion) -> bool:
    """True when the resource answers to the criterion."""
    found = list(all_values(resource, criterion.parameter))
    match criterion.parameter.kind:
        case Kind.TOKEN:
            return _token(found, criterion)
        case Kind.REFERENCE:
            return any(
                _refers(value, text, criterion.parameter.target) for value in found for text in criterion.alternatives
            )
        case Kind.STRING:
            return any(_text_is(value, text, criterion.modifier) for value in found for text in criterion.alternatives)
        case Kind.URI:
            return any(_canonical_is(value, text) for value in found for text in criterion.alternatives)
        case Kind.DATE:
            dated = search_dates.range_of(found)
            return dated is not None and any(
                search_dates.matches(dated, *_asked_range(text)) for text in criterion.alternatives
            )


def _asked_range(text: str) -> tuple[str, search_dates.Range]:
    prefix, rest = ("eq", text) if text[:1].isdigit() else (text[:2], text[2:])
    if prefix not in search_dates.PREFIXES:
        raise invalid(f"A date may begin with {', '.join(search_dates.PREFIXES)}, not with {prefix!r}.")
    try:
        return prefix, search_dates.parse_range(rest)
    except ValueError as error:
        raise invalid(str(error)) from None


def _token(found: list[Any], criterion: Criterion) -> bool:
    if criterion.modifier == "text":
        said = [plain(text) for value in found for text in _words(value)]
        return any(text.startswith(plain(wanted)) for text in said for wanted in criterion.alternatives)
    codes = [coding for value in found for coding in _codings(value)]
    hit = any(_coding_is(system, code, text) for system, code in codes for text in criterion.alternatives)
    return hit is not (criterion.modifier == "not")


def _codings(value: Any) -> Iterator[tuple[str | None, str]]:
    """The (system, code) pairs of a code, boolean, Coding, CodeableConcept or Identifier."""
    if isinstance(value, bool):
        yield None, "true" if value else "false"
    elif isinstance(value, str):
        yield None, value
    elif isinstance(value, dict):
        for coding in list(values(value, "coding")) if "coding" in value else [value]:
            code = coding.get("code", coding.get("value")) if isinstance(coding, dict) else None
            if isinstance(code, str):
                yield coding.get("system"), code


def _coding_is(system: str | None, code: str, wanted: str) -> bool:
    wanted_system, bar, wanted_code = wanted.rpartition("|")
    if bar and wanted_system != (system or ""):
        return False
    return not wanted_code or wanted_code == code


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        texts = [value.get("text"), value.get("display"), *values(value, "coding.display")]
        yield from (text for text in texts if isinstance(text, str))


def _refers(value: Any, wanted: str, target: str | None) -> bool:
    reference = value.get("reference") if isinstance(value, dict) else None
    if not isinstance(reference, str):
        return False
    parts = reference.partition("/_history/")[0].rsplit("/", 2)[-2:]
    if len(parts) != 2:
        return False
    resource_type, resource_id = parts
    if "/" in wanted:
        return wanted == f"{resource_type}/{resource_id}"
    return wanted == resource_id and target in (None, resource_type)


def _text_is(value: Any, wanted: str, modifier: str) -> bool:
    if not isinstance(value, str):
        return False
    if modifier == "exact":
        return value == wanted
    if modifier == "contains":
        return plain(wanted) in plain(value)
    return plain(value).startswith(plain(wanted))


def _canonical_is(value: Any, wanted: str) -> bool:
    """A canonical without a version finds every version."""
    return isinstance(value, str) and (value == wanted or ("|" not in wanted and value.partition("|")[0] == wanted))


def plain(text: str) -> str:
    """The text without case and accents."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).casefold()
