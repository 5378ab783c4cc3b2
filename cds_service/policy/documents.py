"""Policy files as text: YAML in which every scalar stays a string until a typed model says what it is.

A safe loader would turn the NDC `00123` into a number and `no` into false. Duplicate keys, unknown keys and wrong types
are refused with the file, the place, what was found and what is allowed.
"""

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from cds_service.policy.places import LOADER, refusals, unreadable

S = TypeVar("S")
T = TypeVar("T")
_LINE = re.compile(r", line (\d+)")


class PolicyFileError(ValueError):
    """A policy file that cannot be used; the message names the file, the place and what is allowed there."""


def refuse(faults: Iterable[str]) -> None:
    """Raises PolicyFileError with every fault, each once and in the order of their lines; nothing without any."""
    found = sorted(dict.fromkeys(faults), key=lambda fault: int(line[1]) if (line := _LINE.search(fault)) else 0)
    if found:
        raise PolicyFileError("\n".join(found))


def each(items: Iterable[S], read: Callable[[S], T]) -> list[T]:
    """What `read` gives of each. Raises PolicyFileError with the faults of all of them, one after another."""
    found, faults = [], []
    for item in items:
        try:
            found.append(read(item))
        except PolicyFileError as error:
            faults.append(str(error))
    if faults:
        raise PolicyFileError("\n".join(faults))
    return found


class _TextLoader(LOADER):  # type: ignore[misc]
    """BaseLoader that looks for no types, which would take half of the time, and refuses a key written twice."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        """No tag: `construct_document` goes by what a node is."""
        return ""

    def construct_document(self, node: yaml.Node) -> Any:
        """The node as dicts, lists and strings. Raises PolicyFileError."""
        if isinstance(node, yaml.ScalarNode):
            return sys.intern(node.value)  # many words are written again and again, in other policies too
        if node not in self.constructed_objects:  # an alias stands for what is built already
            built = self._mapping(node) if isinstance(node, yaml.MappingNode) else self._sequence(node)
            self.constructed_objects[node] = built
        return self.constructed_objects[node]

    def _sequence(self, node: yaml.Node) -> list[Any]:
        return [self.construct_document(part) for part in node.value]

    def _mapping(self, node: yaml.Node) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise PolicyFileError(f", line {line}: a key is one word, not a list or a mapping")
            if key_node.value in found:
                raise PolicyFileError(f", line {line}: the key {key_node.value!r} is written twice")
            found[key_node.value] = self.construct_document(value_node)
        return found


def read_content(path: Path) -> bytes:
    """The file as it lies there. Raises PolicyFileError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise PolicyFileError(f"{path}: {error}") from error


def parse_text(path: Path, content: bytes) -> Any:
    """The content of that file as dicts, lists and strings. Raises PolicyFileError."""
    try:
        return yaml.load(content.decode(), Loader=_TextLoader)  # noqa: S506 - a BaseLoader: text only
    except PolicyFileError as error:
        raise PolicyFileError(f"{path}{error}") from None
    except yaml.YAMLError as error:
        raise PolicyFileError(f"{path}{unreadable(error)}") from error
    except UnicodeDecodeError as error:
        raise PolicyFileError(f"{path}: {error}") from error
    except RecursionError:
        raise PolicyFileError(f"{path}: nested too deeply, or in itself") from None


def read_text(path: Path) -> Any:
    """The file's content as dicts, lists and strings. Raises PolicyFileError."""
    return parse_text(path, read_content(path))


def decode(path: Path, found: Any, wanted: type[T]) -> T:
    """`found` as the typed model `wanted`. Raises PolicyFileError naming the line."""
    try:
        return msgspec.convert(found, wanted, strict=False)
    except (msgspec.ValidationError, ValueError):
        refuse([f"{path}{refusal}" for refusal in refusals(path, found, wanted)])
        raise


def read_document(path: Path, wanted: type[T]) -> T:
    """The file as the typed model `wanted`. Raises PolicyFileError."""
    return decode(path, read_text(path), wanted)
