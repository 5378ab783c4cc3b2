"""The lock has what the service needs, within the bounds of pyproject.toml, and nothing without a hash."""

import re
from collections.abc import Iterator

import pytest
from dockerfile_rules import PROJECT, ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKS = {name: (ROOT / "docker" / name).read_text(encoding="utf-8") for name in ("requirements.lock", "build.lock")}
TOOLS = {"test", "browser", "bench"}  # what develops the service, and is in no image
EXTRAS = [found for name, found in PROJECT["project"]["optional-dependencies"].items() if name not in TOOLS]
NEEDED = [*PROJECT["project"]["dependencies"], *(one for extra in EXTRAS for one in extra)]
HASH = re.compile(r" --hash=sha256:[0-9a-f]{64}")


def entries(text: str) -> Iterator[tuple[Requirement, int]]:
    """Each package that is locked, with the number of its hashes."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n   ", "").splitlines():
        yield Requirement(HASH.sub("", line)), len(HASH.findall(line))


def lacking(needed: str, text: str) -> bool:
    """True when the lock has no version of this package that fits."""
    wanted = Requirement(needed)
    versions = {canonicalize_name(one.name): next(iter(one.specifier)).version for one, _ in entries(text)}
    found = versions.get(canonicalize_name(wanted.name))
    return found is None or found not in wanted.specifier


@pytest.mark.parametrize("needed", NEEDED)
def test_a_runtime_dependency_is_locked_within_its_bounds(needed: str) -> None:
    """`make lock` was run after the last change of pyproject.toml, with every extra that runs in production."""
    assert not lacking(needed, LOCKS["requirements.lock"])


def test_what_builds_it_is_locked() -> None:
    """The build backend is as known as the rest."""
    assert [one for one in PROJECT["build-system"]["requires"] if lacking(one, LOCKS["build.lock"])] == []


@pytest.mark.parametrize("needed", ["flask>=3.1.3,<3.1.3.1,!=3.1.3", "flask>=99", "no-such-package"])
def test_a_package_out_of_its_bounds_is_seen(needed: str) -> None:
    """Too old, or not there at all."""
    assert lacking(needed, LOCKS["requirements.lock"])


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_one_version_with_hashes(name: str) -> None:
    """Neither a range nor an address, nor a line that pip would take without a hash."""
    found = list(entries(LOCKS[name]))
    assert found
    for one, hashes in found:
        assert [part.operator for part in one.specifier] == ["=="], one
        assert "*" not in str(one.specifier)
        assert one.url is None
        assert hashes > 0, one


@pytest.mark.parametrize("name", LOCKS)
def test_no_index_is_named(name: str) -> None:
    """Whoever builds it takes the packages from where they take packages."""
    assert "://" not in LOCKS[name]
    assert not re.search(r"^\s*--(?!hash)", LOCKS[name], re.MULTILINE)
