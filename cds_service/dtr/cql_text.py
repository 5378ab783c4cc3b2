"""Pieces of CQL text: literals, patterns, retrieves. Nothing of any policy."""

import re
from collections.abc import Iterable
from decimal import Decimal

from cds_service.policy.value_sets import Code


def string(text: str) -> str:
    """The text as a CQL string."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def strings(texts: Iterable[str]) -> str:
    """The texts as a CQL list."""
    return "{ " + ", ".join(string(text) for text in texts) + " }"


def decimal(number: Decimal) -> str:
    """The number as a CQL Decimal."""
    text = format(number, "f")
    return text if "." in text else f"{text}.0"


def pattern(patterns: Iterable[str]) -> str:
    """The patterns as one, for `Matches` on a whole text in lower case: CQL has no search that ignores capitals."""
    joined = "|".join(f"(?:{one})" for one in patterns)
    lowered = re.sub(r"\\.|[A-Z]", lambda found: found[0] if found[0][0] == "\\" else found[0].lower(), joined)
    return string(f"[\\s\\S]*(?:{lowered})[\\s\\S]*")


def code_name(code: Code) -> str:
    """The identifier of a code."""
    return f'"{code.system} {code.code}"'


def retrieved(kind: str, codes: Iterable[Code]) -> str:
    """Every entry with one of the codes; a retrieve each, for a list of codes would take a library of helpers."""
    return "(" + "\n    union ".join(f"[{kind}: {code_name(code)}]" for code in codes) + ")"


def define(name: str, expression: str) -> str:
    """A statement."""
    return f'define "{name}":\n  {expression}\n'


def function(signature: str, expression: str) -> str:
    """A function; `signature` is its name in quotation marks with its parameters."""
    return f"define function {signature}:\n  {expression}\n"


def case(cases: Iterable[tuple[str, str]], of: str = "") -> str:
    """The first value whose condition holds, or whose key `of` is; null where none is."""
    lines = "\n    ".join(f"when {when} then {then}" for when, then in cases)
    return f"case {of}\n    {lines}\n    else null\n  end" if of else f"case\n    {lines}\n    else null\n  end"
