"""The policies of a folder, found by product and day. Loading checks each file against the names that it uses."""

from collections.abc import Mapping
from datetime import date
from hashlib import sha256
from pathlib import Path

from cds_service.policy.checks import KnownTest, policy_faults
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.documents import PolicyFileError, decode, each, parse_text, read_content, refuse
from cds_service.policy.facts import NO_NAMES, Names
from cds_service.policy.places import line_of
from cds_service.policy.policy import Policy
from cds_service.policy.value_sets import Systems, ValueSet, read_systems, read_value_sets


class Library:
    """Every policy version by product, and the value sets that they name."""

    def __init__(
        self,
        policies: tuple[CompiledPolicy, ...],
        value_sets: Mapping[str, ValueSet],
        systems: Systems,
        folder: Path | None = None,
        vocabulary_digest: str = "",
    ) -> None:
        """`folder`: where the files lie, for what is kept beside them. `vocabulary_digest`: see `load_library`."""
        self.folder = folder
        self.vocabulary_digest = vocabulary_digest
        self.policies = policies
        self.value_sets = value_sets
        self.systems = systems
        by_product: dict[str, list[CompiledPolicy]] = {}
        for policy in sorted(policies, key=lambda found: found.source.version):
            for product in policy.source.applies_to:
                by_product.setdefault(product, []).append(policy)
        self._by_product = by_product
        self.tests = frozenset(test for policy in policies for test in policy.tests)  # that some policy asks for
        self.limited = NO_NAMES.union(*(policy.limited for policy in policies))  # held against a laboratory's own limit
        self.billed = NO_NAMES.union(*(policy.billed for policy in policies))  # product sets looked for in bills
        self._by_version = {(p.source.policy.casefold(), p.source.drug, p.source.version): p for p in policies}

    @property
    def products(self) -> Names:
        """The order value sets that some policy governs."""
        return frozenset(self._by_product)

    def in_force(self, products: Names, day: date) -> CompiledPolicy | None:
        """The version in force on `day` of the policy for one of `products`; None when none governs them.

        An order that matches two governed products names two drugs: see `governing`.
        """
        found = self.governing(products, day)
        return found[0] if len(found) == 1 else None

    def governing(self, products: Names, day: date) -> tuple[CompiledPolicy, ...]:
        """Every policy in force on `day` that governs one of `products`, one version each."""
        found = []
        for product in sorted(products & self._by_product.keys()):
            versions = [policy for policy in self._by_product[product] if policy.source.version <= day]
            if versions:
                found.append(versions[-1])
        return tuple(found)

    def governed_since(self, products: Names, today: date) -> date | None:
        """The first day on which a policy governed one of `products`; None where no policy does, or not yet."""
        first = [self._by_product[product][0].source.version for product in products & self._by_product.keys()]
        return min((day for day in first if day <= today), default=None)

    def current(self, day: date) -> tuple[CompiledPolicy, ...]:
        """Every policy in force on `day`, one version for each drug."""
        return self.governing(self.products, day)

    def version(self, policy: str, drug: str, version: date) -> CompiledPolicy | None:
        """That version of the policy, or None."""
        return self._by_version.get((policy.casefold(), drug, version))


def load_library(folder: Path, tests: Mapping[str, KnownTest], vocabulary_digest: str = "") -> Library:
    """The library of a `policies/` folder. `tests` are the known tests by name.

    `vocabulary_digest` stands for all files by which charts are read; empty where nobody is to tell them from others.
    Raises PolicyFileError with the file, the place and what is allowed there.
    """
    value_sets = read_value_sets(folder / "value_sets")
    systems = read_systems(folder / "value_sets")
    files = sorted(path for path in folder.glob("*/*/*.yaml") if not path.name.startswith("cases"))
    if not files:
        raise PolicyFileError(f"{folder}: no policy file found; expected <policy>/<drug>/<first day in force>.yaml")
    policies = tuple(each(files, lambda path: _read_policy(path, value_sets, systems, tests)))
    _refuse_two_of_one_product(policies, files)
    return Library(policies, value_sets, systems, folder, vocabulary_digest)


def _read_policy(
    path: Path, value_sets: Mapping[str, ValueSet], systems: Systems, tests: Mapping[str, KnownTest]
) -> CompiledPolicy:
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
    return policy


def _refuse_two_of_one_product(policies: tuple[CompiledPolicy, ...], files: list[Path]) -> None:
    """Versions of one policy follow each other; two policies for one product would silently end each other."""
    first: dict[str, Path] = {}
    for policy, path in zip(policies, files, strict=True):
        for product in policy.source.applies_to:
            other = first.setdefault(product, path)
            if other.parent != path.parent:
                where = line_of(path, product)
                raise PolicyFileError(f"{path}{where}: {product!r} is governed by another policy too, {other}")
