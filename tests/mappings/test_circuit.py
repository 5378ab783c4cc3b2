"""A server that is down is left alone, and asked again by one probe; whoever else calls does not feel it."""

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

from fhir_mappings.circuit import Admission, Circuits, Patience
from fhir_mappings.client import FhirClient
from fhir_mappings.queries import Failure, Query, Reply
from fhir_mappings.servers import Server

OTHER = "https://other.example/fhir"
SEARCH = Query("Condition", (("patient", "p1"),))
LATER = 1e9
PROCEDURES = Query("Procedure", (("patient", "p1"),))


class Clock:
    """A clock that stands until it is set."""

    now = 1000.0

    def __call__(self) -> float:
        """The time it is set to."""
        return self.now


class Noted:
    """What the circuits said of themselves."""

    def __init__(self) -> None:
        self.said: list[tuple[str, bool]] = []

    def __call__(self, registered: str, is_open: bool) -> None:
        """Keeps it."""
        self.said.append((registered, is_open))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
def circuits(clock: Clock, noted: Noted) -> Circuits:
    return Circuits(clock=clock, note=noted)


def admitted(circuits: Circuits, clock: Clock, base: str = BASE, left_s: float = 4.0) -> Admission:
    return circuits.admit(base, base, clock.now + left_s)


def fail(circuits: Circuits, clock: Clock, lasted_s: float = 4.0, refused: bool = False, base: str = BASE) -> Admission:
    """One round of which nothing is heard."""
    began, admission = clock.now, admitted(circuits, clock, base)
    clock.now += lasted_s
    if admission is not Admission.NONE:
        circuits.silent(base, began, refused, admission is Admission.PROBE)
    return admission


def shut(circuits: Circuits, clock: Clock, base: str = BASE) -> None:
    for _ in range(3):
        assert fail(circuits, clock, 0.01, refused=True, base=base) is Admission.ALL


def test_three_silent_rounds_open_it(circuits: Circuits, clock: Clock, noted: Noted) -> None:
    """Not two: a moment's trouble is none of the server's death."""
    fail(circuits, clock)
    fail(circuits, clock)
    assert fail(circuits, clock) is Admission.ALL
    assert admitted(circuits, clock) is Admission.NONE
    assert noted.said == [(BASE, True)]


def test_an_answer_in_between_is_a_new_beginning(circuits: Circuits, clock: Clock) -> None:
    """The rounds must be silent in a row."""
    fail(circuits, clock)
    fail(circuits, clock)
    circuits.heard(BASE)
    clock.now += 1
    fail(circuits, clock)
    fail(circuits, clock)
    assert admitted(circuits, clock) is Admission.ALL


def test_a_round_is_not_silent_while_another_call_is_answered(circuits: Circuits, clock: Clock) -> None:
    """One slow resource type does not shut a server that answers others in the meantime."""
    for _ in range(10):
        began = clock.now
        admitted(circuits, clock)
        clock.now += 3.0
        circuits.heard(BASE)  # to somebody else
        clock.now += 1.0
        circuits.silent(BASE, began, False, False)
    assert admitted(circuits, clock) is Admission.ALL


def test_a_round_without_time_says_nothing(circuits: Circuits, clock: Clock) -> None:
    """A late round that is cut off at once does not count; a refused connection does."""
    for _ in range(10):
        fail(circuits, clock, lasted_s=0.2)
    assert admitted(circuits, clock) is Admission.ALL
    shut(circuits, clock)
    assert admitted(circuits, clock) is Admission.NONE


def test_one_probe_at_a_time(circuits: Circuits, clock: Clock) -> None:
    """After five seconds one round may probe, and no other until it has ended."""
    shut(circuits, clock)
    clock.now += 4.9
    assert admitted(circuits, clock) is Admission.NONE
    clock.now += 0.2
    assert admitted(circuits, clock) is Admission.PROBE
    assert admitted(circuits, clock) is Admission.NONE


def test_a_probe_that_is_answered_closes_it(circuits: Circuits, clock: Clock, noted: Noted) -> None:
    """For everybody, at once."""
    shut(circuits, clock)
    clock.now += 6
    assert admitted(circuits, clock) is Admission.PROBE
    circuits.heard(BASE)
    assert admitted(circuits, clock) is Admission.ALL
    assert noted.said == [(BASE, True), (BASE, False)]


def test_probes_become_rarer_up_to_half_a_minute(circuits: Circuits, clock: Clock, noted: Noted) -> None:
    """5, 10, 20, 30, 30 seconds; and that is one opening, not five."""
    shut(circuits, clock)
    for pause in (5, 10, 20, 30, 30):
        clock.now += pause - 0.1
        assert admitted(circuits, clock) is Admission.NONE
        clock.now += 0.2
        assert fail(circuits, clock, 0.01) is Admission.PROBE
    assert noted.said == [(BASE, True)]


def test_a_round_that_has_no_time_is_no_probe(circuits: Circuits, clock: Clock) -> None:
    """It would fail whatever the server does."""
    shut(circuits, clock)
    clock.now += 6
    assert admitted(circuits, clock, left_s=0.3) is Admission.NONE
    assert admitted(circuits, clock) is Admission.PROBE


def test_a_round_that_began_before_does_not_end_the_probe(circuits: Circuits, clock: Clock) -> None:
    """A straggler's silence is not the probe's."""
    began = clock.now
    shut(circuits, clock)
    clock.now += 6
    assert admitted(circuits, clock) is Admission.PROBE
    circuits.silent(BASE, began, False, False)
    assert admitted(circuits, clock) is Admission.NONE
    circuits.heard(BASE)
    assert admitted(circuits, clock) is Admission.ALL


def test_each_server_has_its_own(circuits: Circuits, clock: Clock) -> None:
    """A dead server is nobody else's trouble."""
    shut(circuits, clock)
    assert admitted(circuits, clock, OTHER) is Admission.ALL


def entered(circuits: Circuits, base: str = BASE, registered: str = BASE, deadline: float = LATER) -> threading.Event:
    """Set when a caller of that server, in a thread of its own, has its turn."""
    has_turn = threading.Event()

    def call() -> None:
        with circuits.turn(Server(base, registered=registered), deadline):
            has_turn.set()

    threading.Thread(target=call, daemon=True).start()
    return has_turn


@pytest.fixture
def slow(clock: Clock) -> Circuits:
    """Circuits whose callers wait for their turn as long as it takes."""
    return Circuits(Patience(turn_s=60.0), clock=clock)


def test_callers_of_a_server_that_is_left_alone_take_turns(slow: Circuits, clock: Clock) -> None:
    """They wait for nothing but the interpreter, and would keep it from others."""
    shut(slow, clock)
    with slow.turn(Server(BASE, registered=BASE), LATER):
        next_one = entered(slow)
        assert not next_one.wait(0.2)
    assert next_one.wait(10)


def test_folders_of_one_registered_base_share_the_turns(slow: Circuits, clock: Clock) -> None:
    """A client gets no more of them by naming folders."""
    for base in (f"{BASE}/a", f"{BASE}/b"):
        for _ in range(3):
            began = clock.now
            assert slow.admit(base, BASE, clock.now + 4.0) is Admission.ALL
            slow.silent(base, began, True, False)
    with slow.turn(Server(f"{BASE}/a", registered=BASE), LATER):
        assert not entered(slow, f"{BASE}/b").wait(0.2)


def test_callers_of_a_server_that_is_well_take_no_turns(slow: Circuits, clock: Clock) -> None:
    """Nor do those of another server."""
    shut(slow, clock)
    admitted(slow, clock, OTHER)
    with slow.turn(Server(BASE, registered=BASE), LATER), slow.turn(Server(OTHER, registered=OTHER), LATER):
        assert entered(slow, OTHER, OTHER).wait(10)


def test_callers_of_a_server_that_answers_again_take_no_turns(slow: Circuits, clock: Clock) -> None:
    """At once, not when it would have been asked again."""
    shut(slow, clock)
    slow.heard(BASE)
    with slow.turn(Server(BASE, registered=BASE), LATER):
        assert entered(slow).wait(10)


def test_the_caller_that_may_probe_keeps_nobody_waiting(slow: Circuits, clock: Clock) -> None:
    """A probe waits for its server, which is no reason for others to wait too."""
    shut(slow, clock)
    clock.now += 6.0
    with slow.turn(Server(BASE, registered=BASE), LATER):
        assert entered(slow).wait(10)


def test_who_waits_too_long_for_a_turn_goes_on(clock: Clock) -> None:
    """The turn is for fairness; an answer is due all the same."""
    circuits = Circuits(Patience(turn_s=0.05), clock=clock)
    shut(circuits, clock)
    with circuits.turn(Server(BASE, registered=BASE), LATER):
        assert entered(circuits).wait(10)


def test_nobody_waits_for_a_turn_beyond_the_deadline(slow: Circuits, clock: Clock) -> None:
    """The answer is due by then."""
    shut(slow, clock)
    with slow.turn(Server(BASE, registered=BASE), LATER):
        assert entered(slow, deadline=clock.now + 0.05).wait(10)


def test_a_call_that_fails_gives_its_turn_back(slow: Circuits, clock: Clock) -> None:
    """Whatever goes wrong in it."""
    shut(slow, clock)
    with pytest.raises(ValueError, match="broken"), slow.turn(Server(BASE, registered=BASE), LATER):
        raise ValueError("broken")
    assert entered(slow).wait(10)


def test_folders_below_one_base_push_out_none_of_another(clock: Clock, noted: Noted) -> None:
    """However many folders a client names, what is known of another client's server is kept."""
    circuits = Circuits(Patience(folders=4), clock, noted)
    shut(circuits, clock)
    for number in range(50):
        circuits.admit(f"{OTHER}/{number}", OTHER, clock.now + 4)
    assert admitted(circuits, clock) is Admission.NONE
    assert noted.said == [(BASE, True)]


# With the client


@pytest.fixture
def client(noted: Noted) -> Iterator[FhirClient]:
    found = FhirClient(circuits=Circuits(Patience(fair_s=0.15, first_s=0.4, longest_s=0.8), note=noted))
    yield found
    found.close()


def read(client: FhirClient, base: str, *queries: Query, seconds: float = 2.0) -> list[Reply]:
    return client.read_all(Server(base, registered=base), queries or (SEARCH,), time.monotonic() + seconds)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
@responses.activate
def test_a_server_that_answers_is_not_down(client: FhirClient, status: int) -> None:
    """A bad token, a missing resource, a query that is too much for it: none of them is the server's death."""
    responses.get(f"{BASE}/Condition", status=status, headers={"Retry-After": "100"})
    for _ in range(10):
        assert read(client, BASE)[0].failure is not Failure.LEFT_ALONE


@pytest.mark.parametrize("status", [429, 500])
@responses.activate
def test_a_server_that_fails_at_everything_is_left_alone(client: FhirClient, noted: Noted, status: int) -> None:
    """After three rounds it gets one read now and then; what it answers again is read at once."""
    for kind in ("Condition", "Procedure"):
        responses.get(f"{BASE}/{kind}", status=status, headers={"Retry-After": "100"})
    for _ in range(3):
        assert Failure.LEFT_ALONE not in {reply.failure for reply in read(client, BASE, SEARCH, PROCEDURES)}
    for _ in range(20):
        assert {reply.failure for reply in read(client, BASE, SEARCH, PROCEDURES)} == {Failure.LEFT_ALONE}
    time.sleep(0.45)
    for _ in range(5):
        read(client, BASE, SEARCH, PROCEDURES)
    assert len(responses.calls) == 3 * 2 + 1
    responses.reset()
    for kind in ("Condition", "Procedure"):
        responses.get(f"{BASE}/{kind}", json=bundle())
    time.sleep(0.85)
    assert [reply.failure for reply in read(client, BASE, SEARCH, PROCEDURES)] == [None, None]
    assert noted.said == [(BASE, True), (BASE, False)]


@pytest.mark.parametrize("status", [429, 500])
@responses.activate
def test_what_one_type_answers_is_enough(client: FhirClient, status: int) -> None:
    """A server that fails at some things, or sends some reads away, is read as ever."""
    responses.get(f"{BASE}/Condition", status=status, headers={"Retry-After": "100"})
    responses.get(f"{BASE}/Procedure", status=404)
    for _ in range(10):
        assert Failure.LEFT_ALONE not in {reply.failure for reply in read(client, BASE, SEARCH, PROCEDURES)}


@responses.activate
def test_one_type_that_always_fails_does_not_keep_it_shut(client: FhirClient) -> None:
    """A probe may be of any type."""
    for _ in range(3):
        read(client, BASE)  # nothing is registered: no connection
    responses.get(f"{BASE}/Condition", status=500)
    responses.get(f"{BASE}/Procedure", json=bundle())

    def is_read() -> bool:
        return read(client, BASE, SEARCH, PROCEDURES)[1].failure is None

    until = time.monotonic() + 30
    while not is_read():
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.parametrize("status", [502, 503, 504])
@responses.activate
def test_a_gateway_that_reaches_nothing_is_a_server_that_is_down(client: FhirClient, status: int) -> None:
    """What it says is not the server's word."""
    responses.get(f"{BASE}/Condition", status=status)
    assert [read(client, BASE)[0].failure for _ in range(4)] == [Failure.SERVER_ERROR] * 3 + [Failure.LEFT_ALONE]
    assert len(responses.calls) == 6


@responses.activate
def test_one_resource_type_that_always_fails_shuts_nothing(client: FhirClient) -> None:
    """The others are read as ever."""
    responses.get(f"{BASE}/Condition", status=503)
    responses.get(f"{BASE}/Procedure", json=bundle())
    for _ in range(6):
        failed, well = read(client, BASE, SEARCH, PROCEDURES)
        assert (failed.failure, well.failure) == (Failure.SERVER_ERROR, None)


@responses.activate
def test_the_call_that_finds_it_well_again_reads_everything(client: FhirClient, noted: Noted) -> None:
    """The probe goes first, the rest of the round follows it."""
    for _ in range(3):
        read(client, BASE)  # nothing is registered: no connection
    assert read(client, BASE, SEARCH, PROCEDURES)[1].failure is Failure.LEFT_ALONE
    responses.get(f"{BASE}/Condition", json=bundle(condition()))
    responses.get(f"{BASE}/Procedure", json=bundle())
    time.sleep(0.45)
    first, second = read(client, BASE, SEARCH, PROCEDURES)
    assert (first.failure, second.failure, len(first.resources)) == (None, None, 1)
    assert noted.said == [(BASE, True), (BASE, False)]


class Hanging:
    """A server that takes connections and says nothing, until it is told to answer."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_well = threading.Event()

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Its base."""
        over = threading.Event()
        with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:

            def accept() -> None:
                while True:
                    try:
                        connection, _ = listener.accept()
                    except OSError:
                        return
                    threading.Thread(target=self._serve, args=(connection, over), daemon=True).start()

            thread = threading.Thread(target=accept, daemon=True)
            thread.start()
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}/fhir"
            finally:
                over.set()
                listener.shutdown(socket.SHUT_RDWR)
                thread.join()

    def _serve(self, connection: socket.socket, over: threading.Event) -> None:
        body: Any = msgspec.json.encode(bundle(condition()))
        with connection:
            try:
                while connection.recv(10_000):
                    self.asked += 1
                    if not self.is_well.is_set():
                        over.wait(20)
                        return
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            except OSError:
                return


def test_a_server_that_hangs_costs_one_probe(client: FhirClient) -> None:
    """After three rounds nobody waits but for the probe, and it gets one request; well again, it is read again."""
    server = Hanging()
    with server.listening() as base:
        for _ in range(3):
            assert {reply.failure for reply in read(client, base, *[SEARCH] * 5, seconds=0.3)} == {Failure.TIMEOUT}
        assert server.asked == 15
        began = time.monotonic()
        for _ in range(20):
            assert read(client, base, *[SEARCH] * 5)[0].failure is Failure.LEFT_ALONE
        assert time.monotonic() - began < 0.2
        time.sleep(0.45)
        replies = read(client, base, *[SEARCH] * 5, seconds=0.3)
        assert sorted(reply.failure or "" for reply in replies) == [Failure.LEFT_ALONE] * 4 + [Failure.TIMEOUT]
        assert server.asked == 16
        server.is_well.set()
        time.sleep(0.85)
        assert [len(reply.resources) for reply in read(client, base, *[SEARCH] * 5)] == [1] * 5


def test_many_callers_at_once_send_one_probe(client: FhirClient) -> None:
    """The others go on without waiting."""
    server = Hanging()
    with server.listening() as base:
        for _ in range(3):
            read(client, base, seconds=0.2)
        time.sleep(0.45)
        asked, waited = server.asked, []

        def call() -> None:
            began = time.monotonic()
            read(client, base, seconds=0.5)
            waited.append(time.monotonic() - began)

        callers = [threading.Thread(target=call) for _ in range(20)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert server.asked == asked + 1
        assert sorted(waited)[18] < 0.2
