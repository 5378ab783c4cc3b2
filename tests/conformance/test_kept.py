"""What is kept of calls and what is counted, by the statements of CRD 2.2.1 on logs, retention and metrics."""

import json
import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.fernet import Fernet
from flask.testing import FlaskClient
from msgspec.structs import replace
from pydantic import SecretStr
from signing import BASE, BY_ID, PUBLIC, Ehr, FhirServer, Json, guidance, said_of, updated

from cds_service.app import create_app, load_knowledge, open_ledger
from cds_service.demo.store import Store
from cds_service.ledger.access import Access
from cds_service.ledger.ledger import Ledger, Limits
from cds_service.settings import Settings
from hooks.wire import encode

Serving = Callable[[Store], AbstractContextManager[FhirServer]]
MET, MISSING, OTHER = (BY_ID[name] for name in ("demo-hemgenix-met", "demo-labs-missing", "demo-other-drug"))
MARK = "MARKEDPATIENT"


@pytest.fixture
def own(settings: Settings, tmp_path: Path) -> Settings:
    """Settings with a folder and a key of their own, under which numbers are issued."""
    key = SecretStr(Fernet.generate_key().decode())
    return settings.model_copy(update={"data_dir": tmp_path / "data", "ledger_keys": key, "authorization": "issue"})


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """What a service that is made in this test writes to its log."""
    written = StringIO()
    monkeypatch.setattr("cds_service.log.sys", SimpleNamespace(stderr=written))
    return written


@pytest.fixture
def caller(own: Settings, client: FlaskClient, logged: StringIO) -> Ehr:
    """An EHR of a service with these settings, on the tests' day."""
    own.data_dir.mkdir()
    return Ehr(create_app(own).test_client(), {})


def operator(settings: Settings) -> Access:
    """The ledger as an operator reads it."""
    return open_ledger(settings, logging.getLogger()).access("ada")


@pytest.mark.conformance("found-11")
@pytest.mark.parametrize("part", ["coverage-assertion-id", "satisfied-pa-id"])
def test_what_a_claim_brings_back_leads_to_the_guidance(part: str, own: Settings, caller: Ehr) -> None:
    """The assertion id and the number that stand on the order find what was said, and by which policy version."""
    said = said_of(caller.sign(MET))
    (found,) = operator(own).show(said[part][0])
    assert (found["covered"], found["number"]) == (said["covered"][0], said["satisfied-pa-id"][0])
    assert (found["outcome"], found["policy"], str(found["policy_version"])) == (
        "criteria-met",
        "PHARMACY-109",
        "2025-11-20",
    )
    assert str(found["day"]) == said["date"][0]


@pytest.mark.conformance("found-37")
def test_a_disputed_answer_can_be_shown_and_judged_again(own: Settings, caller: Ehr) -> None:
    """By the call's hookInstance: when, which hook, who called, each criterion; and the kept facts say the same."""
    call = caller.call(MISSING)
    card = guidance(caller.answer(call))
    (line,) = [json.loads(one) for one in operator(own).export()]
    assert (line["hook_instance"], line["hook"], line["caller"]) == (call["hookInstance"], "order-sign", "")
    told = card["extension"]["drug-coverage.determination"]
    findings = line["findings"] if isinstance(line["findings"], list) else json.loads(line["findings"])
    assert [(one["id"], one["status"]) for one in findings] == [(one["id"], one["status"]) for one in told["criteria"]]
    cards = line["cards"] if isinstance(line["cards"], list) else json.loads(line["cards"])
    assert card["uuid"] in [uuid for uuid, _ in cards]
    (again,) = operator(own).replay(load_knowledge().library, name=line["id"])
    assert again.verdict.value == "same"


def test_what_a_suggestion_offered_is_kept(own: Settings, caller: Ehr) -> None:
    """In its words: which test an accepted one ordered cannot be told from the findings alone."""
    answer = caller.answer(caller.call(MISSING))
    offered = [
        [one["uuid"], card["uuid"], one["label"]] for card in answer["cards"] for one in card.get("suggestions", ())
    ]
    (line,) = [json.loads(one) for one in operator(own).export()]
    assert line["suggestions"] == offered
    assert "Order: Platelet count" in {label for _, _, label in offered}


@pytest.mark.conformance("found-37")
@pytest.mark.parametrize("kind", ["governed", "ungoverned", "refused"])
def test_every_call_leaves_its_line(kind: str, caller: Ehr, logged: StringIO) -> None:
    """An answer that no policy gave and a refusal too, each with what was said."""
    call = {"governed": caller.call(MET), "ungoverned": caller.call(OTHER), "refused": caller.call(MET)}[kind]
    if kind == "refused":
        call["context"]["userId"] = "nobody"
    caller.post(call)
    (line,) = _lines(logged)
    assert line["metric"]["hookInstance"] == (call["hookInstance"] if kind != "refused" else "")
    if kind == "refused":
        assert line["metric"]["issue"] == [{"code": "value"}]
    else:
        ((request),) = line["metric"]["request"]
        covered = [one["coverageInfo"][0]["covered"] for one in request["response"] if "coverageInfo" in one]
        assert covered == ["covered" if kind == "governed" else "conditional"]


def _lines(logged: StringIO) -> list[Json]:
    found = [json.loads(line) for line in logged.getvalue().splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] == "call"]


# CRD 2.2.1, logical model CRDMetricData: what each element may hold, by the parts that are sent here.
MODEL: Json = {
    "source": str,
    "hookInstance": str,
    "hookType": str,
    "requestTime": str,
    "responseTime": str,
    "httpResponse": int,
    "tokenUse": str,
    "issue": [{"code": str}],
    "resources": [{"type": str, "count": int, "prefetch": bool}],
    "request": [
        {
            "type": str,
            "response": [
                {
                    "type": str,
                    "coverageInfo": [
                        {
                            "covered": str,
                            "paNeeded": str,
                            "docNeeded": str,
                            "infoNeeded": str,
                            "questionnaire": [{"reference": str, "adaptive": bool}],
                        }
                    ],
                }
            ],
        }
    ],
}


def fits(value: Any, model: Any) -> bool:
    """True when the value has no other members and types than the model."""
    if isinstance(model, dict):
        return isinstance(value, dict) and all(name in model and fits(of, model[name]) for name, of in value.items())
    if isinstance(model, list):
        return isinstance(value, list) and all(fits(one, model[0]) for one in value)
    return type(value) is model


@pytest.mark.conformance("metric-1")
def test_each_call_is_counted_as_the_guide_asks(caller: Ehr, logged: StringIO) -> None:
    """A record of its logical model: when, how it ended, what was sent and read, what was said of each order."""
    caller.sign(MISSING)
    (line,) = _lines(logged)
    found = line["metric"]
    assert fits(found, MODEL)
    assert (found["source"], found["hookType"], found["httpResponse"]) == ("payer-src", "order-sign", 200)
    assert (found["tokenUse"], found["requestTime"][:10]) == ("not-used", "2026-11-24")
    assert {"type": "Patient", "count": 1, "prefetch": True} in found["resources"]
    (request,) = found["request"]
    assert request["type"] == "MedicationRequest"
    kinds = [one["type"] for one in request["response"]]
    assert kinds == ["guideline", "clinical-reminder", "claim", "coverage-info"]
    assert request["response"][-1]["coverageInfo"] == [
        {
            "covered": "covered",
            "paNeeded": "auth-needed",
            "docNeeded": "clinical",
            "questionnaire": [
                {"reference": f"{PUBLIC}/fhir/Questionnaire/pharmacy-109-hemgenix|2025-11-20", "adaptive": False}
            ],
        }
    ]


@pytest.mark.conformance("metric-1")
@pytest.mark.parametrize(("status", "use"), [(None, "used"), (401, "rejected"), (403, "rejected")])
def test_what_became_of_the_token_is_counted(
    status: int | None, use: str, caller: Ehr, serving: Serving, logged: StringIO
) -> None:
    """Used, or rejected; and what was read stands apart from what was sent."""
    call = caller.call(MET, sent="none", fhirServer=BASE, fhirAuthorization={"access_token": "t", "expires_in": 30})
    with serving(caller.store(MET)) as server:
        if status is not None:
            server.instead["Observation"] = (status, {"Content-Type": "application/fhir+json"}, b"{}")
        caller.answer(call)
    (line,) = _lines(logged)
    assert line["metric"]["tokenUse"] == use
    assert {"type": "Patient", "count": 1, "prefetch": False} in line["metric"]["resources"]


@pytest.mark.conformance("metric-1")
def test_cards_that_were_left_out_are_not_counted(caller: Ehr, logged: StringIO) -> None:
    """What counts is what was returned."""
    caller.sign(MISSING, extension={"davinci-crd.configuration": {"max-cards": 1, "coverage-info": False}})
    (line,) = _lines(logged)
    assert line["metric"]["request"] == [{"type": "MedicationRequest", "response": [{"type": "guideline"}]}]


def marked() -> Json:
    """A call about a patient whose every id and name is marked."""
    text = encode([MISSING.order, list(MISSING.resources)]).replace(MISSING.id.encode(), MARK.encode())
    order, resources = json.loads(text)
    (patient,) = [one for one in resources if one["resourceType"] == "Patient"]
    patient["name"] = [{"family": f"{MARK}-family", "given": ["x"]}]
    story = replace(MISSING, id=MARK, order=order, resources=tuple(resources))
    return dict(Ehr.call(_NOBODY, story))


_NOBODY: Any = Ehr(None, {})  # type: ignore[arg-type]


@pytest.mark.conformance("sec-6")
def test_nothing_of_the_patient_is_left_readable(own: Settings, caller: Ehr, logged: StringIO) -> None:
    """Neither in the files of the service, nor in its log: the facts are sealed, for audit, and nothing else stays."""
    assert caller.answer(marked())["cards"]
    files = b"".join(path.read_bytes() for path in own.data_dir.rglob("*") if path.is_file())
    assert b"hemgenix" in files  # so that the search is known to find
    assert MARK.encode() not in files
    seen = logged.getvalue()
    assert '"hookType":"order-sign"' in seen
    assert MARK not in seen


@pytest.mark.conformance("sec-6")
def test_without_a_key_no_facts_are_kept(own: Settings, client: FlaskClient) -> None:
    """The decision stays, and what it was made from does not."""
    own.data_dir.mkdir()
    unsealed = own.model_copy(update={"ledger_keys": SecretStr("")})
    Ehr(create_app(unsealed).test_client(), {}).sign(MET)
    (line,) = [json.loads(one) for one in operator(unsealed).export()]
    assert (line["outcome"], line["inputs"]) == ("criteria-met", None)


@pytest.mark.conformance("sec-6")
def test_what_is_kept_ends(own: Settings, caller: Ehr) -> None:
    """A service that has nothing else to do removes what is past its time by itself."""
    caller.sign(MET)
    assert len(list(operator(own).export())) == 1
    later = datetime.now(UTC) + timedelta(days=31)
    ledger = Ledger(
        f"sqlite:///{own.data_dir / 'ledger.db'}",
        service_version="0",
        clock=lambda: later,
        retention_days=30,
        limits=Limits(idle_s=0.1, steady_s=0.0),
    )
    assert ledger.start(5.0)
    try:
        end = time.monotonic() + 5
        while list(operator(own).export()) and time.monotonic() < end:
            time.sleep(0.05)
        assert list(operator(own).export()) == []
    finally:
        ledger.close()


@pytest.mark.conformance("found-4")
def test_the_questions_are_had_by_dtr(caller: Ehr) -> None:
    """The form that an order names is packaged for just this order, by the order alone."""
    (order,) = updated(caller.sign(MISSING))
    (canonical,) = said_of({"systemActions": [{"resource": order}]})["questionnaire"]
    (coverage,) = [one for one in MISSING.resources if one["resourceType"] == "Coverage"]
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": "coverage", "resource": coverage}, {"name": "order", "resource": order}],
    }
    response = caller._client.post(
        "/fhir/Questionnaire/$questionnaire-package", data=encode(body), content_type="application/fhir+json"
    )
    assert response.status_code == 200, response.get_data(as_text=True)
    (bundle,) = [one["resource"] for one in response.get_json()["parameter"] if one["name"].lower() == "packagebundle"]
    form = bundle["entry"][0]["resource"]
    assert f"{form['url']}|{form['version']}" == canonical
