"""The locked dependencies agree with those of pyproject.toml."""

import re
import tomllib
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from recipe import DOCKER, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
WANTED = [*PROJECT["project"]["dependencies"], *EXTRAS["postgres"], *EXTRAS["redis"]]


def entries(name: str) -> Iterator[tuple[Requirement, list[str]]]:
    """Each requirement of a lock, with its hashes."""
    text = re.sub(r"^\s*#.*\n", "", (DOCKER / name).read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    for line in text.splitlines():
        requirement, *hashes = re.split(r"\s+--hash=", line.strip())
        yield Requirement(requirement), hashes


def locked(name: str) -> dict[str, Version]:
    """The version of each project."""
    return {canonicalize_name(one.name): Version(str(one.specifier).removeprefix("==")) for one, _ in entries(name)}


@pytest.mark.parametrize("wanted", WANTED)
def test_what_is_asked_for_is_locked(wanted: str) -> None:
    """At a version that pyproject.toml takes; otherwise `make lock`."""
    requirement, versions = Requirement(wanted), locked("requirements.lock")
    assert versions[canonicalize_name(requirement.name)] in requirement.specifier


def test_the_build_is_locked() -> None:
    """The same for what builds the wheel."""
    (requirement,) = map(Requirement, PROJECT["build-system"]["requires"])
    assert locked("build.lock")[requirement.name] in requirement.specifier


@pytest.mark.parametrize("name", ["requirements.lock", "build.lock"])
def test_every_entry_is_one_version_by_hash(name: str) -> None:
    """No range, no URL, no entry without its SHA-256."""
    found = list(entries(name))
    assert found
    for requirement, hashes in found:
        assert re.fullmatch(r"==[\w.!+]+", str(requirement.specifier)), requirement
        assert requirement.url is None
        assert hashes
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes)


def test_what_tests_need_is_not_in_it() -> None:
    """The image has nothing that it does not run."""
    assert not {"pytest", "hypothesis", "ruff", "mypy", "setuptools"} & set(locked("requirements.lock"))
