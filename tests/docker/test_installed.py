"""What the Dockerfile does, without a container: installed from the locks, started in an empty folder."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from dockerfile_rules import ROOT, command, copied, environment
from signing import HOOK, call_of, context_of, determinations, whole_record

from cds_service.demo.stories import stories
from hooks.wire import encode

DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
STORY = "demo-hemgenix-met"
FROM_WHEELS = ("--only-binary=:all:", "--require-hashes", "--quiet", "--disable-pip-version-check")
FROM_HERE = ("--no-index", "--no-deps", "--quiet", "--disable-pip-version-check")
NOBODY = 65534


def reachable(path: Path) -> bool:
    """True when any user can get at it."""
    return all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)


def python_for_all() -> str:
    """A Python of this version that any user can start; this one where there is no other."""
    own = Path(sys.executable).resolve()
    system = Path("/usr/bin", f"python{sysconfig.get_python_version()}")
    return str(next((one for one in (own, system) if one.is_file() and reachable(one)), own))


def run(*words: str | Path) -> None:
    """Runs a command that must succeed."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed() -> Iterator[Path]:
    """An environment as the image has it, in a folder that any user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="cds-installed-"))
    try:
        folder.chmod(0o755)
        for source in copied(DOCKERFILE):
            target = folder / "build" / source
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(ROOT / source, target) if (ROOT / source).is_dir() else shutil.copy(ROOT / source, target)
        builder, image = folder / "builder", folder / "cds"
        for place in (builder, image):
            run(python_for_all(), "-m", "venv", "--without-pip", place)
        pip = (sys.executable, "-m", "pip", "--python")
        run(*pip, builder / "bin/python", "install", *FROM_WHEELS, "-r", ROOT / "docker/build.lock")
        run(*pip, image / "bin/python", "install", *FROM_WHEELS, "-r", ROOT / "docker/requirements.lock")
        wheel = ("wheel", *FROM_HERE, "--no-build-isolation", "--wheel-dir", folder / "dist", folder / "build")
        run(*pip, builder / "bin/python", *wheel)
        run(*pip, image / "bin/python", "install", *FROM_HERE, *(folder / "dist").glob("*.whl"))
        yield image
    finally:
        shutil.rmtree(folder)


def test_the_installed_service_answers_an_order(installed: Path) -> None:
    """It has every file of the project, and needs nothing but its data folder to be written to."""
    site = next(installed.glob("lib/python*/site-packages"))
    for name in ("cds_service", "fhir_mappings", "hooks", "policies"):
        files = [path.relative_to(ROOT) for path in (ROOT / name).rglob("*") if path.is_file()]
        lacking = [str(path) for path in files if path.suffix not in (".pyc", ".md") and not (site / path).is_file()]
        assert lacking == []
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    empty, data = installed.parent / "empty", installed.parent / "data"
    empty.mkdir(mode=0o555)
    data.mkdir(mode=0o700)
    user = pwd.getpwuid(NOBODY) if os.geteuid() == 0 and reachable(Path(python_for_all())) else None
    if user:
        os.chown(data, user.pw_uid, user.pw_gid)
    program, *words = command(DOCKERFILE)
    at = {"0.0.0.0": "127.0.0.1", "8080": str(port)}  # noqa: S104 - taken away
    settings = {**environment(DOCKERFILE), "PATH": "/usr/bin", "CDS_DATA_DIR": str(data), "TMPDIR": str(data)}
    process = subprocess.Popen(  # noqa: S603 - our own command
        [installed / "bin" / program, *(at.get(word, word) for word in words)],
        cwd=empty,
        env={**settings, "CDS_AUTH": "off"},
        user=user.pw_uid if user else None,
        group=user.pw_gid if user else None,
        extra_groups=[] if user else None,
        stderr=subprocess.PIPE,
    )
    try:
        base = f"http://127.0.0.1:{port}"
        wait_for(f"{base}/health/ready", process)
        story = next(one for one in stories(datetime.now(UTC).date(), base) if one.id == STORY)
        call = call_of(context_of(story.order), whole_record(story.resources))
        answer = requests.post(base + HOOK, data=encode(call), headers={"Content-Type": "application/json"}, timeout=10)
        assert answer.status_code == 200
        assert [said["outcome"] for said in determinations(answer.json())] == ["criteria-met"]
        assert requests.get(f"{base}/policies/pharmacy-109/hemgenix", timeout=10).status_code == 200
    finally:
        process.terminate()
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said
    assert b"ERROR" not in said, said
    assert list(empty.iterdir()) == []


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Returns when it answers 200."""
    until = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < until:
        try:
            if requests.get(url, timeout=2).status_code == 200:
                return
        except requests.ConnectionError:
            time.sleep(0.05)
    pytest.fail("the installed service does not start")
