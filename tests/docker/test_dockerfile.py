"""The Dockerfile, read and not run: `tests/cluster/test_image.py` carries its steps out."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from recipe import DOCKER, ROOT, Instruction, instructions, stages

from cds_service.cli import main
from cds_service.settings import Settings

KNOWN = {f"CDS_{name.upper()}" for name in Settings.model_fields}
BUILD, LAST = stages(instructions(DOCKER / "Dockerfile"))


def words(instruction: Instruction) -> list[str]:
    """The words of an instruction in its exec form."""
    found = json.loads(instruction.value[instruction.value.index("[") :])
    assert all(isinstance(word, str) for word in found)
    return list(found)


def of(name: str) -> list[Instruction]:
    """The instructions of that name in the last stage."""
    return [found for found in LAST if found.name == name]


def test_hadolint_finds_nothing() -> None:
    """But DL3059, which would have every step of the first stage, thrown away anyway, in one line."""
    hadolint = Path(sys.executable).parent / "hadolint"
    found = subprocess.run(  # noqa: S603
        [hadolint, "--no-color", "--ignore", "DL3059", DOCKER / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout) == (0, "")


def test_both_stages_are_one_image_by_version_and_digest() -> None:
    """What was installed is run on what it was installed with."""
    images = {stage[0].value.partition(" ")[0] for stage in (BUILD, LAST)}
    (image,) = images
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", image)


def test_everything_that_is_installed_is_named_by_its_hash() -> None:
    """Either from a lock or, without an index, what was built here."""
    for step in BUILD:
        if step.name == "RUN" and "/pip install" in step.value:
            assert "--require-hashes" in step.value or "--no-index" in step.value, step.value
        if step.name == "RUN" and "/pip wheel" in step.value:
            assert {"--no-deps", "--no-build-isolation"} <= set(step.value.split())


def test_the_last_stage_installs_nothing() -> None:
    """No compiler, no package, no download: it takes over what the first one made."""
    assert not [step.value for step in LAST if step.name == "RUN" and re.search(r"apt|pip|curl|wget", step.value)]
    assert {step.name for step in [*BUILD, *LAST]} <= {
        *("FROM", "WORKDIR", "COPY", "RUN", "ENV", "VOLUME", "USER", "EXPOSE", "HEALTHCHECK", "CMD"),
    }


def test_it_runs_as_a_user_without_rights() -> None:
    """By number, so that `runAsNonRoot` can tell; nothing but the start follows."""
    assert [step.value for step in of("USER")] == ["10001:10001"]
    assert "--uid 10001" in of("RUN")[0].value


def test_what_is_copied_is_there_and_let_through() -> None:
    """Each source exists, and `.dockerignore` lets it, and not much more, into the build."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    copied = set()
    for step in [*BUILD, *LAST]:
        if step.name == "COPY" and "--from" not in step.value:
            copied |= set(step.value.split()[:-1])
    assert copied == allowed
    assert all((ROOT / path).exists() for path in copied)


def test_its_settings_are_settings() -> None:
    """Every `CDS_` name, with a value that can be used."""
    (env,) = of("ENV")
    named = dict(pair.split("=", 1) for pair in env.value.split() if pair.startswith("CDS_"))
    assert set(named) <= KNOWN
    assert named["CDS_DATA_DIR"] == of("VOLUME")[0].value


def test_the_ports_agree() -> None:
    """What is exposed, listened on, asked by the health check, and named by compose and Kubernetes."""
    command = words(of("CMD")[0])
    port = command[command.index("--port") + 1]
    assert [step.value for step in of("EXPOSE")] == [port]
    assert f"http://127.0.0.1:{port}/health/live" in of("HEALTHCHECK")[0].value
    proxy = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["proxy"]["environment"]
    assert {proxy["CDS_INSTANCE_A"], proxy["CDS_INSTANCE_B"]} == {f"service-a:{port}", f"service-b:{port}"}
    assert f"containerPort: {port}" in (DOCKER / "kubernetes.yaml").read_text()


def test_the_start_command_is_one_that_is_taken() -> None:
    """Program and options are the command line's own."""
    program, command, *options = words(of("CMD")[0])
    assert Path(program).name == "cds-service"
    shown = CliRunner().invoke(main, [command, "--help"]).output
    assert all(option in shown for option in options if option.startswith("--"))


@pytest.mark.skipif(shutil.which("git") is None, reason="git tells which files belong to the packages")
def test_the_packages_are_installed_whole() -> None:
    """Every file in git that is no Python is named by the package data of pyproject.toml."""
    listed = subprocess.run(
        ["git", "ls-files", "cds_service", "fhir_mappings", "hooks"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    beside = [path for path in map(Path, listed) if path.suffix != ".py"]
    assert beside
    assert [path for path in beside if path.suffix != ".yaml" and path.parent.name not in ("static", "templates")] == []
    assert [
        path
        for path in map(Path, listed)
        if not (ROOT / path.parent / "__init__.py").exists() and path.parent.name not in ("static", "templates")
    ] == []
