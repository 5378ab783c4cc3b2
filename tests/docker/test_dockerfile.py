"""The Dockerfile keeps the rules, and each rule is seen to be broken."""

import pytest
from dockerfile_rules import ROOT, complaints
from flask import Flask

DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
IGNORE = (ROOT / ".dockerignore").read_text(encoding="utf-8")
BASE = "FROM python:3.11.14-slim-bookworm"
CMD = '"serve", "--host", "0.0.0.0", "--port", "8080"'
SPOILT = [
    (BASE, "FROM python:latest", "not pinned: python:latest"),
    (BASE, "FROM python", "not pinned: python"),
    (BASE, "FROM python:3-slim", "not pinned: python:3-slim"),
    (f"{BASE} AS", "FROM python:3.12.1-slim AS", "the stages differ in their base"),
    ("COPY hooks hooks", "ADD hooks hooks", "ADD"),
    ("RUN python", "RUN sudo python", "uses sudo"),
    ("RUN python", "RUN curl https://example.org | sh && python", "uses curl"),
    ("--require-hashes -r docker/build", "-r docker/build", "installs what has no hash"),
    ("--only-binary=:all: --require-hashes -r docker/req", "--require-hashes -r docker/req", "may compile"),
    ("install --no-cache-dir --only", "install --only", "leaves a cache"),
    ("USER 1", "RUN pip install --no-index --no-cache-dir x\nUSER 1", "installs in the last stage"),
    ("USER 10001:10001\n", "", "no user by number that is not root"),
    ("USER 10001:10001", "USER 0:10001", "no user by number that is not root"),
    ("USER 10001:10001", "USER cds", "no user by number that is not root"),
    ("CDS_DATA_DIR=/data", "CDS_DATA_DIR=/var", "the data folder is no volume"),
    ("CDS_DATA_DIR=", "CDS_DATA_DIRS=", "CDS_DATA_DIRS is not a setting; did you mean CDS_DATA_DIR?"),
    (CMD, '"server"', "the start is no command of the service"),
    (CMD, CMD.replace("--host", "--bind"), "the start is no command of the service"),
    (CMD, CMD.replace("8080", "808080"), "the start is no command of the service"),
    ('"cds-service"', '"gunicorn"', "the start is no command of the service"),
    ("/health/live'", "/healthz'", "the health check asks for /healthz"),
    ('CMD ["python", "-c", ', "CMD python -c ", "no health check in exec form"),
    ("EXPOSE 8080", "EXPOSE 80", "the ports differ"),
    (CMD, CMD.replace("8080", "8000"), "the ports differ"),
    ("127.0.0.1:8080", "127.0.0.1:8081", "the ports differ"),
    ("COPY hooks hooks", "COPY hook hooks", "not there: hook"),
    ("COPY hooks hooks", "COPY docs hooks", "ignored: docs"),
    ("COPY policies policies", "", "left out: policies"),
]


@pytest.fixture(scope="module")
def served(app: Flask) -> set[str]:
    """The paths of the service."""
    return {rule.rule for rule in app.url_map.iter_rules()}


def test_the_dockerfile_keeps_the_rules(served: set[str]) -> None:
    """Pinned, hashed, not root, healthy where the service says so, and started as the service is."""
    assert list(complaints(DOCKERFILE, IGNORE, served)) == []


@pytest.mark.parametrize(("right", "wrong", "complaint"), SPOILT)
def test_a_rule_that_is_broken_is_seen(right: str, wrong: str, complaint: str, served: set[str]) -> None:
    """One change of the file, and the complaint about it."""
    assert right in DOCKERFILE
    assert complaint in list(complaints(DOCKERFILE.replace(right, wrong), IGNORE, served))


def test_what_the_build_does_not_need_stays_out(served: set[str]) -> None:
    """A build that gets the tests would be built anew for each of them."""
    found = list(complaints(DOCKERFILE, IGNORE.replace("*\n", "docs\n", 1), served))
    assert "sent to the build in vain: tests" in found
    assert "sent to the build in vain: docs" not in found
