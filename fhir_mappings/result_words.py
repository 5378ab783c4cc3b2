"""Qualitative results as words: codes of a value, free text, an interpretation and numbers against a cut-off.

Negations are read first, because "not detected" contains "detected". Which words mean what is in labs.yaml.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any

from cds_service.policy.facts import Interval, Word
from fhir_mappings.codes import alternation, coding_key, written_forms
from fhir_mappings.lab_file import LabTest
from fhir_mappings.labs import LabTable

_CLAUSE = re.compile(r"[;\n]|\.(?!\d)")  # the first clause is the result, the rest explains it
_ASIDE = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")  # "(reference: negative)"
_REFERENCE = re.compile(r"\b(?:reference|ref\.?|normal|expected)\b\s*(?:range|value|interval)?\s*[:=].*", re.I | re.S)
_FOUND = (Word.POSITIVE, Word.REACTIVE)


class ResultWords:
    """The reader of words, built once from the lab table."""

    def __init__(self, labs: LabTable) -> None:
        words = labs.words
        self._labs = labs
        self._codes = {
            (code.system, form): rule.word
            for rule in words.rules
            for code in rule.codes
            for form in written_forms(code.system, code.code)
        }
        self._displays = {code.code: code.display for rule in words.rules for code in rule.codes}
        self._rules = [(rule.word, pattern) for rule in words.rules if (pattern := alternation(rule.text)) is not None]
        self._no_result = alternation(words.no_result)
        self._doubtful = alternation(words.doubtful)
        self._fallback = alternation(words.fallback)
        self.of_text: Callable[[str], frozenset[Word]] = lru_cache(maxsize=2048)(self._read_text)
        self._of_code: Callable[[str, str], frozenset[Word]] = lru_cache(maxsize=1024)(self._read_code)

    def no_result(self, text: str) -> bool:
        """True when the text says that the test was not carried out or is still running."""
        return self._no_result is not None and self._no_result.search(text) is not None

    def of_codings(self, codings: object) -> Word | None:
        """The word that a list of Codings says; None when none of them is listed, or two say different things."""
        if not isinstance(codings, list):
            return None
        found: set[Word] = set()
        for coding in codings:
            system, code, _ = coding_key(coding)
            found |= self._of_code(system, code)
        if found == {Word.POSITIVE, Word.REACTIVE}:
            return Word.REACTIVE
        return found.pop() if len(found) == 1 else (Word.INDETERMINATE if found else None)

    def _read_code(self, system: str, code: str) -> frozenset[Word]:
        forms = [(short, form) for short in self._labs.systems.short(system) for form in written_forms(short, code)]
        return frozenset(self._codes[form] for form in forms if form in self._codes)

    def display_of(self, code: str) -> str:
        """How a listed code reads, for a source that sends it bare; the code itself when it is not listed."""
        return self._displays.get(code, code)

    def of_interpretation(self, resource: dict[str, Any]) -> Word | None:
        """The word of Observation.interpretation; None for high, low, normal and abnormal, which are no result."""
        found = resource.get("interpretation")
        if not isinstance(found, list):
            return None
        codings = [
            coding
            for concept in found
            if isinstance(concept, dict) and isinstance(concept.get("coding"), list)
            for coding in concept["coding"]
        ]
        return self.of_codings(codings)

    def in_text(self, text: str, test: LabTest) -> Word | None:
        """The word that a text says about that test; None when it says none."""
        found = self.of_text(text[:1000])
        if len(found) < 2:
            return next(iter(found), None)
        if found == {Word.POSITIVE, Word.REACTIVE}:
            return Word.REACTIVE
        if test.any_positive and Word.INDETERMINATE not in found:
            return Word.POSITIVE if Word.POSITIVE in found else Word.REACTIVE
        return Word.INDETERMINATE

    def _read_text(self, text: str) -> frozenset[Word]:
        clause = next((part for part in _CLAUSE.split(text) if part.strip()), "")
        plain = _REFERENCE.sub(" ", _ASIDE.sub(" ", clause))
        return self._words(plain) or self._words(clause) or self._words(text)

    def _words(self, text: str) -> frozenset[Word]:
        if self._doubtful is not None and self._doubtful.search(text):
            return frozenset({Word.INDETERMINATE})
        found = set()
        for word, pattern in self._rules:
            text, count = pattern.subn(" ", text)
            if count:
                found.add(word)
        if not found and self._fallback is not None and self._fallback.search(text):
            found.add(Word.INDETERMINATE)
        return frozenset(found)


def word_of_number(values: Interval, test: LabTest, limit: Decimal | None) -> Word | None:
    """The word that a number says by the test's cut-off; `limit` is the report's own upper limit, when it states one.

    None for a test that has no cut-off.
    """
    cutoff = test.cutoff
    if cutoff is None:
        return None
    if cutoff.beyond:
        if values.low > cutoff.positive or (values.low == cutoff.positive and values.low_open):
            return Word.POSITIVE
        return Word.NEGATIVE if values.high is not None and values.high <= cutoff.positive else Word.INDETERMINATE
    if values.low >= cutoff.positive:
        return Word.POSITIVE
    high = values.high
    if high is None or high > cutoff.positive or (high == cutoff.positive and not values.high_open):
        return Word.INDETERMINATE
    own = cutoff.negative if limit is None or limit > cutoff.positive else limit
    if values.low == 0 and high > 0:  # "less than" the smallest amount that the laboratory reports
        return Word.NEGATIVE
    return Word.NEGATIVE if own is not None and high < own else Word.BORDERLINE


def agreed_word(
    said: Word | None, number: Word | None, interpreted: Word | None, test: LabTest
) -> tuple[Word | None, bool]:
    """The word of a result from its value's words, its number and its interpretation, and whether they conflict."""
    word = said if said is not None else number
    conflict = said is not None and number is not None and _opposed(said, number)
    if said is not None and number in _FOUND and said is Word.INDETERMINATE:
        word = number
    if word is None:
        return interpreted, False
    if interpreted is not None:
        undecided = word is Word.BORDERLINE or (
            word is Word.INDETERMINATE and said is None and test.cutoff is not None and test.cutoff.beyond
        )
        if undecided and (interpreted in _FOUND or interpreted is Word.NEGATIVE):
            return interpreted, conflict
        conflict = conflict or _opposed(word, interpreted)
    return word, conflict


def _opposed(one: Word, other: Word) -> bool:
    return (one in _FOUND and other is Word.NEGATIVE) or (other in _FOUND and one is Word.NEGATIVE)


@lru_cache(maxsize=4)
def words_of(labs: LabTable) -> ResultWords:
    """The reader of words for that lab table."""
    return ResultWords(labs)
