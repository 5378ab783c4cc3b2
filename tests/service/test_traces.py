"""Traces, where they are switched on: what happened in a call, and nothing of whom it was about."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from signing import BASE, BY_ID, HOOK, PUBLIC, Ehr, Json

from cds_service.app import create_app
from cds_service.settings import SettingsError, read_settings
from hooks.wire import encode

MET = BY_ID["demo-hemgenix-met"]


class Traced:
    """A service with traces, and the spans that it exported."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self._exporter = InMemorySpanExporter()
        monkeypatch.setattr("cds_service.traces.otlp_exporter", lambda: self._exporter)
        given = {"public_url": PUBLIC, "auth": "off", "fhir_servers": (BASE,), "data_dir": folder, "traces": True}
        self.app = create_app(read_settings({}, **{**given, **settings}))

    def spans(self, count: int) -> tuple[ReadableSpan, ...]:
        """The spans so far, as soon as there are so many and the call's own is among them, which ends last."""
        until = time.monotonic() + 10
        while time.monotonic() < until:
            found = self._exporter.get_finished_spans()
            if len(found) >= count and any(span.parent is None for span in found):
                return found
            time.sleep(0.05)
        raise AssertionError([span.name for span in self._exporter.get_finished_spans()])


@pytest.fixture
def traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Traced:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    return Traced(tmp_path, monkeypatch)


def sign(traced: Traced, ehr: Ehr, serving: Any, **members: Any) -> Json:
    call = ehr.call(MET, sent="none", fhirServer=BASE, **members)
    with serving(ehr.store(MET)):
        response = traced.app.test_client().post(HOOK, data=encode(call), content_type="application/json")
    assert response.status_code == 200
    return call


def test_a_call_is_one_trace_of_its_parts(traced: Traced, ehr: Ehr, serving: Any) -> None:
    """Reads, determination and ledger lie below the call, each with its hookInstance."""
    call = sign(traced, ehr, serving)
    spans = traced.spans(4)
    root = next(span for span in spans if span.name == "call")
    assert root.parent is None
    below = [span for span in spans if span is not root]
    assert {span.name for span in below} == {"FHIR reads", "determination", "ledger"}
    assert {span.parent.span_id for span in below if span.parent} == {root.context.span_id}
    assert {span.attributes["hook_instance"] for span in spans if span.attributes} == {call["hookInstance"]}


def test_spans_say_what_came_out(traced: Traced, ehr: Ehr, serving: Any) -> None:
    """Hook, status and outcome; how many reads of which types, what failed; policy and drug; what was kept."""
    sign(traced, ehr, serving)
    found = {span.name: dict(span.attributes or {}) for span in traced.spans(4)}
    assert (found["call"]["hook"], found["call"]["status"]) == ("order-sign", 200)
    assert found["call"]["outcomes"] == ("criteria-met",)
    assert found["determination"]["outcome"] == "criteria-met"
    assert (found["determination"]["policy"], found["determination"]["drug"]) == ("PHARMACY-109", "hemgenix")
    assert found["ledger"] == {**found["ledger"], "entries": 1, "recorded": True}
    reads = [span for span in traced.spans(4) if span.name == "FHIR reads"]
    assert {dict(span.attributes or {})["fhir.server"] for span in reads} == {BASE}
    assert sum(dict(span.attributes or {})["fhir.reads"] for span in reads) > 10  # type: ignore[misc]


def test_a_refused_call_is_traced_too(traced: Traced) -> None:
    """With its status, and without what was wrong."""
    response = traced.app.test_client().post(HOOK, data=b'{"hook": "MARK-Jane-Roe"}', content_type="application/json")
    assert response.status_code == 400
    (span,) = traced.spans(1)
    assert span.attributes is not None
    assert span.attributes["status"] == 400
    assert span.events == ()
    assert "MARK" not in span.to_json()


def test_a_fault_leaves_nothing_of_itself(traced: Traced, ehr: Ehr, monkeypatch: pytest.MonkeyPatch) -> None:
    """No message, no traceback: they may hold what was sent."""

    def broken(*_: object) -> None:
        raise ValueError("MARK-Jane-Roe")

    monkeypatch.setattr("fhir_mappings.client.FhirClient.read_all", broken)
    call = ehr.call(MET, sent="none", fhirServer=BASE)
    response = traced.app.test_client().post(HOOK, data=encode(call), content_type="application/json")
    assert response.status_code == 500
    assert not [span for span in traced.spans(2) if "MARK" in span.to_json() or span.events]


def test_a_caller_s_trace_is_not_taken_over(traced: Traced, ehr: Ehr, serving: Any) -> None:
    """Neither its ids nor its state nor its baggage: they are a stranger's text."""
    state = {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "ehr=MARK",
        "baggage": "patient=MARK",
    }
    body = encode(ehr.call(MET))
    traced.app.test_client().post(HOOK, data=body, content_type="application/json", headers=state)
    told = "".join(span.to_json() for span in traced.spans(3))
    assert "MARK" not in told
    assert "0af7651916cd43dd8448eb211c80319c" not in told


def test_off_it_is_not_even_imported(tmp_path: Path) -> None:
    """Nothing of OpenTelemetry is loaded by a service without traces."""
    code = (
        "import sys; from cds_service.app import create_app; from cds_service.settings import read_settings; "
        f"create_app(read_settings({{}}, auth='off', data_dir={str(tmp_path)!r})); "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0  # noqa: S603


def test_without_the_extra_the_start_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Naming the setting and the extra."""
    monkeypatch.setattr("cds_service.settings.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"CDS_TRACES: .* extra `traces`"):
        read_settings({"CDS_TRACES": "true"})


def test_a_collector_that_is_away_holds_up_nobody(tmp_path: Path) -> None:
    """Neither a call nor the end of the process."""
    code = (
        "import time; from cds_service.app import create_app; from cds_service.settings import read_settings; "
        f"app = create_app(read_settings({{}}, auth='off', data_dir={str(tmp_path)!r}, traces=True)); "
        "began = time.monotonic(); "
        "[app.test_client().post('/cds-services/order-sign-crd', data=b'{}', content_type='application/json') "
        "for _ in range(50)]; assert time.monotonic() - began < 2"
    )
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "PATH": ""}
    began = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False, timeout=30)  # noqa: S603
    assert ended.returncode == 0, ended.stderr
    assert time.monotonic() - began < 10
