"""What operators and the payer count: calls, answers, errors, times, and cards followed (CRD 2.2.1 "Metrics").

Labels are closed sets of our own words; nothing of a caller's or a patient's data becomes one.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess, values

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where several processes count together
_KINDS = ("counter", "histogram", "gauge_livesum")  # a file of each process for each
_ROOM = 128 * 1024  # of such a file, more than its counters take
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


class Metrics:
    """The service's metrics."""

    def __init__(self) -> None:
        self._is_shared = _FOLDER in os.environ and _take_room(Path(os.environ[_FOLDER]))
        if not self._is_shared:
            values.ValueClass = values.MutexValue
        self._registry = CollectorRegistry()
        self._calls = self._counter("cds_calls", "CDS Hooks calls answered", "hook", "status")
        self._times = Histogram(
            "cds_call_seconds", "Time to answer a call", ["hook"], buckets=_SECONDS, registry=self._registry
        )
        self._answers = self._counter(
            "cds_answers", "Orders judged, by policy and outcome", "policy", "drug", "outcome"
        )
        self._unread = self._counter("cds_unread", "Criteria left open because something could not be read", "hook")
        self._refused = self._counter("cds_refused_callers", "Calls refused for their token", "reason")
        self._unrecorded = self._counter("cds_unrecorded", "Decisions that could not be recorded")
        self._feedback = self._counter("cds_card_feedback", "Feedback on cards", "outcome")
        self._throttled = self._counter("cds_throttled", "Requests refused for their number", "whose")
        self._left_alone = self._counter(
            "cds_fhir_server_left_alone", "Times that a FHIR server was found down", "server"
        )
        self._circuits = Gauge(
            "cds_fhir_circuits_open",
            "Worker processes that leave this FHIR server alone now",
            ["server"],
            registry=self._registry,
            multiprocess_mode="livesum",
        )

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, list(labels), registry=self._registry)

    def call(self, hook: str, status: int, seconds: float) -> None:
        """A call was answered."""
        self._calls.labels(hook, str(status)).inc()
        self._times.labels(hook).observe(seconds)

    def answer(self, policy: str, drug: str, outcome: str) -> None:
        """An order was judged."""
        self._answers.labels(policy, drug, outcome).inc()

    def unread(self, hook: str, count: int) -> None:
        """So many criteria were left open because something could not be read."""
        if count:
            self._unread.labels(hook).inc(count)

    def refused(self, reason: str) -> None:
        """A caller was refused."""
        self._refused.labels(reason).inc()

    def unrecorded(self, count: int) -> None:
        """So many decisions could not be recorded."""
        if count:
            self._unrecorded.inc(count)

    def feedback(self, outcomes: Iterable[str]) -> None:
        """Feedback came in."""
        for outcome in outcomes:
            self._feedback.labels(outcome).inc()

    def throttled(self, whose: str) -> None:
        """A request of a `client` or an `address` was refused for their number."""
        self._throttled.labels(whose).inc()

    def circuit(self, server: str, is_open: bool) -> None:
        """A FHIR server, by its base in the settings, is left alone from now on, or asked again."""
        if is_open:
            self._left_alone.labels(server).inc()
            self._circuits.labels(server).inc()
        else:
            self._circuits.labels(server).dec()

    def text(self) -> bytes:
        """The metrics of every worker in Prometheus's text format; of this one alone, where there was no room."""
        if not self._is_shared:
            return generate_latest(self._registry)
        merged = CollectorRegistry()
        multiprocess.MultiProcessCollector(merged)  # type: ignore[no-untyped-call]
        return generate_latest(merged)


def forget_process(pid: int) -> None:
    """Takes the gauges of a worker that ended out of the sums, if the disk lets it; what it counted stays."""
    if _FOLDER in os.environ:
        with suppress(OSError):
            multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


def _take_room(folder: Path) -> bool:
    """True when the disk has given this process all the room that its counters will take.

    The library maps files full of holes, and whoever writes into one ends by SIGBUS when the disk is full.
    """
    files = [folder / f"{kind}_{os.getpid()}.db" for kind in _KINDS]
    try:
        for file in files:
            file.write_bytes(bytes(_ROOM))
    except OSError:
        for file in files:
            with suppress(OSError):
                file.unlink(missing_ok=True)
        return False
    return True
