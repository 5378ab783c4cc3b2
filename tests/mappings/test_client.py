"""The FHIR client: what it reads, what it refuses, and that nothing holds it up."""

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
import responses
from mapping_samples import BASE, bundle, condition
from responses import matchers

from fhir_mappings.client import FhirClient, Limits
from fhir_mappings.connections import Use
from fhir_mappings.queries import Failure, Query, Reply
from fhir_mappings.servers import Server, base_of, may_be_called, page_url

SERVER = Server(BASE, "secret-token")
SEARCH = Query("Condition", (("patient", "p1"),))


@pytest.fixture
def client() -> Iterator[FhirClient]:
    found = FhirClient(Limits(answer_bytes=100_000, pages=3))
    yield found
    found.close()


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


def one(client: FhirClient, query: Query = SEARCH, server: Server = SERVER, seconds: float = 5.0) -> Reply:
    (reply,) = client.read_all(server, [query], soon(seconds))
    return reply


def answers(body: Any = None, path: str = "Condition", **kwargs: Any) -> None:
    if isinstance(body, dict):
        body = msgspec.json.encode(body)
    responses.get(f"{BASE}/{path}", body=body, **kwargs)


@responses.activate
def test_a_search_gives_its_resources(client: FhirClient) -> None:
    """With the token, and asking for FHIR JSON."""
    answers(bundle(condition()), match=[matchers.query_param_matcher({"patient": "p1"})])
    reply = one(client)
    assert (reply.failure, reply.more) == (None, False)
    assert reply.resources == [condition()]
    sent = responses.calls[0].request.headers
    assert (sent["Authorization"], sent["Accept"]) == ("Bearer secret-token", "application/fhir+json")


@responses.activate
def test_a_read_gives_its_resource(client: FhirClient) -> None:
    """And only the one that was asked for."""
    answers({"resourceType": "Patient", "id": "p1"}, "Patient/p1")
    answers({"resourceType": "Patient", "id": "p2"}, "Patient/p3")
    assert len(one(client, Query("Patient/p1")).resources) == 1
    assert one(client, Query("Patient/p3")).failure is Failure.NOT_FHIR


@responses.activate
def test_numbers_keep_their_digits(client: FhirClient) -> None:
    """0.80 stays 0.80."""
    answers('{"resourceType": "Bundle", "entry": [{"resource": {"value": 0.80}}]}')
    assert str(one(client).resources[0]["value"]) == "0.80"


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (301, Failure.REDIRECTED),
        (400, Failure.REFUSED),
        (401, Failure.UNAUTHORIZED),
        (403, Failure.FORBIDDEN),
        (404, Failure.NOT_FOUND),
        (410, Failure.NOT_FOUND),
        (414, Failure.REFUSED),
        (429, Failure.BUSY),
        (500, Failure.SERVER_ERROR),
        (503, Failure.SERVER_ERROR),
        (204, Failure.NOT_FHIR),
    ],
)
@responses.activate
def test_a_status_that_is_no_answer_is_a_failure(client: FhirClient, status: int, failure: Failure) -> None:
    """From a closed set; a redirect is not followed."""
    answers("secret", status=status, headers={"Location": f"{BASE}/Patient/p1"})
    assert one(client).failure is failure


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>",
        '{"resourceType": "Bundle", "entry": [',
        "[]",
        "5",
        '{"resourceType": "Condition"}',
        '{"resourceType": "Bundle", "entry": {}}',
        b'{"resourceType": "\xff"}',
        "[" * 100_000,
    ],
)
@responses.activate
def test_what_is_no_bundle_is_a_failure(client: FhirClient, body: str | bytes) -> None:
    """HTML, cut JSON, another resource, endless nesting."""
    answers(body)
    assert one(client).failure in (Failure.NOT_FHIR, Failure.TOO_LARGE)


@responses.activate
def test_an_error_among_the_entries_is_a_failure_and_a_warning_is_not(client: FhirClient) -> None:
    """What came beside it counts."""
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}
    warning = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning"}]}
    answers(bundle(condition(), outcome))
    answers(bundle(condition(), warning))
    first, second = one(client), one(client)
    assert (first.failure, len(first.resources)) == (Failure.OUTCOME, 1)
    assert (second.failure, len(second.resources)) == (None, 1)


@responses.activate
def test_a_busy_server_is_asked_once_more(client: FhirClient) -> None:
    """503, then an answer."""
    answers("", status=503)
    answers(bundle(condition()))
    assert len(one(client).resources) == 1
    assert len(responses.calls) == 2


@responses.activate
def test_a_busy_server_is_not_asked_a_third_time(client: FhirClient) -> None:
    """The second 503 is the answer."""
    answers("", status=503)
    assert one(client).failure is Failure.SERVER_ERROR
    assert len(responses.calls) == 2


@responses.activate
def test_a_server_that_asks_for_more_time_than_there_is_is_left_alone(client: FhirClient) -> None:
    """Retry-After beyond the deadline."""
    answers("", status=429, headers={"Retry-After": "60"})
    started = time.monotonic()
    assert one(client).failure is Failure.BUSY
    assert time.monotonic() - started < 1
    assert len(responses.calls) == 1


def paged(link: str, *resources: Any) -> dict[str, Any]:
    return bundle(*resources, link=[{"relation": "next", "url": link}])


@pytest.mark.parametrize(
    "link",
    [
        f"{BASE}?_getpages=1",
        f"{BASE}/Condition?page=2",
        "Condition?page=2",
        "?page=2",
        f"{BASE}:443".replace(".example/fhir:443", ".example:443/fhir") + "?_getpages=1",
    ],
)
@responses.activate
def test_a_next_link_on_the_same_base_is_followed(client: FhirClient, link: str) -> None:
    """The base itself with a query, below it, or relative."""
    answers(paged(link, condition()), match=[matchers.query_param_matcher({"patient": "p1"})])
    answers(bundle(condition("c2")), match=[matchers.query_param_matcher({"page": "2"})])
    responses.get(BASE, json=bundle(condition("c2")), match=[matchers.query_param_matcher({"_getpages": "1"})])
    reply = one(client)
    assert ([found["id"] for found in reply.resources], reply.failure, reply.more) == (["c1", "c2"], None, False)


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/fhir?page=2",
        "http://ehr.example/fhir?page=2",
        "//evil.example/fhir?page=2",
        "https://ehr.example/fhirx?page=2",
        "https://ehr.example/fhir/../admin?page=2",
        "https://ehr.example/fhir/%2e%2e/admin",
        "https://ehr.example@evil.example/fhir?page=2",
        "https://ehr.example:8443/fhir?page=2",
        "/admin?page=2",
        "../../admin",
        "",
        5,
    ],
)
@responses.activate
def test_a_next_link_that_leads_elsewhere_is_not_followed(client: FhirClient, link: Any) -> None:
    """What was read counts, the rest is unread."""
    answers(paged(link, condition()))
    reply = one(client)
    assert (len(reply.resources), reply.failure, reply.more) == (1, Failure.FOREIGN_PAGE, True)
    assert len(responses.calls) == 1


@responses.activate
def test_pages_have_an_end(client: FhirClient) -> None:
    """A server whose pages never end is read up to the limit."""
    answers(paged(f"{BASE}/Condition?page=2", condition()))
    reply = one(client)
    assert (len(responses.calls), reply.failure, reply.more) == (3, None, True)


@responses.activate
def test_no_page_is_read_beyond_what_is_wanted(client: FhirClient) -> None:
    """`most` resources are enough."""
    answers(paged(f"{BASE}/Condition?page=2", condition(), condition("c2")))
    reply = one(client, Query("Condition", (("patient", "p1"),), most=2))
    assert (len(responses.calls), reply.more) == (1, True)


@responses.activate
def test_an_answer_that_is_too_large_is_not_read(client: FhirClient) -> None:
    """By its own account, or as it comes."""
    answers("x" * 200_000)
    assert one(client).failure is Failure.TOO_LARGE


@responses.activate
def test_a_small_answer_that_unpacks_to_a_large_one_is_not_unpacked(client: FhirClient) -> None:
    """A gzip bomb; a plain gzip is read."""
    answers(gzip.compress(b"[" + b" " * 50_000_000), headers={"Content-Encoding": "gzip"})
    answers(gzip.compress(msgspec.json.encode(bundle(condition()))), headers={"Content-Encoding": "gzip"})
    assert one(client).failure is Failure.TOO_LARGE
    assert len(one(client).resources) == 1


@pytest.mark.parametrize(
    "query",
    [
        Query("Observation", (("patient", ""),)),
        Query("Observation", (("patient", "p1"), ("code", ","))),
        Query("Observation", (("patient", "p1"), ("code", "http://loinc.org|"))),
        Query("Patient/../x"),
        Query("Patient/"),
        Query("Patient/.."),
        Query("Patient/."),
        Query("Patient/p1?x"),
        Query("Pat ient"),
    ],
)
@responses.activate
def test_a_query_with_an_empty_value_is_never_sent(client: FhirClient, query: Query) -> None:
    """Servers answer it with everybody's resources; nor is anything but a type and an id a path."""
    assert one(client, query).failure is Failure.NOT_ASKED
    assert len(responses.calls) == 0


def test_values_are_escaped() -> None:
    """Nothing in a value can add a parameter."""
    query = Query("Observation", (("patient", "p1&x=1"), ("code", "http://loinc.org|777-3,local|a b")))
    assert query.url(BASE) == f"{BASE}/Observation?patient=p1%26x%3D1&code=http://loinc.org%7C777-3,local%7Ca%20b"


@responses.activate
def test_a_failure_of_one_query_costs_no_other(client: FhirClient) -> None:
    """The replies come in the order of the queries."""
    answers(bundle(condition()))
    answers("", "Procedure", status=403)
    first, second = client.read_all(SERVER, [SEARCH, Query("Procedure", (("patient", "p1"),))], soon())
    assert (len(first.resources), second.failure) == (1, Failure.FORBIDDEN)


@responses.activate
def test_a_connection_that_fails_is_unreachable(client: FhirClient) -> None:
    """Nothing of the exception is shown."""
    reply = one(client)  # nothing is registered: `responses` raises ConnectionError with the whole request in it
    assert (reply.failure, list(reply.resources)) == (Failure.UNREACHABLE, [])


def test_a_server_never_shows_its_token() -> None:
    """In a log or a traceback."""
    assert "secret" not in repr(SERVER)
    assert "secret" not in f"{SERVER}"


@contextmanager
def listening(serve: Any) -> Iterator[str]:
    """A server of our own on a free port; `serve` gets each connection in a thread."""
    ending = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:

        def accept() -> None:
            while not ending.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=hold, args=(connection,), daemon=True).start()

        def hold(connection: socket.socket) -> None:
            with connection:
                try:
                    serve(connection, ending)
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/fhir"
        finally:
            ending.set()
            listener.shutdown(socket.SHUT_RDWR)


def silent(connection: socket.socket, ending: threading.Event) -> None:
    connection.recv(10_000)
    ending.wait(20)


def dripping_headers(connection: socket.socket, ending: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not ending.wait(0.05):
        connection.sendall(b"x")


def dripping_body(connection: socket.socket, ending: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: 50000\r\n\r\n")
    while not ending.wait(0.05):
        connection.sendall(b" ")


def flooding(connection: socket.socket, ending: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    for _ in range(3200):  # 200 MB
        connection.sendall(chunk)


def cut(connection: socket.socket, ending: threading.Event) -> None:
    connection.recv(10_000)
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{"resourceType"')


@pytest.mark.parametrize(
    ("serve", "failures"),
    [
        (silent, {Failure.TIMEOUT}),
        (dripping_headers, {Failure.TIMEOUT}),
        (dripping_body, {Failure.TIMEOUT}),
        (flooding, {Failure.TOO_LARGE}),
        (cut, {Failure.UNREACHABLE}),
    ],
)
def test_no_server_holds_up_the_answer(client: FhirClient, serve: Any, failures: set[Failure]) -> None:
    """Silent, a byte at a time, without end or cut short: the replies are there by the deadline."""
    with listening(serve) as base:
        started = time.monotonic()
        queries = [SEARCH] * 30
        replies = client.read_all(Server(base), queries, started + 0.5)
        assert time.monotonic() - started < 0.6
        assert {reply.failure for reply in replies} == failures


@pytest.mark.parametrize("serve", [silent, dripping_headers, dripping_body, flooding, cut])
def test_no_server_holds_up_the_answer_to_a_batch(serve: Any) -> None:
    """All of it is late or failed, and no thread stays behind."""
    with listening(serve) as base:
        client = FhirClient(Limits(answer_bytes=100_000, round_bytes=1_000_000), batched=[base])
        started = time.monotonic()
        replies = client.read_all(Server(base), [SEARCH] * 30, started + 0.5)
        assert time.monotonic() - started < 0.6
        assert all(reply.failure is not None and not reply.resources for reply in replies)
        time.sleep(0.2)
        assert client._pools[base]._work_queue.empty()
        assert client._pools[base]._idle_semaphore.acquire(timeout=0)
        client.close()


@pytest.mark.parametrize("serve", [silent, dripping_headers, dripping_body])
def test_no_thread_stays_behind(client: FhirClient, serve: Any) -> None:
    """At the deadline what is under way is ended, so that the next call finds the threads free."""
    with listening(serve) as base:
        client.read_all(Server(base), [SEARCH] * 30, soon(0.3))
        time.sleep(0.2)
        pool = client._pools[base]
        assert pool._work_queue.empty()
        assert pool._idle_semaphore.acquire(timeout=0)
        started = time.monotonic()
        client.read_all(Server(base), [SEARCH], soon(0.3))
        assert time.monotonic() - started < 0.4


def test_what_was_read_before_the_deadline_counts(client: FhirClient) -> None:
    """A first page whose second never comes."""

    def serve(connection: socket.socket, ending: threading.Event) -> None:
        asked = connection.recv(10_000)
        if b"page=2" in asked:
            ending.wait(20)
        body = msgspec.json.encode(paged("?page=2", condition()))
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    with listening(serve) as base:
        reply = one(client, server=Server(base), seconds=0.4)
    assert (len(reply.resources), reply.failure, reply.more) == (1, Failure.TIMEOUT, True)


def test_a_hanging_server_takes_no_threads_from_another(client: FhirClient) -> None:
    """Each server has a pool of its own."""

    def prompt(connection: socket.socket, ending: threading.Event) -> None:
        body = msgspec.json.encode(bundle(condition()))
        while connection.recv(10_000):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    with listening(silent) as hanging, listening(prompt) as good:
        stuck = threading.Thread(target=client.read_all, args=(Server(hanging), [SEARCH] * 100, soon(1.0)))
        stuck.start()
        reply = one(client, server=Server(good), seconds=0.5)
        stuck.join()
    assert len(reply.resources) == 1


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://ehr.example/fhir/", BASE),
        ("HTTPS://EHR.example:443/fhir", BASE),
        ("http://127.0.0.1:8080/fhir", "http://127.0.0.1:8080/fhir"),
        ("https://[::1]/fhir", "https://[::1]/fhir"),
        ("https://user@ehr.example/fhir", None),
        ("https://ehr.example/fhir?x=1", None),
        ("https://ehr.example/fhir#x", None),
        ("https://ehr.example/a/../fhir", None),
        ("https://ehr.example/a/%2E%2e/fhir", None),
        ("https://ehr.example/a/..;/fhir", None),
        ("https://ehr.example/a/%252e%252e/fhir", None),
        ("https://ehr.example\\@evil/fhir", None),
        ("https://ehr.example/fh ir", None),
        ("https://ehr.example/fhir\n", None),
        ("https://ehr.example:x/fhir", None),
        ("ftp://ehr.example/fhir", None),
        ("https:///fhir", None),
        ("", None),
        (None, None),
        (5, None),
    ],
)
def test_a_base_has_one_spelling(url: Any, base: str | None) -> None:
    """And what could be read as another address is none."""
    assert base_of(url) == base


def test_an_allowed_base_is_a_folder_and_no_prefix() -> None:
    """`/fhir` allows `/fhir/r4` and not `/fhir2`."""
    assert may_be_called(BASE, (BASE,))
    assert may_be_called(f"{BASE}/r4", (BASE,))
    assert not may_be_called(f"{BASE}2", (BASE,))
    assert not may_be_called("https://ehr.example", (BASE,))
    assert not may_be_called(BASE, ())


def test_a_paging_link_keeps_its_query() -> None:
    """As the server wrote it."""
    assert (
        page_url(BASE, f"{BASE}/Condition?patient=p1", f"{BASE}?_getpages=a%7Cb&x=,") == f"{BASE}?_getpages=a%7Cb&x=,"
    )


def test_ending_a_use_leaves_a_connection_alone_that_serves_another() -> None:
    """Back in the pool, it may be another call's by the time of the deadline."""

    class Connection:
        use: Use | None = None

    here, there = socket.socketpair()
    with here, there:
        first, second = Use(), Use()
        connection: Any = Connection()
        connection.sock = here
        first.serve(connection)
        connection.use = second
        first.end()
        there.sendall(b"x")
        assert here.recv(1) == b"x"
        connection.use = first
        first.end()
        assert here.recv(1) == b""
