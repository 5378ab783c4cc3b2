"""Where in a policy file something stands, and what may stand there: for the words of a refusal.

Looked up only when a file is refused: reading one keeps no places.
"""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec.inspect as types
import yaml

_STEP = re.compile(r"\.(?P<field>[^.\[]+)|\[(?P<index>\d+|\.\.\.)\]")
_AT = re.compile(r" - at `(key in )?\$(?P<steps>.*)`$")
_FIELD = re.compile(r"^Object (contains unknown|missing required) field `(?P<name>[^`]*)`$")
_TYPE = re.compile(r"^Expected `(?P<wanted>[^`]*)`, got `(?P<found>[^`]*)`$")
_FOUND = re.compile(r"found '(.*)'$")
_NUMBER = re.compile(r"^Invalid (decimal|number) string")
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
# What the YAML reader says, and what the writer of a policy can do about it.
_PROBLEMS = (
    (
        "mapping values are not allowed",
        "a second `: ` in one line, or a line indented too far; a text with `: ` stands in quotes",
    ),
    ("cannot start any token", "a tab, or a text that begins with a sign; indent with spaces, put the text in quotes"),
    ("'-' indicator", "this line is indented otherwise than the lines above it that belong to the same list"),
    ("expected key", "this line is indented otherwise than the lines above it, or a quote is not closed"),
    ("block end", "this line is indented otherwise than the lines above it, or a quote is not closed"),
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


def line_of(path: Path, text: str) -> str:
    """`, line 12` of the first place where `text` stands by itself in the file; empty where it does not."""
    return _line([node for node in _scalars(_root(path)) if node.value == text])


def line_at(path: Path, *steps: str | int) -> str:
    """`, line 12` of the value that the steps lead to, names of mappings and places in lists; empty where none is."""
    node = _root(path)
    for step in steps:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        elif isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == step), None)
        else:
            node = None
    return _line([node] if node is not None else [])


def explained(path: Path, message: str, wanted: type) -> str:
    """A refusal of the typed model as `, line 12: what was found and what is expected`."""
    root = _root(path)
    if root is None:
        return f": {message}"
    at = _AT.search(message)
    said = message[: at.start()] if at else message
    steps = [(one["field"], one["index"]) for one in _STEP.finditer(at["steps"])] if at else []
    nodes, kind = _walk(root, types.type_info(wanted), steps)
    field, typed, enum = _FIELD.match(said), _TYPE.match(said), _ENUM.match(said)
    if field is not None and "unknown" in field[0]:
        name = field["name"]
        keys = [key for node in nodes for key in _keys(node) if key.value == name]
        known = [one.encode_name for one in kind.fields] if isinstance(kind, types.StructType) else []
        return f"{_line(keys or nodes)}: {name!r} is not known here{nearest(name, known)}"
    if field is not None:
        lacking = [node for node in nodes if field["name"] not in [key.value for key in _keys(node)]]
        return f"{_line(lacking or nodes)}: `{field['name']}` is missing{_beside(lacking)}"
    name = next((f"`{field}`: " for field, _ in reversed(steps) if field is not None), "")
    if _NUMBER.match(said):
        return f"{_line(nodes)}: {name}expected a number, found {_shown(nodes)}"
    if typed is not None:
        names = [one.strip() for one in typed["wanted"].split("|") if one.strip() != "null"]
        expected = " or ".join(_WORDS.get(one, one) for one in names)
        if "int" in names:
            nodes = [node for node in nodes if not str(node.value).isdecimal()] or nodes
        return f"{_line(nodes)}: {name}expected {expected}, found {_shown(nodes)}"
    if enum is not None:
        nodes = [node for node in nodes if getattr(node, "value", None) == enum["found"]] or nodes
        return f"{_line(nodes)}: {name}{enum['found']!r} is not known here{nearest(enum['found'], _values(kind))}"
    quoted = _FOUND.search(said)
    about = [node for root in nodes for node in _scalars(root) if quoted is not None and node.value == quoted[1]]
    return f"{_line(about or nodes)}: {said}"


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


def _keys(node: yaml.Node) -> list[yaml.Node]:
    return [key for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []


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


def _walk(
    root: yaml.Node | None, kind: types.Type, steps: list[tuple[str | None, str | None]]
) -> tuple[list[yaml.Node], types.Type]:
    """The nodes that the steps lead to (several where a step names any entry of a mapping), and their type."""
    nodes = [root] if root is not None else []
    for field, index in steps:
        kind, further = _below(kind, field), []
        for node in nodes:
            if isinstance(node, yaml.SequenceNode) and index is not None and index.isdigit():
                further += node.value[int(index) : int(index) + 1]
            elif isinstance(node, yaml.MappingNode):
                further += [value for key, value in node.value if field is None or key.value == field]
        if not further:
            break
        nodes = further
    return nodes, _without_null(kind)


def _below(kind: types.Type, field: str | None) -> types.Type:
    kind = _without_null(kind)
    if isinstance(kind, types.StructType) and field is not None:
        return next((one.type for one in kind.fields if one.encode_name == field), types.AnyType())
    if isinstance(kind, types.DictType):
        return kind.value_type
    inner = getattr(kind, "item_type", None)
    return inner if inner is not None else types.AnyType()


def _without_null(kind: types.Type) -> types.Type:
    if not isinstance(kind, types.UnionType):
        return kind
    composed = (types.StructType, types.VarTupleType, types.DictType)
    return next((one for one in kind.types if isinstance(one, composed)), kind)


def _values(kind: types.Type) -> list[str]:
    kind = getattr(kind, "item_type", kind)
    if isinstance(kind, types.EnumType):
        return [str(one.value) for one in kind.cls]
    if isinstance(kind, types.LiteralType):
        return [str(one) for one in kind.values]
    if isinstance(kind, types.UnionType):
        return [value for one in kind.types for value in _values(one)]
    return []


def _line(nodes: list[yaml.Node]) -> str:
    return f", line {nodes[0].start_mark.line + 1}" if nodes else ""


def _beside(nodes: list[yaml.Node]) -> str:
    names = ", ".join(key.value for key in _keys(nodes[0])) if nodes else ""
    return f"; found {names}" if names else ""


def _shown(nodes: list[yaml.Node]) -> str:
    if not nodes:
        return "nothing"
    if isinstance(nodes[0], yaml.ScalarNode):
        text = nodes[0].value
        return repr(text if len(text) <= LONGEST else text[:LONGEST] + "…")
    return "a list" if isinstance(nodes[0], yaml.SequenceNode) else "a mapping"
