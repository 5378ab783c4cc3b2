"""Runs the Node tools of this folder; `make elm` and `make test-cql` install them."""

import subprocess
from pathlib import Path

_FOLDER = Path(__file__).parent


def installed() -> bool:
    """True when the tools are there."""
    return (_FOLDER / "node_modules").is_dir()


def translated(cql: str) -> str:
    """The CQL as ELM (JSON). Raises CalledProcessError with the translator's messages."""
    return _run("translate.mjs", cql)


def executed(given: str) -> str:
    """What each statement says of each patient, as JSON."""
    return _run("execute.mjs", given)


def _run(script: str, given: str) -> str:
    command = ["node", script]
    done = subprocess.run(command, cwd=_FOLDER, input=given, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout
