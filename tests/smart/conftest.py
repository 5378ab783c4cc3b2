"""The service with its form, an EHR that launches it, and the prescriber's browser."""

from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sign_in import PDF, Browser, OtherEhr
from signing import BASE, PUBLIC

from cds_service.app import create_app
from cds_service.demo.stories import Story, stories
from cds_service.settings import Settings, read_settings


@pytest.fixture(scope="session")
def form_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """No tokens, one EHR, and no key to keep forms with."""
    folder: Path = tmp_path_factory.mktemp("form")
    return read_settings({}, public_url=PUBLIC, auth="off", fhir_servers=(BASE,), data_dir=folder)


@pytest.fixture(scope="session")
def form_app(form_settings: Settings) -> Flask:
    """The service."""
    return create_app(form_settings)


@pytest.fixture(scope="session")
def day() -> date:
    """Today: the form looks at the clock."""
    return datetime.now(UTC).date()


@pytest.fixture(scope="session")
def told(day: date) -> dict[str, Story]:
    """The stories as of today."""
    return {story.id: story for story in stories(day, PUBLIC)}


@pytest.fixture
def other_ehr(told: dict[str, Story]) -> Iterator[OtherEhr]:
    """The EHR with the chart that lacks three reports."""
    with OtherEhr(deepcopy(told["demo-three-reports"])).serve() as ehr:
        yield ehr


@pytest.fixture
def browser(form_app: Flask, other_ehr: OtherEhr) -> Browser:
    """A browser without cookies."""
    return Browser(form_app.test_client(), other_ehr)


@pytest.fixture(scope="session")
def three(day: date) -> dict[str, str]:
    """The three results that the chart lacks."""
    ago = (day - timedelta(days=20)).isoformat()
    return {
        "q.aav5": "negative",
        "q.aav5.date": ago,
        "q.inhibitor": "negative",
        "q.inhibitor.date": ago,
        "q.liver": "5.10",
        "q.liver.date": ago,
    }


@pytest.fixture(scope="session")
def reports() -> dict[str, tuple[bytes, str]]:
    """Their reports."""
    return {f"q.{name}.report": (PDF, f"{name}.pdf") for name in ("aav5", "inhibitor", "liver")}
