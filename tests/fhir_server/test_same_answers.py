"""One chart, one answer, whichever server holds it and however much of it was sent along."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from order_entry import PUBLIC_URL, Server, context_of, load, prefetched, sign, templates, words

from cds_service.demo.stories import Story, stories

pytestmark = pytest.mark.fhir_server

# a server that fails is played by the embedded store alone: a real one has no such switch
STORIES = [story for story in stories(datetime.now(UTC).date(), PUBLIC_URL) if not story.failing]
EVERY_STORY = pytest.mark.parametrize("story", STORIES, ids=[story.id for story in STORIES])

SENT: dict[str, Callable[[dict[str, str]], dict[str, str]]] = {
    "nothing": lambda all_of_it: {},
    "half": lambda all_of_it: dict(list(all_of_it.items())[::2]),
    "the other half": lambda all_of_it: dict(list(all_of_it.items())[1::2]),
    "everything": dict,
}


@pytest.fixture(scope="module")
def service(fhir_base: str, service_reading: Callable[..., FlaskClient]) -> FlaskClient:
    """The service, reading the FHIR server under test, which holds every story's chart."""
    for story in STORIES:
        load(fhir_base, story.resources)
    return service_reading(fhir_base)


@pytest.fixture(scope="module")
def service_in_batches(
    service: FlaskClient, fhir_base: str, service_reading: Callable[..., FlaskClient]
) -> FlaskClient:
    """Another that reads the same server in batches."""
    return service_reading(fhir_base, batches=True)


@pytest.fixture(scope="module")
def service_on_embedded(embedded_base: str, service_reading: Callable[..., FlaskClient]) -> FlaskClient:
    """The service, reading the demo's embedded store, which holds the same charts."""
    for story in STORIES:
        load(embedded_base, story.resources)
    return service_reading(embedded_base)


def answer(service: FlaskClient, base: str, story: Story, sent: str) -> Any:
    """The words of the answer to the story's order, with that part of the prefetch sent along."""
    server = Server(base)
    wanted = SENT[sent](templates(service))
    response = sign(service, server, story.order, prefetched(server, wanted, context_of(story.order)))
    return words(response, base, json.dumps([story.resources, story.order], default=str))


def outcomes(said: Any) -> list[str]:
    """The outcome on each card that has one."""
    found = [card.get("extension", {}).get("drug-coverage.determination") for card in said["cards"]]
    return [determination["outcome"] for determination in found if determination]


@EVERY_STORY
def test_the_server_gives_the_outcome_that_the_story_promises(
    story: Story, service: FlaskClient, fhir_base: str
) -> None:
    """Read wholly from the server, the order has the outcome that its story was written for; none where ungoverned."""
    expected = [story.expected_outcome] if story.expected_outcome else []
    assert outcomes(answer(service, fhir_base, story, "nothing")) == expected


@pytest.mark.parametrize("sent", [sent for sent in SENT if sent != "nothing"])
@EVERY_STORY
def test_what_is_sent_along_changes_no_word(story: Story, sent: str, service: FlaskClient, fhir_base: str) -> None:
    """With part of the chart prefetched, or all of it, the answer is the one given with none of it."""
    assert answer(service, fhir_base, story, sent) == answer(service, fhir_base, story, "nothing")


@EVERY_STORY
def test_read_in_batches_the_answer_is_the_same(
    story: Story, service: FlaskClient, fhir_base: str, service_in_batches: FlaskClient
) -> None:
    """Whether the server is asked for each thing alone, or for all of them in one request."""
    assert answer(service_in_batches, fhir_base, story, "nothing") == answer(service, fhir_base, story, "nothing")


@EVERY_STORY
def test_the_embedded_store_is_answered_alike(
    story: Story, service: FlaskClient, fhir_base: str, service_on_embedded: FlaskClient, embedded_base: str
) -> None:
    """The demo's own store and a real server, holding the same chart, get the same answer."""
    embedded = answer(service_on_embedded, embedded_base, story, "nothing")
    assert embedded == answer(service, fhir_base, story, "nothing")
