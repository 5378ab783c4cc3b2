"""Policy files as text: YAML in which every scalar stays a string until a typed model says what it is.

A safe loader would turn the NDC `00123` into a number and `no` into false. Duplicate keys, unknown keys and wrong types
are refused with the file, the place, what was found and what is allowed.
"""

from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from cds_service.policy.places import explained, unreadable

T = TypeVar("T")


class PolicyFileError(ValueError):
    """A policy file that cannot be used; the message names the file, the place and what is allowed there."""


class _TextLoader(yaml.CBaseLoader if hasattr(yaml, "CBaseLoader") else yaml.BaseLoader):  # type: ignore[misc]
    """BaseLoader that refuses a key written twice."""


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in found:
            raise PolicyFileError(f", line {key_node.start_mark.line + 1}: the key {key!r} is written twice")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_TextLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_text(path: Path) -> Any:
    """The file's content as dicts, lists and strings. Raises PolicyFileError."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_TextLoader)  # noqa: S506 - a BaseLoader: text only
    except PolicyFileError as error:
        raise PolicyFileError(f"{path}{error}") from None
    except yaml.YAMLError as error:
        raise PolicyFileError(f"{path}{unreadable(error)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyFileError(f"{path}: {error}") from error


def decode(path: Path, found: Any, wanted: type[T]) -> T:
    """`found` as the typed model `wanted`. Raises PolicyFileError naming the line."""
    try:
        return msgspec.convert(found, wanted, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise PolicyFileError(f"{path}{explained(path, str(error), wanted)}") from None


def read_document(path: Path, wanted: type[T]) -> T:
    """The file as the typed model `wanted`. Raises PolicyFileError."""
    return decode(path, read_text(path), wanted)
