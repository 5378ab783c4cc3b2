"""A FHIR server that fails: the prescriber reads what could not be read, and what was read still counts."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient
from msgspec.structs import replace
from signing import (
    BASE,
    BY_ID,
    HOOK,
    PUBLIC,
    Ehr,
    FhirServer,
    Json,
    bundle,
    call_of,
    chart,
    context_of,
    criterion,
    determinations,
    fhir,
    guidance,
    order_of,
    outcomes,
    said_of,
    without,
)

from cds_service.app import create_app
from cds_service.demo.store import Store
from cds_service.settings import read_settings
from hooks.wire import encode

Serving = Callable[[Store], AbstractContextManager[FhirServer]]
Response = tuple[int, dict[str, str], bytes]
MET = BY_ID["demo-hemgenix-met"]
FHIR = {"Content-Type": "application/fhir+json"}
OUTCOME: Json = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
WARNING: Json = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "informational"}]}


def next_page(url: str) -> Json:
    """An Observation searchset that says it goes on at `url`."""
    return {**bundle(*chart(MET, "Observation")[:1]), "link": [{"relation": "next", "url": url}]}


FAULTS: dict[str, Any] = {
    "timeout": requests.Timeout("slow"),
    "unreachable": requests.ConnectionError("refused"),
    "401": (401, FHIR, encode(OUTCOME)),
    "403": (403, FHIR, encode(OUTCOME)),
    "404": (404, FHIR, b""),
    "410": (410, FHIR, b""),
    "429": (429, {**FHIR, "Retry-After": "120"}, b""),
    "500": (500, {"Content-Type": "text/html"}, b"<html>oops</html>"),
    "503": (503, {"Retry-After": "0"}, b""),
    "redirect": (302, {"Location": "https://elsewhere.example/fhir/Observation"}, b""),
    "HTML": (200, {"Content-Type": "text/html"}, b"<html><body>Please sign in</body></html>"),
    "cut JSON": (200, FHIR, encode(bundle(*chart(MET, "Observation")))[:-20]),
    "not UTF-8": (200, FHIR, b'{"resourceType":"Bundle","x":"\xff"}'),
    "an empty body": (200, FHIR, b""),
    "null": (200, FHIR, b"null"),
    "an array": (200, FHIR, b"[]"),
    "another resource": fhir({"resourceType": "Patient", "id": MET.id}),
    "an OperationOutcome": fhir(OUTCOME),
    "an OperationOutcome among the entries": fhir(bundle(*chart(MET, "Observation")[:1], OUTCOME)),
    "entries of another type": fhir({"resourceType": "Bundle", "entry": {"resource": 5}}),
    "next on another host": fhir(next_page("https://elsewhere.example/fhir?page=2")),
    "next outside the base": fhir(next_page("https://ehr.example/other?page=2")),
    "next that never ends": fhir(next_page(f"{BASE}?page=2")),
}
EVERY_FAULT = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())


@EVERY_FAULT
def test_results_that_cannot_be_read_leave_the_answer_open(fault: Any, ehr: Ehr, serving: Serving) -> None:
    """Undetermined and technical, in words that say so; nothing is called missing or not found, nor met."""
    with serving(ehr.store(MET)) as server:
        server.instead = {"Observation": fault, "": fault}
        answer = ehr.sign(MET, sent="none", fhirServer=BASE)
    assert outcomes(answer) == ["undetermined"]
    said = said_of(answer)
    assert said["covered"] == said["pa-needed"] == said["doc-needed"] == ["indeterminate"]
    assert said["reason"][0]["coding"][0]["code"] == "technical"
    card = guidance(answer)
    assert card["indicator"] == "warning"
    assert "could not be read" in card["summary"]
    assert "part of the chart could not be read" in card["detail"].partition("\n")[0]
    for name in ("5", "6", "8a", "8b", "8c", "8d"):
        found = criterion(answer, name)
        assert (found["status"], found["reason"]) == ("unknown", "not-retrieved"), name
    assert len(answer["cards"]) == 1


@EVERY_FAULT
def test_what_was_read_still_counts(fault: Any, ehr: Ehr, serving: Serving) -> None:
    """The criteria that need no laboratory result are judged as ever, with their evidence."""
    with serving(ehr.store(MET)) as server:
        server.instead = {"Observation": fault}
        answer = ehr.sign(MET, sent="none", fhirServer=BASE)
    for name in ("1", "2", "4", "4a", "7", "8e"):
        found = criterion(answer, name)
        assert found["status"] == "met", name
        assert found["evidence"], name


def test_a_result_against_the_patient_counts_although_others_are_unread(ehr: Ehr, serving: Serving) -> None:
    """What was read and fails is said: the outcome is not hidden behind what could not be read."""
    story = BY_ID["demo-sixteen"]
    with serving(ehr.store(story)) as server:
        server.instead = {"Observation": (500, {}, b"")}
        answer = ehr.sign(story, sent="none", fhirServer=BASE)
    assert outcomes(answer) == ["criteria-not-met"]
    assert criterion(answer, "8c")["reason"] == "not-retrieved"


# resource type → a criterion of the story that cannot be told without it
NEEDED = {
    "Patient": "2",
    "Condition": "3",
    "QuestionnaireResponse": "4a",
    "MedicationAdministration": "7",
    "Procedure": "7",
    "MedicationStatement": "7",
}


@pytest.mark.parametrize("fault", ["timeout", "401", "403", "404", "500", "HTML", "an OperationOutcome"])
@pytest.mark.parametrize("kind", NEEDED)
def test_any_source_that_cannot_be_read_is_named_by_its_criterion(
    kind: str, fault: str, ehr: Ehr, serving: Serving
) -> None:
    """The criterion says that it could not be read, never that nothing was found, and the order is not cleared."""
    with serving(ehr.store(MET)) as server:
        server.instead = {kind: FAULTS[fault]}
        answer = ehr.sign(MET, sent="none", fhirServer=BASE)
    found = criterion(answer, NEEDED[kind])
    assert (found["status"], found["reason"]) == ("unknown", "not-retrieved")
    assert outcomes(answer) == ["undetermined"]
    assert criterion(answer, "8c")["status"] == "met"


@pytest.mark.parametrize("kind", ["Observation", "Condition", "Procedure", "QuestionnaireResponse"])
def test_an_error_in_the_prefetch_is_not_asked_for_again(kind: str, ehr: Ehr, serving: Serving) -> None:
    """A key that holds an OperationOutcome says that the client failed; the source is unread."""
    keys = {
        "Observation": "observations",
        "Condition": "conditions",
        "Procedure": "procedures",
        "QuestionnaireResponse": "questionnaireResponses",
    }
    call = ehr.call(MET, fhirServer=BASE)
    call["prefetch"][keys[kind]] = OUTCOME
    with serving(ehr.store(MET)) as server:
        answer = ehr.answer(call)
    assert outcomes(answer) == ["undetermined"]
    assert not [path for path in server.asked if path.startswith(kind)]


def test_null_in_the_prefetch_says_that_there_is_nothing(ehr: Ehr, serving: Serving) -> None:
    """The client looked: it is missing, and neither unread nor asked for."""
    call = ehr.call(MET, fhirServer=BASE)
    call["prefetch"]["observations"] = None
    with serving(ehr.store(MET)) as server:
        answer = ehr.answer(call)
    assert outcomes(answer) == ["documentation-missing"]
    assert criterion(answer, "8c")["reason"] == "not-recorded"
    assert not [path for path in server.asked if path.startswith("Observation")]


def test_a_warning_among_the_entries_harms_nothing(ehr: Ehr, serving: Serving) -> None:
    """Servers send information beside good results."""
    with serving(ehr.store(MET)) as server:

        def warned(request: requests.PreparedRequest) -> Response | None:
            found = FhirServer(server.store).answer(request)[2]
            from hooks.wire import decode

            body = decode(found)
            body.setdefault("entry", []).append({"resource": WARNING, "search": {"mode": "outcome"}})
            return fhir(body)

        server.instead = {"Observation": warned}
        assert outcomes(ehr.sign(MET, sent="none", fhirServer=BASE)) == ["criteria-met"]


def test_another_patient_s_results_do_not_count(ehr: Ehr, serving: Serving) -> None:
    """A server that mixes up patients proves nothing for this one, and nothing against."""
    foreign = [{**one, "subject": {"reference": "Patient/somebody-else"}} for one in chart(MET, "Observation")]
    with serving(ehr.store(MET)) as server:
        server.instead = {"Observation": fhir(bundle(*foreign))}
        answer = ehr.sign(MET, sent="none", fhirServer=BASE)
    assert outcomes(answer) == ["documentation-missing"]
    assert criterion(answer, "8c") == {**criterion(answer, "8c"), "status": "unknown", "evidence": []}


def test_another_patient_is_not_taken_for_this_one(ehr: Ehr, serving: Serving) -> None:
    """A read that gives another id is not FHIR, and the age is not told."""
    with serving(ehr.store(MET)) as server:
        other = {"resourceType": "Patient", "id": "somebody-else", "birthDate": "1950-01-01"}
        server.instead = {f"Patient/{MET.id}": fhir(other)}
        answer = ehr.sign(MET, sent="none", fhirServer=BASE)
    assert criterion(answer, "2")["reason"] == "not-retrieved"


def test_pages_on_the_same_base_are_followed(ehr: Ehr, serving: Serving) -> None:
    """What is on the second page counts."""
    with serving(ehr.store(MET)) as server:
        first = {"resourceType": "Bundle", "link": [{"relation": "next", "url": f"{BASE}?_getpages=abc"}]}
        server.instead = {"Condition": fhir(first), "": fhir(bundle(*chart(MET, "Condition")))}
        assert outcomes(ehr.sign(MET, sent="none", fhirServer=BASE)) == ["criteria-met"]


# The coverage


def test_a_coverage_that_cannot_be_read_is_technical_where_the_order_names_it(ehr: Ehr, serving: Serving) -> None:
    """There is one to point at, and the criteria are on the card."""
    with serving(ehr.store(MET)) as server:
        server.instead = {"Coverage": (500, {}, b"")}
        answer = ehr.sign(MET, sent="none", fhirServer=BASE)
    said = said_of(answer)
    assert said["coverage"] == [{"reference": f"Coverage/{MET.id}-coverage"}]
    assert (said["covered"], said["reason"][0]["coding"][0]["code"]) == (["indeterminate"], "technical")
    assert "coverage could not be read" in said["reason"][0]["text"]
    assert criterion(answer, "8c")["status"] == "met"


def test_without_any_coverage_to_point_at_the_call_fails_its_precondition(ehr: Ehr, serving: Serving) -> None:
    """412 as an OperationOutcome: neither sent, nor readable, nor named by the order."""
    with serving(ehr.store(MET)) as server:
        server.instead = {"Coverage": (500, {}, b"")}
        response = ehr.post(ehr.call(MET, order_of(MET.id, insurance=None), sent="none", fhirServer=BASE))
    assert response.status_code == 412
    assert response.content_type == "application/fhir+json"
    assert response.get_json()["resourceType"] == "OperationOutcome"


def test_a_payer_that_cannot_be_read_is_technical(ehr: Ehr, serving: Serving) -> None:
    """Never the 400 of a payer without identifier."""
    with serving(ehr.store(MET)) as server:
        server.instead = {"Organization/demo-plan": (403, {}, b"")}
        answer = ehr.sign(MET, sent="none", fhirServer=BASE)
    said = said_of(answer)
    assert said["reason"][0]["coding"][0]["code"] == "technical"
    assert "payer" in said["reason"][0]["text"]


# Which server, and for how long


@pytest.mark.parametrize(
    "server_named",
    [
        "https://elsewhere.example/fhir",
        "https://ehr.example/fhir-test",
        "https://ehr.example/",
        "http://ehr.example/fhir",
        "https://ehr.example:8443/fhir",
        "https://user@ehr.example/fhir",
        "https://ehr.example/fhir/../other",
        "https://ehr.example.elsewhere.example/fhir",
    ],
)
def test_a_server_that_may_not_be_called_is_not_called(server_named: str, ehr: Ehr, serving: Serving) -> None:
    """What was sent is used, what it lacks is unread, and no request goes out."""
    story = replace(MET, resources=MET.resources)
    call = ehr.call(story, fhirServer=server_named)
    del call["prefetch"]["observations"]
    with serving(ehr.store(MET)) as server:
        answer = ehr.answer(call)
    assert server.asked == []
    assert outcomes(answer) == ["undetermined"]
    assert criterion(answer, "3")["status"] in ("met", "unknown")
    assert criterion(answer, "2")["status"] == "met"


@pytest.mark.parametrize("spelled", [BASE + "/", "HTTPS://EHR.example/fhir", "https://ehr.example:443/fhir"])
def test_the_same_server_otherwise_spelled_is_read(spelled: str, ehr: Ehr, serving: Serving) -> None:
    """A slash at the end, capitals, the default port."""
    with serving(ehr.store(MET)):
        assert outcomes(ehr.sign(MET, sent="none", fhirServer=spelled)) == ["criteria-met"]


def test_the_token_goes_to_the_server_that_it_came_for(ehr: Ehr, serving: Serving) -> None:
    """As a bearer token, with every read and to nobody else."""
    seen: list[str | None] = []
    with serving(ehr.store(MET)) as server:

        def noted(request: requests.PreparedRequest) -> None:
            seen.append(request.headers.get("Authorization"))

        server.instead = {kind: noted for kind in ("Patient", "Observation", "Condition", "Coverage")}
        authorization = {"access_token": "abc.def", "token_type": "Bearer", "expires_in": 30}
        answer = ehr.sign(MET, sent="none", fhirServer=BASE, fhirAuthorization=authorization)
    assert outcomes(answer) == ["criteria-met"]
    assert set(seen) == {"Bearer abc.def"}


def test_nothing_that_a_chart_refers_to_elsewhere_is_read(ehr: Ehr, serving: Serving) -> None:
    """Absolute references, attachments and canonicals on other hosts stay what they are."""
    story = replace(MET, resources=without(MET.resources, "Organization", "Practitioner"))
    call = ehr.call(story, order_of(MET.id, requester={"reference": "https://elsewhere.example/fhir/Practitioner/x"}))
    call["fhirServer"] = BASE
    for entry in call["prefetch"]["documents"]["entry"]:
        entry["resource"]["content"] = [{"attachment": {"url": "https://elsewhere.example/note.pdf"}}]
    for entry in call["prefetch"]["coverage"]["entry"]:
        entry["resource"]["payor"] = [{"reference": "https://elsewhere.example/fhir/Organization/x"}]
    with serving(ehr.store(MET)):  # a request to any other host would be refused, and fail the test
        response = ehr.post(call)
    assert response.status_code == 200
    assert "elsewhere.example/note" not in response.get_data(as_text=True)


@pytest.fixture
def frozen() -> Iterator[str]:
    """The base of a server that accepts connections and says nothing."""
    listening = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                held.append(listening.accept()[0])
            except OSError:
                return

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/fhir"
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    for connection in held:
        connection.close()
    thread.join()


def _hasty(tmp_path: Path, base: str, deadline_s: float = 0.5) -> FlaskClient:
    """A service that answers within half a second."""
    known = {"public_url": PUBLIC, "auth": "off", "fhir_servers": (base,)}
    return create_app(read_settings({}, **known, data_dir=tmp_path, deadline_s=deadline_s)).test_client()


def test_a_server_that_says_nothing_does_not_hold_up_the_answer(tmp_path: Path, frozen: str) -> None:
    """At the deadline the answer is there, with what the call itself told."""
    call = call_of(context_of(MET.order), {"patient": chart(MET, "Patient")[0]}, fhirServer=frozen)
    service = _hasty(tmp_path, frozen)
    started = time.monotonic()
    response = service.post(HOOK, data=encode(call), content_type="application/json")
    assert time.monotonic() - started < 1.0
    assert response.status_code == 200
    answer = response.get_json()
    assert outcomes(answer) == ["undetermined"]
    assert criterion(answer, "2")["status"] == "met"
    assert said_of(answer)["covered"] == ["indeterminate"]


def test_an_answer_at_the_deadline_is_recorded_all_the_same(tmp_path: Path, frozen: str) -> None:
    """Reading ends early enough for the ledger, so that what goes out is not counted as unrecorded."""
    service = _hasty(tmp_path, frozen, deadline_s=2.0)
    call = call_of(context_of(MET.order), {"patient": chart(MET, "Patient")[0]}, fhirServer=frozen)
    started = time.monotonic()
    response = service.post(HOOK, data=encode(call), content_type="application/json")
    assert outcomes(response.get_json()) == ["undetermined"]
    assert time.monotonic() - started < 2.0
    assert "cds_unrecorded_total 0.0" in service.get("/metrics").get_data(as_text=True)


def test_what_could_not_be_read_is_read_the_next_time(ehr: Ehr, serving: Serving) -> None:
    """A failure is not remembered."""
    with serving(ehr.store(MET)) as server:
        server.instead = {"Observation": (503, {}, b"")}
        assert outcomes(ehr.sign(MET, sent="none", fhirServer=BASE)) == ["undetermined"]
        server.instead = {}
        assert outcomes(ehr.sign(MET, sent="none", fhirServer=BASE)) == ["criteria-met"]


def test_several_orders_share_one_round_of_reads(ehr: Ehr, serving: Serving) -> None:
    """A second governed order does not read the chart a second time."""
    with serving(ehr.store(MET)) as server:
        ehr.sign(MET, sent="none", fhirServer=BASE)
        once = len(server.asked)
        answer = ehr.sign(MET, order_of(MET.id, id="a"), order_of(MET.id, id="b"), sent="none", fhirServer=BASE)
        assert len(determinations(answer)) == 2
        assert len(server.asked) == 2 * once
