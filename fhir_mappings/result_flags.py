"""What a source says about a result beside its value: baseline or treated, clumped, unreliable (labs.yaml, flags)."""

import re
from functools import lru_cache

from cds_service.policy.facts import NO_NAMES, Names
from fhir_mappings.codes import alternation
from fhir_mappings.labs import LabTable


class ResultFlags:
    """The flag rules of a lab table, compiled."""

    def __init__(self, labs: LabTable) -> None:
        self._rules: dict[str, list[tuple[str, re.Pattern[str], re.Pattern[str] | None]]] = {
            test: [
                (rule.flag, match, alternation(rule.exclude))
                for rule in labs.flags
                if (not rule.tests or test in rule.tests) and (match := alternation(rule.match)) is not None
            ]
            for test in labs.names
        }

        self._words = {
            (test, rule.flag): rule.says for rule in labs.flags if rule.says for test in rule.tests or labs.names
        }

    def words(self, test: str, flags: Names) -> str:
        """What a card says of the flags, to stand behind the result; empty for most."""
        said = [self._words.get((test, flag), "") for flag in sorted(flags)]
        if "conflict" in flags:
            said.append("flagged the other way by the laboratory")
        return "".join(f", {words}" for words in said if words)

    def of_text(self, test: str, text: str) -> Names:
        """The flags that the text puts on a result of that test."""
        text = " ".join(text[:4000].split())
        return frozenset(
            flag
            for flag, match, exclude in self._rules.get(test, ())
            if match.search(text) and not (exclude is not None and exclude.search(text))
        )

    @staticmethod
    def settled(flags: Names) -> Names:
        """The flags without "untreated" where the source also says that factor was on board."""
        return flags - {"untreated"} if "treated" in flags else flags


@lru_cache(maxsize=4)
def _flags(labs: LabTable) -> ResultFlags:
    return ResultFlags(labs)


def flags_of(labs: LabTable, test: str, text: str) -> Names:
    """The flags that a note, method, name or text value puts on a result of that test."""
    return _remembered(labs, test, text) if len(text) <= 100 else _flags(labs).of_text(test, text)


@lru_cache(maxsize=2048)
def _remembered(labs: LabTable, test: str, text: str) -> Names:
    return _flags(labs).of_text(test, text) or NO_NAMES


def flag_words(labs: LabTable, test: str, flags: Names) -> str:
    """What a card says of the flags of a result of that test, to stand behind it; empty for most."""
    return _flags(labs).words(test, flags) if flags else ""
