"""Policies are kept small, and made ready to be asked when their drug is ordered."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from weakref import ref

from msgspec import to_builtins
from msgspec.structs import replace

from cds_service.app import POLICIES, load_knowledge
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.library import Library

DAY = date(2026, 11, 24)
HEMGENIX = frozenset({"order.hemgenix"})


def copies(count: int) -> Library:
    """So many policies, each for a drug of its own."""
    known = load_knowledge().library
    (one,) = (kept for kept in known.versions if kept.drug == "hemgenix")
    drugs = [f"copy{number}" for number in range(count)]
    versions = [replace(one, drug=drug, applies_to=(f"order.{drug}",)) for drug in drugs]
    return Library(versions, known.value_sets, known.systems)


def ordered(library: Library, drug: str) -> CompiledPolicy:
    """The policy that an order of the drug is judged by."""
    (policy,) = library.governing(frozenset({f"order.{drug}"}), DAY)
    return policy


def test_what_is_ordered_often_stays_ready() -> None:
    """Its policy is not made a second time."""
    library = copies(2)
    assert ordered(library, "copy0") is ordered(library, "copy0")
    assert ordered(library, "copy0") is not ordered(library, "copy1")


def test_memory_does_not_grow_with_the_drugs_that_were_ordered() -> None:
    """What was not ordered for long is let go, and made again when it is."""
    library = copies(40)
    first = ref(ordered(library, "copy0"))
    for number in range(40):
        ordered(library, f"copy{number}")
    assert first() is None
    assert ordered(library, "copy0").source.policy == "PHARMACY-109"


def test_threads_that_ask_at_once_all_get_the_policy() -> None:
    """Whichever of them makes it."""
    library = copies(40)
    with ThreadPoolExecutor(8) as threads:
        for number in range(40):
            found = list(threads.map(lambda _, drug=f"copy{number}": ordered(library, drug), range(8)))
            assert {policy.source.drug for policy in found} == {"hemgenix"}
            assert len({policy.digest for policy in found}) == 1


def test_a_file_that_changes_under_a_running_service_changes_no_answer(tmp_path: Path) -> None:
    """What was read at the start holds until the next one, also of a drug that was not ordered yet."""
    folder = Path(shutil.copytree(POLICIES, tmp_path / "policies"))
    library = load_knowledge(folder).library
    shutil.rmtree(folder)
    (policy,) = library.governing(HEMGENIX, DAY)
    (read,) = load_knowledge().library.governing(HEMGENIX, DAY)
    assert to_builtins(policy.source) == to_builtins(read.source)
