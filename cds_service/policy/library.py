"""The policies of a folder, found by product and day. Loading checks each file against the names that it uses."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from cds_service.policy.checks import KnownTest, policy_faults
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.documents import PolicyFileError, decode, each, parse_text, read_content, refuse
from cds_service.policy.facts import NO_NAMES, Names
from cds_service.policy.kept import KeptPolicy, keep
from cds_service.policy.places import line_of
from cds_service.policy.policy import Policy
from cds_service.policy.value_sets import Systems, ValueSet, read_systems, read_value_sets

_READY = 32  # policies that stay ready; at a quarter of a megabyte each


class Library:
    """Every policy version by product, and the value sets that they name.

    A version is made ready when it is asked for; those that were asked for last stay ready, in memory that does not
    grow with the number of policies.
    """

    def __init__(
        self,
        versions: Iterable[KeptPolicy],
        value_sets: Mapping[str, ValueSet],
        systems: Systems,
        folder: Path | None = None,
        vocabulary_digest: str = "",
    ) -> None:
        """`folder`: where the files lie, for what is kept beside them.

        `vocabulary_digest` stands for all files by which charts are read; empty where nobody is to tell them apart.
        """
        self.folder = folder
        self.vocabulary_digest = vocabulary_digest
        self.versions = tuple(versions)
        self.value_sets = value_sets
        self.systems = systems
        by_product: dict[str, list[KeptPolicy]] = {}
        for kept in sorted(self.versions, key=lambda found: found.version):
            for product in kept.applies_to:
                by_product.setdefault(product, []).append(kept)
        self._by_product = by_product
        self.tests = NO_NAMES.union(*(kept.tests for kept in self.versions))  # that some policy asks for
        self.limited = NO_NAMES.union(*(kept.limited for kept in self.versions))  # held against a laboratory's limit
        self.billed = NO_NAMES.union(*(kept.billed for kept in self.versions))  # product sets looked for in bills
        self._by_version = {(kept.policy.casefold(), kept.drug, kept.version): kept for kept in self.versions}
        self.ready: Callable[[KeptPolicy], CompiledPolicy] = lru_cache(_READY)(KeptPolicy.compiled)

    @property
    def policies(self) -> tuple[CompiledPolicy, ...]:
        """Every version, made anew: for tools that go through them all."""
        return tuple(kept.compiled() for kept in self.versions)

    @property
    def products(self) -> Names:
        """The order value sets that some policy governs."""
        return frozenset(self._by_product)

    def governing(self, products: Names, day: date) -> tuple[CompiledPolicy, ...]:
        """Every policy in force on `day` that governs one of `products`, one version each.

        An order that matches two governed products names two drugs.
        """
        return tuple(self.ready(kept) for kept in self._governing(products, day))

    def _governing(self, products: Names, day: date) -> Iterator[KeptPolicy]:
        for product in sorted(products & self._by_product.keys()):
            versions = [kept for kept in self._by_product[product] if kept.version <= day]
            if versions:
                yield versions[-1]

    def governed_since(self, products: Names, today: date) -> date | None:
        """The first day on which a policy governed one of `products`; None where no policy does, or not yet."""
        first = [self._by_product[product][0].version for product in products & self._by_product.keys()]
        return min((day for day in first if day <= today), default=None)

    def current(self, day: date) -> tuple[KeptPolicy, ...]:
        """Every policy in force on `day`, one version for each drug."""
        return tuple(self._governing(self.products, day))

    def version(self, policy: str, drug: str, version: date) -> CompiledPolicy | None:
        """That version of the policy, or None."""
        kept = self._by_version.get((policy.casefold(), drug, version))
        return self.ready(kept) if kept is not None else None


def load_library(folder: Path, tests: Mapping[str, KnownTest]) -> Library:
    """The library of a `policies/` folder, every file of it checked. `tests` are the known tests by name.

    Raises PolicyFileError with the file, the place and what is allowed there.
    """
    value_sets = read_value_sets(folder / "value_sets")
    systems = read_systems(folder / "value_sets")
    files = policy_files(folder)
    if not files:
        raise PolicyFileError(f"{folder}: no policy file found; expected <policy>/<drug>/<first day in force>.yaml")
    versions = each(files, lambda path: _read_policy(path, value_sets, systems, tests))
    _refuse_two_of_one_product(versions, files)
    return Library(versions, value_sets, systems, folder)


def policy_files(folder: Path) -> list[Path]:
    """The policy files of a `policies/` folder."""
    return sorted(path for path in folder.glob("*/*/*.yaml") if not path.name.startswith("cases"))


def _read_policy(
    path: Path, value_sets: Mapping[str, ValueSet], systems: Systems, tests: Mapping[str, KnownTest]
) -> KeptPolicy:
    try:
        version = date.fromisoformat(path.stem)
    except ValueError:
        raise PolicyFileError(f"{path}: the file's name must be the first day in force, like 2025-11-20.yaml") from None
    content = read_content(path)
    written = parse_text(path, content)
    if isinstance(written, dict):
        if "version" in written:
            raise PolicyFileError(f"{path}: expected no `version`: the file's name is the version")
        written["version"] = version.isoformat()
    policy = CompiledPolicy(decode(path, written, Policy), sha256(content).hexdigest())
    refuse(policy_faults(path, policy, value_sets, systems.systems, tests))
    return keep(policy)


def _refuse_two_of_one_product(versions: list[KeptPolicy], files: list[Path]) -> None:
    """Versions of one policy follow each other; two policies for one product would silently end each other."""
    first: dict[str, Path] = {}
    for kept, path in zip(versions, files, strict=True):
        for product in kept.applies_to:
            other = first.setdefault(product, path)
            if other.parent != path.parent:
                where = line_of(path, product)
                raise PolicyFileError(f"{path}{where}: {product!r} is governed by another policy too, {other}")
