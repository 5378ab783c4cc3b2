"""Value sets: the codes and words by which a policy recognises a drug, a condition, a specialty or a line of business.

One YAML file each under `policies/value_sets/`. `systems.yaml` there gives each short system name its URIs: the first
is the one that is written, the others are aliases seen in the wild.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from cds_service.policy.documents import each, read_document, refuse
from cds_service.policy.places import line_of, nearest

Kind = Literal["condition", "product", "specialty", "site", "statement", "coverage"]


class Code(Struct, frozen=True, forbid_unknown_fields=True):
    """One code, how it reads, and where it was verified."""

    system: str  # short name from systems.yaml
    code: str
    display: str = ""
    status: Literal["verified", "partial"] = "verified"  # partial: the code must be borne out by the text beside it
    source: str = ""
    note: str = ""
    below: bool = False  # every code of that hierarchy too: all codes that begin with this one


class Words(Struct, frozen=True, forbid_unknown_fields=True):
    """Regular expressions, case-insensitive; `exclude` beats `match` and beats the codes."""

    match: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class ValueSet(Struct, frozen=True, forbid_unknown_fields=True):
    """One named set."""

    name: str
    title: str
    kind: Kind
    codes: tuple[Code, ...] = ()
    exclude: tuple[Code, ...] = ()
    text: Words = Words()
    note: str = ""


class Systems(Struct, frozen=True, forbid_unknown_fields=True):
    """Short system name → its URIs, the one to write first."""

    systems: Mapping[str, tuple[str, ...]]


def read_value_sets(folder: Path) -> dict[str, ValueSet]:
    """Every set of the folder by name. Raises PolicyFileError."""
    files = sorted(path for path in folder.glob("*.yaml") if path.name != "systems.yaml")
    systems = read_systems(folder).systems
    return {found.name: found for found in each(files, lambda path: _read_value_set(path, systems))}


def _read_value_set(path: Path, systems: Mapping[str, tuple[str, ...]]) -> ValueSet:
    found = read_document(path, ValueSet)
    refuse(_faults(path, found, systems))
    return found


def _faults(path: Path, found: ValueSet, systems: Iterable[str]) -> Iterator[str]:
    if found.name != path.stem:
        where = line_of(path, found.name)
        yield f"{path}{where}: the name is {found.name!r}; expected the file's own, {path.stem!r}"
    for code in (*found.codes, *found.exclude):
        if code.system not in systems:
            yield unknown_system(path, code, systems)
    if not (found.codes or found.text.match):
        yield f"{path}: neither `codes` nor `text` with `match`: nothing would ever be found by it"
    yield from broken_patterns(path, found.text)


def broken_patterns(path: Path, words: Words) -> Iterator[str]:
    """The words against each pattern that is none."""
    for pattern in (*words.match, *words.exclude):
        try:
            re.compile(pattern)
        except re.error as error:
            yield f"{path}{line_of(path, pattern)}: {pattern!r} is no regular expression: {error}"


def unknown_system(path: Path, code: Code, systems: Iterable[str]) -> str:
    """The words against a code of a system that systems.yaml does not have."""
    where = line_of(path, code.code)
    meant = nearest(code.system, systems)
    return f"{path}{where}: code {code.code}: no system {code.system!r} in systems.yaml{meant}"


def read_systems(folder: Path) -> Systems:
    """The code systems of the folder. Raises PolicyFileError."""
    return read_document(folder / "systems.yaml", Systems)
