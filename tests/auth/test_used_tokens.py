"""The file of used tokens: one winner for each token, whatever thread, process or start it is."""

import multiprocessing
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from issuing import ISS, NOW, Clock, authenticator, refused, signed

from cds_service.auth.replay import ReplayStoreError, SeenTokensFile, token_digest
from cds_service.auth.tokens import Reason

LATER = NOW + 360


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is: in a folder that is not there yet."""
    return tmp_path / "data" / "used-tokens.sqlite3"


@pytest.fixture
def clock() -> Clock:
    """The clock of the store."""
    return Clock()


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[SeenTokensFile]:
    """An open store."""
    found = SeenTokensFile(path, clock)
    yield found
    found.close()


def rows(path: Path) -> int:
    """How many tokens the file holds."""
    with sqlite3.connect(path) as connection:
        (count,), (total,) = (
            connection.execute("SELECT COUNT(*) FROM seen").fetchone(),
            connection.execute("SELECT rows FROM total").fetchone(),
        )
    connection.close()
    assert count == total
    return int(count)


def test_a_token_is_used_once(store: SeenTokensFile) -> None:
    """The second use is known; another `jti` and another issuer's are not."""
    assert store.first_use(ISS, "a", LATER)
    assert not store.first_use(ISS, "a", LATER)
    assert not store.first_use(ISS, "a", LATER + 9)
    assert store.first_use(ISS, "b", LATER)
    assert store.first_use(ISS + "/other", "a", LATER)


def test_a_file_that_was_removed_is_left_by_all_who_had_it_open(store: SeenTokensFile, path: Path) -> None:
    """Else each process that opened it before would let every token through once more, for as long as it runs."""
    assert store.first_use(ISS, "before", LATER)
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    newer = SeenTokensFile(path, Clock())
    assert newer.first_use(ISS, "a", LATER)
    assert not store.first_use(ISS, "a", LATER)
    assert store.first_use(ISS, "b", LATER)
    assert not newer.first_use(ISS, "b", LATER)
    newer.close()


def test_issuer_and_name_are_kept_apart(store: SeenTokensFile) -> None:
    """Two pairs that read the same when joined are two tokens."""
    assert store.first_use("ab", "c", LATER)
    assert store.first_use("a", "bc", LATER)
    assert token_digest("1", "1:x") != token_digest("11", ":x")


def test_a_token_that_ran_out_may_be_named_again(store: SeenTokensFile, clock: Clock) -> None:
    """Until its last second a name is taken, and then free."""
    store.first_use(ISS, "a", LATER)
    clock.now = LATER - 1
    assert not store.first_use(ISS, "a", LATER + 300)
    clock.now = LATER
    assert store.first_use(ISS, "a", LATER + 300)
    assert not store.first_use(ISS, "a", LATER + 300)


def test_a_clock_that_is_set_back_makes_no_used_token_good_again(store: SeenTokensFile, clock: Clock) -> None:
    """What ran out was forgotten; whether a token of that age was used cannot be told, and of a newer one it can."""
    store.first_use(ISS, "a", LATER)
    clock.now = LATER
    assert all(store.first_use(ISS, f"later {number}", LATER + 300) for number in range(70))
    clock.now = NOW
    with pytest.raises(ReplayStoreError, match="set back"):
        store.first_use(ISS, "a", LATER)
    assert store.first_use(ISS, "b", LATER + 1)
    assert not store.first_use(ISS, "later 0", LATER + 300)


def test_one_of_32_threads_wins(store: SeenTokensFile) -> None:
    """32 threads with the same token have one winner, each time."""
    with ThreadPoolExecutor(32) as pool:
        for turn in range(5):
            ready = threading.Barrier(32)

            def use(name: str, ready: threading.Barrier = ready) -> bool:
                ready.wait(5)
                return store.first_use(ISS, name, LATER)

            assert sum(pool.map(use, [f"token-{turn}"] * 32)) == 1


_USE = """
import sys
from pathlib import Path
from cds_service.auth.replay import SeenTokensFile
store = SeenTokensFile(Path(sys.argv[1]), lambda: 1_795_521_600, wait_s=20)
sys.stdin.readline()
print(sum(store.first_use("https://ehr.example.org", f"token-{n}", 1_795_521_960) for n in range(200)))
"""


def test_one_of_several_processes_wins(path: Path) -> None:
    """Four processes that use the same 200 tokens, on a file that is not there yet, win each one once in all."""
    command = [sys.executable, "-c", _USE, str(path)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
        for _ in range(4)
    ]
    for one in started:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    assert sum(int(one.communicate(timeout=60)[0]) for one in started) == 200
    assert rows(path) == 200


def test_a_restart_forgets_nothing(path: Path, clock: Clock) -> None:
    """A token that was used before the process was killed is known to the next one."""
    code = _USE + "\nimport os, signal\nsys.stdout.flush()\nos.kill(os.getpid(), signal.SIGKILL)"
    killed = subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-c", code, str(path)], input="go\n", capture_output=True, text=True, timeout=60, check=False
    )
    assert (killed.stdout.strip(), killed.returncode) == ("200", -9)
    store = SeenTokensFile(path, clock)
    assert not any(store.first_use(ISS, f"token-{n}", LATER) for n in range(200))
    store.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of a fork beside other tests' threads
def test_a_forked_process_opens_the_file_anew(store: SeenTokensFile) -> None:
    """After a fork, child and parent both know what either has used, even when the lock was held meanwhile."""
    store.first_use(ISS, "before", LATER)
    child_has = multiprocessing.get_context("fork").SimpleQueue()

    def child() -> None:
        child_has.put([store.first_use(ISS, name, LATER) for name in ("before", "child")])

    with store._lock:
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
    process.join(10)
    assert child_has.get() == [False, True]
    assert not store.first_use(ISS, "child", LATER)
    assert store.first_use(ISS, "parent", LATER)


def test_a_full_file_refuses(path: Path, clock: Clock) -> None:
    """When as many tokens are kept as may be, a new one is refused, a known one known, and readiness says so."""
    store = SeenTokensFile(path, clock, most_rows=3)
    assert all(store.first_use(ISS, name, LATER) for name in "abc")
    with pytest.raises(ReplayStoreError, match="full"):
        store.first_use(ISS, "d", LATER)
    assert not store.first_use(ISS, "a", LATER)
    with pytest.raises(ReplayStoreError, match="full"):
        store.check()
    assert refused(signed(), by=authenticator(seen=store)) is Reason.STORE
    clock.now = LATER
    store.check()
    assert store.first_use(ISS, "d", LATER + 300)
    assert rows(path) == 1
    store.close()


def test_what_ran_out_is_purged(store: SeenTokensFile, path: Path, clock: Clock) -> None:
    """The file holds the tokens of about one lifetime, however many come."""
    for number in range(3000):
        clock.now = NOW + number
        store.first_use(ISS, f"token-{number}", int(clock.now) + 300)
    assert 300 <= rows(path) < 500


def test_a_locked_file_refuses(path: Path, clock: Clock) -> None:
    """While another process keeps the file locked, tokens are refused in time; afterwards they are let in."""
    store = SeenTokensFile(path, clock, wait_s=0.2)
    store.first_use(ISS, "a", LATER)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(store.first_use, ISS, name, LATER) for name in "bcdefghi"]
        assert all(isinstance(one.exception(), ReplayStoreError) for one in found)
    assert time.monotonic() - started < 0.6
    with pytest.raises(ReplayStoreError):
        store.check()
    other.execute("ROLLBACK")
    other.close()
    store.check()
    assert store.first_use(ISS, "b", LATER)
    store.close()


def test_a_file_that_is_no_store_refuses(path: Path, clock: Clock) -> None:
    """A broken file is refused and not replaced: what it knew is lost, and nothing may be let in instead."""
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 1000)
    for _ in range(2):
        with pytest.raises(ReplayStoreError):
            SeenTokensFile(path, clock).first_use(ISS, "a", LATER)
    assert path.read_bytes().startswith(b"not a database")


def test_a_place_that_cannot_be_written_refuses(tmp_path: Path, clock: Clock) -> None:
    """Where no file can be made tokens are refused, until it can."""
    (tmp_path / "data").write_text("a file where the folder should be")
    store = SeenTokensFile(tmp_path / "data" / "used", clock)
    with pytest.raises(ReplayStoreError):
        store.first_use(ISS, "a", LATER)
    with pytest.raises(ReplayStoreError):
        store.check()
    assert refused(signed(), by=authenticator(seen=store)) is Reason.STORE
    (tmp_path / "data").unlink()
    assert store.first_use(ISS, "a", LATER)
    store.close()


def test_a_full_disk_refuses(store: SeenTokensFile, path: Path) -> None:
    """When the file cannot grow, tokens are refused at once and no row is half there."""
    store.first_use(ISS, "a", LATER)
    assert store._connection is not None
    store._connection.execute("PRAGMA max_page_count = 1")

    def fill() -> None:
        for number in range(500):
            store.first_use(ISS, f"token-{number}", LATER)

    started = time.monotonic()
    with pytest.raises(ReplayStoreError, match="FULL"):
        fill()
    assert time.monotonic() - started < 0.4  # it is not a lock that would pass
    assert rows(path) > 0


def test_a_full_disk_is_told_to_who_asks_for_readiness(tmp_path: Path) -> None:
    """Not only to the call whose token cannot be noted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:  # noqa: S603
        pytest.skip("no small file system can be made here")
    store = SeenTokensFile(disk / "used-tokens.sqlite3")
    try:
        store.check()
        with suppress(OSError), (disk / "filling").open("wb", buffering=0) as filling:
            while filling.write(bytes(4096)):
                pass
        with pytest.raises(ReplayStoreError, match=r"FULL|IOERR"):
            store.check()
        (disk / "filling").unlink()
        store.check()
    finally:
        store.close()
        subprocess.run(["umount", str(disk)], check=True)  # noqa: S603, S607


def test_no_token_is_on_disk(store: SeenTokensFile, path: Path) -> None:
    """Neither issuer nor `jti` can be read in the files, and nobody else may read them."""
    store.first_use(ISS, "marked-token-id", LATER)
    files = sorted(path.parent.iterdir())
    assert files
    for file in files:
        assert b"marked-token-id" not in file.read_bytes()
        assert ISS.encode() not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0
    assert os.stat(path.parent).st_mode & 0o077 == 0
