"""Where in a policy file something stands, and what may stand there: for the words of a refusal.

Looked up only when a file is refused: reading one keeps no places.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
import yaml

_AT = re.compile(r" - at `.*`$")
_TYPE = re.compile(r"^Expected `(?P<wanted>[^`]*)`, got `(?P<found>[^`]*)`$")
_FOUND = re.compile(r"found '(.*)'$")
_NUMBER = re.compile(r"^Invalid (decimal|number) string")
_RANGE = re.compile(r"^Expected `int` (?P<sign>>=|<=) (?P<limit>\d+)$")
_ENUM = re.compile(r"^Invalid enum value '(?P<found>.*)'$")
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping (lines of `name: value`)",
    "null": "nothing",
    "date": "a date like 2026-11-24",
}
_INDENTED = "this line is indented otherwise than the lines above it, a `- ` is missing, or a quote is not closed"
# What the YAML reader says, and what the writer of a policy can do about it.
_PROBLEMS = (
    (
        "mapping values are not allowed",
        "a second `: ` in one line, or a line indented too far; a text with `: ` stands in quotes",
    ),
    ("cannot start any token", "a tab, or a text that begins with a sign; indent with spaces, put the text in quotes"),
    ("'-' indicator", "this line is indented otherwise than the lines above it that belong to the same list"),
    ("expected key", _INDENTED),
    ("block end", _INDENTED),
    ("',' or", "a bracket `[` or `{` is not closed, or a comma is missing"),
    ("expected ':'", "a name without its colon `: `, or a quote that is not closed"),
    ("unexpected end", "a quote is not closed"),
)
LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # in C where it is there
FEW = 12  # known names that are listed beside the nearest one
LONGEST = 40  # characters of what was found that are shown


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'`, or `; known: …` where nothing known is like it or there are few."""
    names = sorted(known)
    close = get_close_matches(name, names, n=3)
    meant = f"; did you mean {' or '.join(repr(one) for one in close)}" if close else ""
    if names and (not close or len(names) <= FEW):
        meant += f"; known: {', '.join(names)}"
    return meant


def line_of(path: Path, text: str, beside: str = "", under: str = "") -> str:
    """`, line 12` of the first place where `text` stands by itself in the file; empty where it does not.

    With `beside`, the first place in a mapping that has that too: an answer beside its question. With `under`, in what
    stands under that name: a test under `value`.
    """
    root = _root(path)
    near = [
        part
        for node in _mappings(root)
        for key, value in node.value
        for part in ([node] if beside and value.value == beside else [value] if under and key.value == under else [])
    ]
    return _line(next((one for node in (*near, root) for one in _scalars(node) if one.value == text), None))


def line_at(path: Path, *steps: str | int, text: str = "") -> str:
    """`, line 12` of the value that the steps lead to, names of mappings and places in lists; empty where none is.

    With `text`, of the place in that value where it stands.
    """
    node = _root(path)
    for step in steps:
        node = _child(node, step)
    return _line(next((one for one in _scalars(node) if text and one.value == text), node))


def refusals(path: Path, found: Any, wanted: Any) -> list[str]:
    """All that the typed model `wanted` refuses in `found`, each as `, line 12: what was found and what is expected`.

    What is said of a mapping as a whole (a statement of two kinds) is said only when each of its parts is well.
    """
    return list(_refused(found, wanted, _root(path), ""))


def _refused(found: Any, wanted: Any, node: yaml.Node | None, name: str) -> Iterator[str]:
    """`name`: of the mapping's entry that it stands in."""
    try:
        msgspec.convert(found, wanted, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        inside = list(_refused_inside(found, wanted, node, name))
        yield from inside or [_told(_AT.sub("", str(error)), found, wanted, node, name)]


def _refused_inside(found: Any, wanted: Any, node: yaml.Node | None, name: str) -> Iterator[str]:
    for kind in _alternatives(wanted):
        origin, of = get_origin(kind), get_args(kind)
        if isinstance(found, dict) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
            unknown = [key for key in found if key not in fields]
            for key in unknown:
                meant = "; a fraction is written with a point: 2.5" if key.isdecimal() else nearest(key, fields)
                yield f"{_line(_key(node, key) or node)}: {key!r} is not known here{meant}"
            for key, field in fields.items():
                if key in found:
                    yield from _refused(found[key], field.type, _child(node, key), key)
                elif field.required and not get_close_matches(key, unknown):
                    yield f"{_line(node)}: `{key}` is missing; found {', '.join(found)}"
            return
        if isinstance(found, dict) and origin in (Mapping, dict):
            for key, value in found.items():
                yield from _refused(value, of[1], _child(node, key), key)
            return
        if isinstance(found, list) and origin in (tuple, frozenset, list):
            for place, value in enumerate(found):
                yield from _refused(value, of[0], _child(node, place), name)
            return


def _told(said: str, found: Any, wanted: Any, node: yaml.Node | None, name: str) -> str:
    typed, enum, quoted = _TYPE.match(said), _ENUM.match(said), _FOUND.search(said)
    own = f"`{name}`: " if name else ""
    if _NUMBER.match(said):
        return f"{_line(node)}: {own}expected a number, found {_shown(found)}"
    if (bound := _RANGE.match(said)) is not None:
        wanted_number = f"a whole number of {bound['limit']} or {'more' if bound['sign'] == '>=' else 'less'}"
        return f"{_line(node)}: {own}expected {wanted_number}, found {_shown(found)}"
    if typed is not None:
        names = [one.strip() for one in typed["wanted"].split("|") if one.strip() != "null"]
        expected = " or ".join(_WORDS.get(one, one) for one in names)
        return f"{_line(node)}: {own}expected {expected}, found {_shown(found)}"
    if enum is not None:
        return f"{_line(node)}: {own}{enum['found']!r} is not known here{nearest(enum['found'], _values(wanted))}"
    cited = quoted[1] if quoted is not None else ""
    where = (one for one in _scalars(node) if one.value == cited or (cited.startswith("{") and cited in one.value))
    about = next(where, node) if cited else node
    return f"{_line(about)}: {said}"


def _alternatives(wanted: Any) -> tuple[Any, ...]:
    return get_args(wanted) if get_origin(wanted) in (Union, UnionType) else (wanted,)


def _values(wanted: Any) -> list[str]:
    found: list[str] = []
    for kind in _alternatives(wanted):
        if get_origin(kind) is Literal:
            found += get_args(kind)
        elif isinstance(kind, type) and issubclass(kind, Enum):
            found += [str(one.value) for one in kind]
    return found


def unreadable(error: yaml.YAMLError) -> str:
    """What keeps a file from being YAML, as `, line 12, column 3: …`."""
    mark, began = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or error)
    where = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    since = f" (in what begins on line {began.line + 1})" if mark is not None and began is not None else ""
    advice = next((words for sign, words in _PROBLEMS if sign in problem), problem)
    return f"{where}: {advice}{since}"


def _root(path: Path) -> yaml.Node | None:
    try:
        return yaml.compose(path.read_text(encoding="utf-8"), Loader=LOADER)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None


def _key(node: yaml.Node | None, name: str) -> yaml.Node | None:
    entries = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((key for key, _ in entries if key.value == name), None)


def _child(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return node.value[step] if step < len(node.value) else None
    entries = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for key, value in entries if key.value == step), None)


def _scalars(node: yaml.Node | None) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scalars(item)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(key)
            yield from _scalars(value)


def _mappings(node: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    if isinstance(node, yaml.MappingNode):
        yield node
    parts = node.value if isinstance(node, yaml.CollectionNode) else ()
    for part in parts:
        yield from _mappings(part[1] if isinstance(part, tuple) else part)


def _line(node: yaml.Node | None) -> str:
    return f", line {node.start_mark.line + 1}" if node is not None else ""


def _shown(found: Any) -> str:
    if isinstance(found, str):
        return repr(found if len(found) <= LONGEST else found[:LONGEST] + "…") if found else "nothing"
    return "a list" if isinstance(found, list) else "a mapping" if isinstance(found, dict) else "nothing"
