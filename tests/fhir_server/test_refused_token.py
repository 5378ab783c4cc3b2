"""A server that asks for a token: read with the right one, and with a wrong one not taken for an empty chart."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient
from order_entry import PUBLIC_URL, Server, context_of, load, prefetched, sign, templates, words

from cds_service.demo.stories import Story, stories

pytestmark = pytest.mark.fhir_server

WRONG = "a-token-that-was-never-given-out"


@pytest.fixture(scope="module")
def story(fhir_base: str) -> Story:
    """A story in which every criterion is met, its chart on the server."""
    told = stories(datetime.now(UTC).date(), PUBLIC_URL)
    chosen = next(story for story in told if story.expected_outcome == "criteria-met")
    load(fhir_base, chosen.resources)
    return chosen


@pytest.fixture(scope="module")
def guarded() -> Server:
    """The same charts behind a token."""
    return Server(os.environ["FHIR_GUARDED_BASE"], os.environ["FHIR_TOKEN"])


@pytest.fixture(scope="module")
def service(guarded: Server, service_reading: Callable[[str], FlaskClient]) -> FlaskClient:
    """The service, which may read the guarded server."""
    return service_reading(guarded.base)


def test_the_calls_own_token_opens_the_chart(
    story: Story, guarded: Server, service: FlaskClient, fhir_base: str, service_reading: Callable[[str], FlaskClient]
) -> None:
    """With the token that came with the call the answer is the one that the open server gives."""
    text = json.dumps([story.resources, story.order], default=str)
    opened = words(sign(service, guarded, story.order, {}), guarded.base, text)
    assert opened == words(sign(service_reading(fhir_base), Server(fhir_base), story.order, {}), fhir_base, text)


def test_a_refused_token_is_not_an_empty_chart(story: Story, guarded: Server, service: FlaskClient) -> None:
    """Patient and coverage sent, the rest refused with 401: undetermined, since nothing was looked at."""
    context = context_of(story.order)
    sent = {k: t for k, t in templates(service).items() if t.startswith(("Patient", "Coverage"))}
    response = sign(service, Server(guarded.base, WRONG), story.order, prefetched(guarded, sent, context))
    assert response.status_code == 200
    determination = response.get_json()["cards"][0]["extension"]["drug-coverage.determination"]
    assert determination["outcome"] == "undetermined"
    assert {c.get("reason") for c in determination["criteria"] if c["status"] == "unknown"} == {"not-retrieved"}


def test_a_refused_token_is_not_repeated(story: Story, guarded: Server, service: FlaskClient) -> None:
    """Neither with something to go by nor without does the answer quote the token."""
    response = sign(service, Server(guarded.base, WRONG), story.order, {})
    assert response.status_code in (200, 412)
    assert WRONG not in response.get_data(as_text=True)
