"""FHIR codings to names of value sets.

Order: a verified code under any URI of its system, then the words beside it. A set's `exclude` codes and `exclude`
words take the set away again, however it was found. A partial code says nothing alone; the words must name the set, so
it adds no lookup of its own. Nothing here raises for malformed input: what cannot be read is no match.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from cds_service.policy.facts import NO_NAMES, Names
from cds_service.policy.value_sets import Code, Kind, Systems, ValueSet

Coding = tuple[str, str, str]  # system, code, display; empty where the source has none or not a string
ConceptKey = tuple[tuple[Coding, ...], str]  # its codings and its text
NO_CONCEPT: ConceptKey = ((), "")

_LONGEST = 2000  # characters of a text that are searched
_REMEMBERED = 300  # a longer text is prose: searched, not kept


def concept_key(concept: object) -> ConceptKey:
    """A CodeableConcept as a hashable value, whatever its shape."""
    if not isinstance(concept, dict):
        return NO_CONCEPT
    text = concept.get("text")
    codings = concept.get("coding")
    found: tuple[Coding, ...] = ()
    if isinstance(codings, list):
        found = tuple([coding_key(coding) for coding in codings])
    return found, text if isinstance(text, str) else ""


def coding_key(coding: object) -> Coding:
    """A Coding as a hashable value, whatever its shape."""
    if not isinstance(coding, dict):
        return "", "", ""
    system, code, display = coding.get("system"), coding.get("code"), coding.get("display")
    return (
        system if isinstance(system, str) else "",
        code if isinstance(code, str) else "",
        display if isinstance(display, str) else "",
    )


def loinc_valid(code: str) -> bool:
    """True for a LOINC number whose check digit (mod 10) is right: published lists contain wrong ones."""
    body, dash, check = code.partition("-")
    if not (dash and body.isascii() and body.isdigit() and len(check) == 1 and check.isdigit()):
        return False
    digits = [int(digit) for digit in reversed(body)]
    total = sum(2 * digit - 9 * (digit > 4) if at % 2 == 0 else digit for at, digit in enumerate(digits))
    return (10 - total % 10) % 10 == int(check)


def ndc_11(code: str) -> tuple[str, ...]:
    """The 11-digit (5-4-2) forms that an NDC can stand for: one with dashes, up to three for 10 bare digits."""
    parts = code.strip().replace(" ", "-").split("-")
    if not all(part.isascii() and part.isdigit() for part in parts):
        return ()
    if len(parts) == 3:
        labeler, product, package = parts
        if len(labeler) > 5 or len(product) > 4 or len(package) > 2 or len(code.strip()) < 12:
            return ()
        return (labeler.zfill(5) + product.zfill(4) + package.zfill(2),)
    if len(parts) != 1:
        return ()
    digits = parts[0]
    if len(digits) == 11:
        return (digits,)
    if len(digits) == 10:  # 4-4-2, 5-3-2 or 5-4-1: the dashes that would tell are gone
        return ("0" + digits, digits[:5] + "0" + digits[5:], digits[:9] + "0" + digits[9:])
    return ()


def written_forms(system: str, code: str) -> tuple[str, ...]:
    """The forms under which a code of that system (short name) is looked up."""
    if system == "ndc":
        return ndc_11(code)
    if system == "icd-10-cm":
        return (code.strip().casefold().replace(".", ""),)
    return (code.strip().casefold(),)


class SystemNames:
    """URIs of code systems, aliases included, to their short names."""

    def __init__(self, systems: Systems) -> None:
        self._short: dict[str, tuple[str, ...]] = {}
        for short, uris in systems.systems.items():
            for uri in uris:
                key = _uri(uri)
                self._short[key] = (*self._short.get(key, ()), short)
        self._written = {short: uris[0] for short, uris in systems.systems.items()}

    def short(self, uri: str) -> tuple[str, ...]:
        """The short names that the URI can stand for; none for a system that is not listed."""
        return self._short.get(_uri(uri), ())

    def uri(self, short: str) -> str:
        """The URI that the system is written with."""
        return self._written[short]

    def token(self, code: Code) -> str:
        """The code as a FHIR search token, `system|code`."""
        return f"{self.uri(code.system)}|{code.code}"


def _uri(uri: str) -> str:
    return uri.strip().rstrip("/").casefold()


class CodeIndex:
    """Which value sets a coding, a concept or a text belongs to."""

    def __init__(self, value_sets: Mapping[str, ValueSet], systems: Systems) -> None:
        self._systems = SystemNames(systems)
        self._sets = dict(value_sets)
        by_kind: dict[Kind, list[ValueSet]] = {}
        for value_set in value_sets.values():
            by_kind.setdefault(value_set.kind, []).append(value_set)
        self._kinds = {kind: _KindIndex(sets) for kind, sets in by_kind.items()}
        self._names: Callable[[ConceptKey, Kind], Names] = lru_cache(maxsize=8192)(self._read_names)
        self._text: Callable[[str, Kind], Names] = lru_cache(maxsize=4096)(self._read_text)

    def names(self, concept: dict[str, Any] | None, kind: Kind) -> Names:
        """The sets of that kind that a CodeableConcept belongs to."""
        key = concept_key(concept)
        return self._names(key, kind) if key != NO_CONCEPT else NO_NAMES

    def names_of_coding(self, coding: dict[str, Any] | None, kind: Kind) -> Names:
        """The sets of that kind that one Coding belongs to."""
        return self._names(((coding_key(coding),), ""), kind)

    def tells(self, concept: dict[str, Any] | None, kind: Kind) -> bool:
        """True when a CodeableConcept has a code, listed or not, of a system that sets of that kind are known by.

        Not a code that says nothing without the words beside it, like that of unclassified biologics.
        """
        index = self._kinds.get(kind)
        return index is not None and any(
            code.strip()
            and short in index.systems
            and not any(index.partial.at(short, form) for form in written_forms(short, code))
            for system, code, _ in concept_key(concept)[0]
            for short in self._systems.short(system)
        )

    def names_of_text(self, text: str | None, kind: Kind) -> Names:
        """The sets of that kind that a text names."""
        if not isinstance(text, str) or not text:
            return NO_NAMES
        return self._text(text, kind) if len(text) <= _REMEMBERED else self._read_text(text, kind)

    def tokens(self, names: Iterable[str]) -> tuple[str, ...]:
        """The verified codes of those sets as FHIR search tokens; a code that stands for its whole branch is left out,
        because a token search finds one code only."""
        found = (code for name in names for code in self._sets[name].codes)
        return tuple(self._systems.token(code) for code in found if code.status == "verified" and not code.below)

    def bare_codes(self, names: Iterable[str]) -> tuple[str, ...]:
        """The codes of those sets without their systems, partial ones too: whoever reads what is found judges it."""
        return tuple(dict.fromkeys(code.code for name in sorted(names) for code in self._sets[name].codes))

    def _read_names(self, key: ConceptKey, kind: Kind) -> Names:
        index = self._kinds.get(kind)
        if index is None:
            return NO_NAMES
        codings, text = key
        found: set[str] = set()
        excluded: set[str] = set()
        for system, code, _ in codings:
            for short in self._systems.short(system):
                for form in written_forms(short, code):
                    found |= index.codes.at(short, form)
                    excluded |= index.excluded.at(short, form)
        texts = [_searched(words) for words in {text, *(display for _, _, display in codings)} if words]
        for words in texts:
            found.update(index.named(words))
        return frozenset(name for name in found - excluded if not index.denied(name, texts))

    def _read_text(self, text: str, kind: Kind) -> Names:
        index = self._kinds.get(kind)
        if index is None:
            return NO_NAMES
        words = _searched(text)
        return frozenset(name for name in index.named(words) if not index.denied(name, [words]))


def _searched(text: str) -> str:
    return " ".join(text[:_LONGEST].split())


class _Codes:
    """Codes to names, with the codes that stand for everything below them."""

    def __init__(self) -> None:
        self._exact: dict[tuple[str, str], set[str]] = {}
        self._below: dict[tuple[str, str], set[str]] = {}

    def add(self, name: str, code: Code) -> None:
        for form in written_forms(code.system, code.code):
            self._exact.setdefault((code.system, form), set()).add(name)
            if code.below:
                self._below.setdefault((code.system, form), set()).add(name)

    def at(self, system: str, form: str) -> set[str]:
        found = self._exact.get((system, form), set())
        if system == "icd-10-cm" and self._below:
            for end in range(3, len(form)):
                found = found | self._below.get((system, form[:end]), set())
        return found


class _KindIndex:
    """The sets of one kind."""

    def __init__(self, sets: list[ValueSet]) -> None:
        self.codes = _Codes()
        self.excluded = _Codes()
        self.partial = _Codes()
        self.systems = frozenset(code.system for value_set in sets for code in value_set.codes)
        self._match: list[tuple[str, re.Pattern[str]]] = []
        self._exclude: dict[str, re.Pattern[str]] = {}
        for value_set in sets:
            for code in value_set.codes:
                (self.codes if code.status == "verified" else self.partial).add(value_set.name, code)
            for code in value_set.exclude:
                self.excluded.add(value_set.name, code)
            if (match := alternation(value_set.text.match)) is not None:
                self._match.append((value_set.name, match))
            if (exclude := alternation(value_set.text.exclude)) is not None:
                self._exclude[value_set.name] = exclude

    def named(self, text: str) -> list[str]:
        """The sets whose words the text has."""
        return [name for name, match in self._match if match.search(text)]

    def denied(self, name: str, texts: list[str]) -> bool:
        """True when one of the texts takes that set away."""
        exclude = self._exclude.get(name)
        return exclude is not None and any(exclude.search(text) for text in texts)


def alternation(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    """One case-insensitive pattern that finds any of those; None for none."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE) if patterns else None
