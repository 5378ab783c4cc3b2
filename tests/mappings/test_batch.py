"""Reads that go to the FHIR server together, in one batch Bundle."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
import responses
from mapping_samples import BASE, bundle, condition

from fhir_mappings.client import FhirClient, Limits
from fhir_mappings.queries import Failure, Query, Reply
from fhir_mappings.servers import Server

SERVER = Server(BASE, "secret-token")
CONDITIONS = Query("Condition", (("patient", "p1"),))
PROCEDURES = Query("Procedure", (("patient", "p1"), ("code", "http://loinc.org|1-8")))
PATIENT = Query("Patient/p1")
PERSON = {"resourceType": "Patient", "id": "p1"}


@pytest.fixture
def client() -> Iterator[FhirClient]:
    found = FhirClient(Limits(answer_bytes=100_000, pages=3, round_bytes=400_000), batched=[BASE])
    yield found
    found.close()


def read(client: FhirClient, *queries: Query, server: Server = SERVER) -> Sequence[Reply]:
    return client.read_all(server, queries, time.monotonic() + 5)


def part(resource: Any = None, status: str = "200 OK") -> dict[str, Any]:
    return {"response": {"status": status}, **({"resource": resource} if resource is not None else {})}


def answers(*parts: Any, **members: Any) -> None:
    body = {"resourceType": "Bundle", "type": "batch-response", "entry": list(parts), **members}
    responses.post(BASE, body=msgspec.json.encode(body))


def alone(resource: Any, path: str) -> None:
    responses.get(f"{BASE}/{path}", body=msgspec.json.encode(resource))


@responses.activate
def test_a_round_is_one_request(client: FhirClient) -> None:
    """A Bundle of GETs in the order of the queries, with the token."""
    answers(part(bundle(condition())), part(bundle()), part(PERSON))
    first, second, third = read(client, CONDITIONS, PROCEDURES, PATIENT)
    assert (first.resources, second.resources, third.resources) == ([condition()], [], [PERSON])
    assert {reply.failure for reply in (first, second, third)} == {None}
    (call,) = responses.calls
    assert call.request.headers["Authorization"] == "Bearer secret-token"
    assert call.request.headers["Content-Type"] == "application/fhir+json"
    sent = msgspec.json.decode(call.request.body or b"")
    assert (sent["resourceType"], sent["type"]) == ("Bundle", "batch")
    assert [entry["request"] for entry in sent["entry"]] == [
        {"method": "GET", "url": "Condition?patient=p1"},
        {"method": "GET", "url": "Procedure?patient=p1&code=http://loinc.org%7C1-8"},
        {"method": "GET", "url": "Patient/p1"},
    ]


@responses.activate
def test_numbers_keep_their_digits(client: FhirClient) -> None:
    """0.80 stays 0.80."""
    text = msgspec.json.encode([part(bundle({"value": 7})), part(PERSON)]).replace(b"7", b"0.80")
    responses.post(BASE, body=b'{"resourceType": "Bundle", "type": "batch-response", "entry": %s}' % text)
    assert str(read(client, CONDITIONS, PATIENT)[0].resources[0]["value"]) == "0.80"


@pytest.mark.parametrize(
    ("given", "failure"),
    [
        (part(status="403 Forbidden"), Failure.FORBIDDEN),
        (part(status="404"), Failure.NOT_FOUND),
        (part(status="500 Internal Server Error"), Failure.SERVER_ERROR),
        (part({"resourceType": "OperationOutcome"}), Failure.OUTCOME),
        (part({"resourceType": "Patient", "id": "p2"}), Failure.NOT_FHIR),
        (part(), Failure.NOT_FHIR),
        ({"resource": PERSON}, Failure.NOT_FHIR),
        (part(PERSON, status="fine"), Failure.NOT_FHIR),
        (part(PERSON, status="2000"), Failure.NOT_FHIR),
        (None, Failure.NOT_FHIR),
    ],
)
@responses.activate
def test_a_part_that_failed_costs_no_other(client: FhirClient, given: Any, failure: Failure) -> None:
    """What is not said to be there is not there, and it is not asked for again."""
    answers(part(bundle(condition())), given)
    first, second = read(client, CONDITIONS, PATIENT)
    assert (len(first.resources), first.failure) == (1, None)
    assert (list(second.resources), second.failure) == ([], failure)
    assert len(responses.calls) == 1


@responses.activate
def test_a_further_page_is_read_alone(client: FhirClient) -> None:
    """Its link is followed as ever."""
    more = {"relation": "next", "url": f"{BASE}?_getpages=2"}
    answers(part(bundle(condition(), link=[more])), part(PERSON))
    responses.get(f"{BASE}?_getpages=2", body=msgspec.json.encode(bundle(condition())))
    first, _ = read(client, CONDITIONS, PATIENT)
    assert (len(first.resources), first.failure, first.more) == (2, None, False)


@responses.activate
def test_a_further_page_elsewhere_is_not_read(client: FhirClient) -> None:
    """And what it might hold is missing."""
    more = {"relation": "next", "url": "https://elsewhere.example/fhir?page=2"}
    answers(part(bundle(condition(), link=[more])), part(PERSON))
    first, _ = read(client, CONDITIONS, PATIENT)
    assert (len(first.resources), first.failure, first.more) == (1, Failure.FOREIGN_PAGE, True)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 422, 500, 501])
@responses.activate
def test_a_server_that_takes_no_batch_is_asked_one_by_one(client: FhirClient, status: int) -> None:
    """What it then says counts."""
    responses.post(BASE, status=status)
    alone(bundle(condition()), "Condition")
    alone(PERSON, "Patient/p1")
    first, second = read(client, CONDITIONS, PATIENT)
    assert (first.resources, second.resources) == ([condition()], [PERSON])
    assert (first.failure, second.failure) == (None, None)


@pytest.mark.parametrize(
    "body",
    [
        "<html>",
        msgspec.json.encode(bundle(condition())),
        msgspec.json.encode({"resourceType": "Bundle", "type": "batch-response", "entry": [part(PERSON)]}),
        msgspec.json.encode({"resourceType": "Bundle", "type": "batch-response", "entry": {}}),
        msgspec.json.encode({"resourceType": "OperationOutcome"}),
        b" " * 500_000,
    ],
)
@responses.activate
def test_what_is_no_answer_to_the_batch_is_not_taken_for_one(client: FhirClient, body: str | bytes) -> None:
    """One part for each query, or each is asked for alone."""
    responses.post(BASE, body=body)
    alone(bundle(condition()), "Condition")
    responses.get(f"{BASE}/Patient/p1", status=403)
    first, second = read(client, CONDITIONS, PATIENT)
    assert (first.failure, second.failure) == (None, Failure.FORBIDDEN)


@pytest.mark.parametrize(("status", "failure"), [(429, Failure.BUSY), (503, Failure.SERVER_ERROR)])
@responses.activate
def test_a_server_that_cannot_just_now_is_not_asked_for_more(client: FhirClient, status: int, failure: Failure) -> None:
    """Once more after a moment, and no read after that."""
    responses.post(BASE, status=status)
    assert {reply.failure for reply in read(client, CONDITIONS, PATIENT)} == {failure}
    assert [call.request.method for call in responses.calls] == ["POST", "POST"]


@responses.activate
def test_only_the_servers_that_are_named_get_batches(client: FhirClient) -> None:
    """Bases are folders, not prefixes."""
    other = f"{BASE}2"
    for query in ("Condition", "Procedure"):
        responses.get(f"{other}/{query}", body=msgspec.json.encode(bundle()))
    assert {reply.failure for reply in read(client, CONDITIONS, PROCEDURES, server=Server(other))} == {None}


@responses.activate
def test_one_query_is_asked_as_it_is(client: FhirClient) -> None:
    """A batch of one would gain nothing."""
    alone(PERSON, "Patient/p1")
    assert read(client, PATIENT)[0].resources == [PERSON]


@responses.activate
def test_a_query_that_may_not_be_sent_is_left_out(client: FhirClient) -> None:
    """One with an empty value, which servers read as no criterion at all."""
    answers(part(bundle(condition())), part(PERSON))
    empty, first, second = read(client, Query("Condition", (("patient", ""),)), CONDITIONS, PATIENT)
    assert (empty.failure, first.failure, second.failure) == (Failure.NOT_ASKED, None, None)


@responses.activate
def test_an_answer_to_a_batch_may_be_as_large_as_a_round(client: FhirClient) -> None:
    """Larger than the answer to one read may be."""
    answers(part(bundle({**condition(), "note": [{"text": "x" * 200_000}]})), part(PERSON))
    assert [reply.failure for reply in read(client, CONDITIONS, PATIENT)] == [None, None]
    assert len(responses.calls) == 1
