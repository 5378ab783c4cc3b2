"""A FHIR server that is down, as its own callers and others see it."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
import responses
from flask.testing import FlaskClient
from msgspec.structs import replace
from signing import BASE, BY_ID, PUBLIC, Ehr, FhirServer, Json, criterion, outcomes, said_of

from cds_service.app import build_service, create_app
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.determination import Determination
from cds_service.policy.facts import Facts
from cds_service.settings import read_settings
from fhir_mappings.circuit import Circuits
from fhir_mappings.servers import Server
from hooks import order_sign
from hooks.answer import answered
from hooks.call import parse_call
from hooks.service import Caller, Moment
from hooks.wire import encode

MET = BY_ID["demo-hemgenix-met"]
OTHER = "https://other.example/fhir"


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """Where the service writes its log."""
    stream = StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    return stream


@pytest.fixture
def own_client(tmp_path: Path, logged: StringIO) -> FlaskClient:
    """A service of its own, which knows two servers."""
    settings = read_settings({}, public_url=PUBLIC, auth="off", fhir_servers=(BASE, OTHER), data_dir=tmp_path)
    return create_app(settings).test_client()


@pytest.fixture
def own_ehr(own_client: FlaskClient, ehr: Ehr) -> Ehr:
    """The EHR that calls it."""
    return Ehr(own_client, ehr.templates)


def shut(ehr: Ehr) -> Json:
    """The answer after four calls while the server was down, to a call that lacks the results."""
    with responses.RequestsMock() as network:  # where nothing answers
        for _ in range(4):
            ehr.post(ehr.call(MET, sent="none", fhirServer=BASE))
        cost = len(network.calls)
        call = ehr.call(MET, fhirServer=BASE)
        del call["prefetch"]["observations"]
        answer = ehr.answer(call)
        assert len(network.calls) == cost
    return answer


def test_what_a_shut_server_was_not_asked_is_not_retrieved(own_ehr: Ehr) -> None:
    """Never missing, never met; what was sent counts."""
    answer = shut(own_ehr)
    assert outcomes(answer) == ["undetermined"]
    assert criterion(answer, "8c")["reason"] == "not-retrieved"
    assert criterion(answer, "2")["status"] == "met"
    assert said_of(answer)["reason"][0]["coding"][0]["code"] == "technical"


def test_it_is_seen_in_the_metrics_and_the_log(own_ehr: Ehr, own_client: FlaskClient, logged: StringIO) -> None:
    """By the base that the settings name, once; no patient, no query."""
    shut(own_ehr)
    told = own_client.get("/metrics").get_data(as_text=True)
    assert f'cds_fhir_circuits_open{{server="{BASE}"}} 1.0' in told
    assert f'cds_fhir_server_left_alone_total{{server="{BASE}"}} 1.0' in told
    lines = [json.loads(line) for line in logged.getvalue().splitlines() if "left alone" in line]
    assert [(line["event"], line["server"]) for line in lines] == [("FHIR server left alone", BASE)]
    assert MET.id not in told


def test_another_server_is_read_as_ever(own_ehr: Ehr, monkeypatch: pytest.MonkeyPatch) -> None:
    """One client's dead server does not cost another client's patient an answer."""
    shut(own_ehr)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as network:
        theirs = FhirServer(own_ehr.store(MET))
        monkeypatch.setattr("signing.BASE", OTHER)
        network.add_callback(responses.GET, re.compile(re.escape(OTHER) + ".*"), theirs.answer)
        assert outcomes(own_ehr.sign(MET, sent="none", fhirServer=OTHER)) == ["criteria-met"]


def test_its_callers_are_judged_one_after_another(ehr: Ehr, tmp_path: Path) -> None:
    """So that eight of them take no more from everybody else than one does."""
    circuits, under_way, at_once = Circuits(), list[int](), list[int]()
    service = build_service(read_settings({}, public_url=PUBLIC, data_dir=tmp_path), circuits=circuits)

    def determine(policy: CompiledPolicy, facts: Facts) -> Determination:
        under_way.append(1)
        time.sleep(0.02)
        at_once.append(len(under_way))
        under_way.remove(1)
        return service.determine(policy, facts)

    for _ in range(3):
        began = time.monotonic()
        circuits.admit(BASE, BASE, began + 4)
        circuits.silent(BASE, began, refused=True, probe=False)
    call = parse_call(encode(ehr.call(MET, fhirServer=BASE)), order_sign.HOOK)
    caller = Caller(server_for=lambda url, token: Server(url, token, url))
    moment = Moment(datetime.now(UTC).date(), time.monotonic() + 4)
    slowly = replace(service, determine=determine)
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: answered(call, order_sign.HOOK, slowly, caller, moment), range(8)))
    assert len(told) == len(at_once) == 8
    assert set(at_once) == {1}
