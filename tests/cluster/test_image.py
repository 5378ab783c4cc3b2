"""The image, made natively: the Dockerfile's steps are carried out in a folder, and its command is run as nobody."""

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from callers import Ehr
from parts import Cluster, Part, eventually, free_port
from recipe import DOCKER, ROOT, Instruction, instructions, stages

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
BUILD, LAST = stages(instructions(DOCKER / "Dockerfile"))


class Image:
    """What the steps made, below one folder."""

    def __init__(self, folder: Path) -> None:
        self.root, self.source = folder / "root", folder / "source"
        self.source.mkdir(parents=True)
        for step in BUILD:
            self._carry_out(step)
        for step in LAST:
            if step.name == "COPY" and "--from" not in step.value:
                self._copy(step, self.root)

    def inside(self, value: str) -> str:
        """The text with the image's own places put below the folder."""
        return value.replace("/opt/", f"{self.root}/opt/")

    def value(self, name: str) -> str:
        """What the last stage says there."""
        (step,) = [step for step in LAST if step.name == name]
        return self.inside(step.value)

    def _carry_out(self, step: Instruction) -> None:
        if step.name == "COPY":
            self._copy(step, self.source)
        elif step.name == "RUN":
            command = [python() if word == "python" else word for word in self.inside(step.value).split()]
            subprocess.run(command, cwd=self.source, check=True, stdout=subprocess.DEVNULL)  # noqa: S603

    def _copy(self, step: Instruction, below: Path) -> None:
        *sources, to = step.value.split()
        for source in sources:
            place = below / to.lstrip("/") / ("" if not to.endswith("/") else Path(source).name)
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, place)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that others than its owner get into too."""
    made = Path(tempfile.mkdtemp(prefix="cds-image-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def image(folder: Path) -> Image:
    """The image."""
    return Image(folder)


def python() -> str:
    """A Python that nobody may run, too: one in a home folder cannot be."""
    asked = "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"
    for found in (getattr(sys, "_base_executable", sys.executable), "/usr/bin/python3"):
        with suppress(OSError):
            if subprocess.run([found, "-c", asked], user="nobody", cwd="/", check=False).returncode == 0:  # noqa: S603
                return str(found)
    pytest.skip("no Python with venv that nobody may run")


def test_what_was_installed_fits_together(image: Image) -> None:
    """`pip check` finds nothing, and no tool that only tests or builds need is in it."""
    pip = image.inside("/opt/cds/bin/pip")
    subprocess.run([pip, "check"], check=True, capture_output=True)  # noqa: S603
    listed = subprocess.run([pip, "list", "--format=json"], check=True, capture_output=True)  # noqa: S603
    names = {one["name"] for one in json.loads(listed.stdout)}
    assert {"drug-coverage-cds", "psycopg", "redis"} <= names
    assert not {"pytest", "wheel", "uv"} & names


def test_its_command_serves_as_nobody_and_writes_to_its_volume_alone(
    cluster: Cluster, ehr: Ehr, image: Image, folder: Path
) -> None:
    """As a user who may write nowhere else it gives numbers, and the health check says that it is well."""
    nobody = pwd.getpwnam("nobody")
    for own in (folder / "data", folder / "tmp"):
        own.mkdir(mode=0o700)
        os.chown(own, nobody.pw_uid, nobody.pw_gid)
    port = free_port()
    command = [port_of(word, port) for word in json.loads(image.value("CMD"))]
    env = dict(pair.split("=", 1) for pair in image.value("ENV").split())
    service = Part("image", folder, port, command, user="nobody")
    service.environment = {
        **env,
        **cluster.settings,
        "CDS_DATA_DIR": str(folder / "data"),
        "TMPDIR": str(folder / "tmp"),
        "PATH": "/usr/bin:/bin",
    }
    before = written_by(nobody.pw_uid)
    try:
        service.start()
        eventually(lambda: ehr.get(port, "/health/ready", tls=False) == 200, 10, "ready")
        line = ehr.line(port, tls=False)
        assert ehr.post(line, ehr.call()).number
        line.close()
        check = json.loads(image.value("HEALTHCHECK").partition("CMD ")[2])
        assert subprocess.run([port_of(word, port) for word in check], check=False).returncode == 0  # noqa: S603
        assert service.stop() < 15
        assert subprocess.run([port_of(word, port) for word in check], check=False, capture_output=True).returncode  # noqa: S603
    finally:
        service.kill()
    assert written_by(nobody.pw_uid) == before


def port_of(word: str, port: int) -> str:
    """The word with the image's port changed for a free one."""
    return re.sub(r"\b8080\b", str(port), word)


def written_by(user: int) -> set[Path]:
    """What this user has in the places that everyone may write to."""
    places = [Path(place) for place in ("/tmp", "/var/tmp", "/dev/shm")]  # noqa: S108
    return {path for place in places for path in place.iterdir() if path.lstat().st_uid == user}
