"""Policy files that were checked once are not checked again at the next start; whatever was changed is."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import to_builtins
from msgspec.msgpack import Encoder
from served import served

from cds_service import checked as module
from cds_service.app import POLICIES, load_knowledge
from cds_service.checked import KEPT, Checked, checked
from cds_service.policy.documents import PolicyFileError

packed = Encoder(order="deterministic").encode
FILE = "pharmacy-109/hemgenix/2025-11-20.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped policies."""
    return Path(shutil.copytree(POLICIES, tmp_path / "policies", ignore=shutil.ignore_patterns("*.elm.json", "*.cql")))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders whose files were checked, one entry for each time."""
    found: list[Path] = []
    check: Callable[[Path], Checked] = vars(module)["_check"]

    def counted(root: Path) -> Checked:
        found.append(root)
        return check(root)

    monkeypatch.setattr(module, "_check", counted)
    return found


def written(path: Path, old: str, new: str) -> None:
    """Changes the file, where it says `old`."""
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_a_later_start_finds_all_that_the_first_one_checked(folder: Path, data: Path, checks: list[Path]) -> None:
    """To the last value of every policy, value set and test."""
    first = checked(folder, data)
    assert packed(checked(folder, data)) == packed(first)
    assert checks == [folder]


def test_a_kept_policy_is_the_one_of_the_file(data: Path) -> None:
    """What is asked of charts after a later start is what a start without anything kept would ask."""
    load_knowledge(data_dir=data)
    later, read = load_knowledge(data_dir=data), load_knowledge()
    assert to_builtins([one.source for one in later.library.policies]) == to_builtins(
        [one.source for one in read.library.policies]
    )
    assert later.library.value_sets == read.library.value_sets
    assert later.labs.tests == read.labs.tests
    assert later.library.vocabulary_digest == read.library.vocabulary_digest


def change_of_a_policy(folder: Path) -> None:
    written(folder / FILE, "age: {at_least: 18}", "age: {at_least: 12}")


def change_of_a_value_set(folder: Path) -> None:
    written(folder / "value_sets" / "order.hemgenix.yaml", "J1411", "J1412")


def a_new_value_set(folder: Path) -> None:
    text = (folder / "value_sets" / "order.hemgenix.yaml").read_text("utf-8")
    (folder / "value_sets" / "order.other.yaml").write_text(text.replace("order.hemgenix", "order.other"), "utf-8")


def a_new_version(folder: Path) -> None:
    shutil.copy(folder / FILE, folder / "pharmacy-109/hemgenix/2026-12-01.yaml")


def a_version_under_another_day(folder: Path) -> None:
    (folder / FILE).rename(folder / "pharmacy-109/hemgenix/2025-11-21.yaml")


def tests_of_its_own(folder: Path) -> None:
    (folder / "tests.yaml").write_text("tests: []\n", "utf-8")


@pytest.mark.parametrize(
    "change",
    [
        change_of_a_policy,
        change_of_a_value_set,
        a_new_value_set,
        a_new_version,
        a_version_under_another_day,
        tests_of_its_own,
    ],
)
def test_a_changed_folder_is_checked_again(
    change: Callable[[Path], None], folder: Path, data: Path, checks: list[Path]
) -> None:
    """And what is found then is what it says now."""
    before = packed(checked(folder, data))
    change(folder)
    now = checked(folder, data)
    assert len(checks) == 2
    assert packed(now) != before


def test_a_fault_is_told_at_the_start_after_it(folder: Path, data: Path) -> None:
    """However often the folder was sound before."""
    checked(folder, data)
    written(folder / FILE, "age: {at_least: 18}", "age: {at_leest: 18}")
    for _ in range(2):
        with pytest.raises(PolicyFileError, match=r"2025-11-20\.yaml, line \d+: 'at_leest' is not known here"):
            checked(folder, data)


def test_other_code_checks_for_itself(
    folder: Path, data: Path, checks: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another release, or of the same one with a line changed."""
    checked(folder, data)
    monkeypatch.setattr(module, "release", lambda: "0.0.0")
    checked(folder, data)
    code, other = vars(module)["_READERS"]
    copy = tmp_path / "cds_service" / "policy"
    shutil.copytree(code, copy)
    monkeypatch.setattr(module, "_READERS", (copy, other))
    checked(folder, data)
    checked(folder, data)
    assert len(checks) == 2  # the copy is the same
    with (copy / "checks.py").open("a", encoding="utf-8") as file:
        file.write("# a line more\n")
    checked(folder, data)
    assert len(checks) == 3


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def unreadable(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


@pytest.mark.parametrize("damage", [cut_short, one_bit, emptied, a_folder, unreadable, Path.unlink])
def test_what_is_kept_counts_only_whole(
    damage: Callable[[Path], None], folder: Path, data: Path, checks: list[Path]
) -> None:
    """Else the files are checked as if nothing were kept."""
    first = checked(folder, data)
    damage(data / KEPT)
    assert packed(checked(folder, data)) == packed(first)
    assert len(checks) == 2


@pytest.mark.parametrize("place", ["nowhere", "file"])
def test_where_nothing_can_be_kept_every_start_checks(
    place: str, folder: Path, tmp_path: Path, checks: list[Path]
) -> None:
    """Nobody is told: nothing is amiss but the time."""
    (tmp_path / "file").touch()
    for _ in range(2):
        assert len(checked(folder, tmp_path / place).versions) == 2
    assert len(checks) == 2


def test_nothing_lies_beside_what_is_kept(folder: Path, data: Path) -> None:
    """It is written aside, and then put in its place at once."""
    checked(folder, data)
    assert [path.name for path in data.iterdir()] == [KEPT]


def test_a_folder_that_changes_while_it_is_checked_is_not_kept(
    folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not known which of the two was checked."""
    check: Any = vars(module)["_check"]

    def changing(root: Path) -> Checked:
        found: Checked = check(root)
        change_of_a_policy(root)
        return found

    monkeypatch.setattr(module, "_check", changing)
    checked(folder, data)
    assert not (data / KEPT).exists()


def test_a_service_keeps_what_it_checked(tmp_path: Path) -> None:
    """In its data folder, and its next start takes it from there."""
    times = set()
    for _ in range(2):
        with served(tmp_path):
            times.add((tmp_path / "data" / KEPT).stat().st_mtime_ns)
    assert len(times) == 1
