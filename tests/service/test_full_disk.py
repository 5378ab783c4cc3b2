"""A disk without room, or one that turned read-only: the service lives, says that it is not ready, and recovers.

The disk is a file system in memory; to mount one takes root.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from served import Served, served
from signing import BY_ID, HOOK, Ehr, updated

from cds_service.smart.session import sealer
from hooks.wire import decode, encode

MET = BY_ID["demo-hemgenix-met"]

LAST = b"Connection: close\r\n\r\n"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Eight megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:  # noqa: S603
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)  # noqa: S603, S607


def fill(disk: Path) -> Path:
    """The file that takes all the room that is left, to the last byte."""
    path, piece = disk / "filler", 65_536
    with path.open("wb", buffering=0) as file:
        while piece:
            try:
                file.write(bytes(piece))
            except OSError:
                piece //= 2
    return path


def get(service: Served, path: str) -> bytes:
    return service.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n".encode() + LAST)


def is_answered(service: Served, ehr: Ehr) -> bool:
    """True for a whole answer: the card, and the order with what is said of its coverage."""
    body = encode(ehr.call(MET))
    head = f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    answer = service.send(head.encode() + LAST + body)
    found = decode(answer.partition(b"\r\n\r\n")[2])
    return answer.startswith(b"HTTP/1.1 200 ") and bool(found["cards"]) and len(updated(found)) == 1


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def workers(service: Served) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()]


def test_a_disk_that_fills_up_ends_no_worker(disk: Path, tmp_path: Path, ehr: Ehr) -> None:
    """Not even before the first call. What is said meanwhile is whole, and so is what is said right afterwards."""
    (tmp_path / "kept").mkdir()
    with served(tmp_path / "kept", CDS_AUTH="off", CDS_DATA_DIR=str(disk)) as service:
        assert within(5, lambda: len(workers(service)) == 2)
        before = workers(service)
        filler = fill(disk)
        for _ in range(6):
            assert is_answered(service, ehr)
        assert b"503" in get(service, "/health/ready").split(b"\r\n", 1)[0]
        assert b"cds_unrecorded_total" in get(service, "/metrics")
        filler.unlink()
        for _ in range(6):
            assert is_answered(service, ehr)
        assert within(5, lambda: b" 200 " in get(service, "/health/ready").split(b"\r\n", 1)[0])
        assert workers(service) == before


def test_a_worker_that_begins_on_a_full_disk_lives(disk: Path, tmp_path: Path, ehr: Ehr) -> None:
    """One that was killed is replaced, and answers; the service does not end with it."""
    (tmp_path / "kept").mkdir()
    with served(tmp_path / "kept", CDS_AUTH="off", CDS_WORKERS="1", CDS_DATA_DIR=str(disk)) as service:
        (before,) = workers(service)
        filler = fill(disk)
        os.kill(before, signal.SIGKILL)
        assert within(10, lambda: workers(service) not in ([], [before]))
        assert within(10, lambda: b"200 OK" in get(service, "/health/live"))
        assert is_answered(service, ehr)
        assert b"cds_calls_total{" in get(service, "/metrics")
        filler.unlink()
        assert within(5, lambda: b" 200 " in get(service, "/health/ready").split(b"\r\n", 1)[0])


def test_what_cannot_be_deleted_of_a_worker_that_ended_ends_nobody_else(tmp_path: Path) -> None:
    """A folder stands for the file on a disk that turned read-only: neither can be removed."""
    with served(tmp_path, CDS_AUTH="off", CDS_WORKERS="1") as service:
        (before,) = workers(service)
        gauges = tmp_path / "data" / "metrics" / f"gauge_livesum_{before}.db"
        gauges.unlink()
        gauges.mkdir()
        os.kill(before, signal.SIGKILL)
        assert within(10, lambda: workers(service) not in ([], [before]))
        gauges.rmdir()
        assert within(10, lambda: b"200 OK" in get(service, "/health/live"))


@pytest.mark.parametrize("cut_to", [0, 20])
def test_a_key_that_was_cut_off_with_the_power_is_made_anew(cut_to: int, tmp_path: Path) -> None:
    """Forms that are open are signed in to again; the service starts."""
    sealer(tmp_path, "")
    key = tmp_path / "form-sessions.key"
    key.write_bytes(key.read_bytes()[:cut_to])
    sealer(tmp_path, "")
    assert len(key.read_bytes()) == 44
    assert [path.name for path in tmp_path.iterdir()] == [key.name]
