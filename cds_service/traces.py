"""Traces with OpenTelemetry, by setting: the call, its reads, each determination, what the ledger did.

Spans have the names of our own words and `hook_instance`; nothing of a patient, no URL, no message of an exception. A
trace begins here: what a caller sends of its own (traceparent, tracestate, baggage) is text of a stranger and not
taken over. Needs the extra `traces`; where to is told by the standard variables OTEL_EXPORTER_OTLP_….
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from flask import Flask, Response, g, has_request_context, request
from msgspec.structs import replace
from opentelemetry import context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, set_span_in_context

from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.determination import Determination
from cds_service.policy.facts import Facts
from fhir_mappings.asked import Reader
from fhir_mappings.queries import Query, Reply
from fhir_mappings.servers import Server
from hooks.book import Book, Entry, Receipt
from hooks.service import Service

_EXPORT_S = 2.0  # for a collector to take a batch; it may be away


def otlp_exporter() -> SpanExporter:
    """What sends spans to the collector that the environment names."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(timeout=_EXPORT_S)


class Traces:
    """The traces of one process."""

    def __init__(self, exporter: SpanExporter) -> None:
        named = {} if "OTEL_SERVICE_NAME" in os.environ else {SERVICE_NAME: "drug-coverage-cds"}
        self.provider = TracerProvider(resource=Resource.create(named))
        self.provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self.provider.get_tracer("drug-coverage-cds")

    def around(self, service: Service) -> Service:
        """The service with a span for each round of reads, each determination and each visit of the ledger."""

        def determine(policy: CompiledPolicy, facts: Facts) -> Determination:
            with self.span("determination") as span:
                said = service.determine(policy, facts)
                span.set_attributes({"policy": policy.source.policy, "drug": policy.source.drug})
                span.set_attribute("outcome", said.outcome.value)
                return said

        book = None if service.book is None else _Book(service.book, self)
        return replace(service, reader=_Reader(service.reader, self), determine=determine, book=book)

    def guard(self, app: Flask) -> None:
        """Has every hook call and feedback traced."""

        @app.before_request
        def began() -> None:
            if request.endpoint in ("cds.call", "cds.feedback"):
                g.span = self._tracer.start_span(request.endpoint.removeprefix("cds."), context=context.Context())
                g.span_token = context.attach(set_span_in_context(g.span))

        @app.after_request
        def answered(response: Response) -> Response:
            if "span" in g:
                g.span.set_attributes(
                    {
                        "hook": g.get("hook", ""),
                        "hook_instance": g.get("hook_instance", ""),
                        "status": response.status_code,
                        "outcomes": g.get("outcomes", ()),
                    }
                )
            return response

        @app.teardown_request
        def ended(_: BaseException | None) -> None:
            if "span" in g:
                g.pop("span").end()
                context.detach(g.pop("span_token"))

    @contextmanager
    def span(self, name: str) -> Iterator[Span]:
        """A span below the call's, as a context."""
        with self._tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as span:
            if has_request_context():
                span.set_attribute("hook_instance", g.get("hook_instance", ""))
            yield span


class _Reader:
    def __init__(self, reader: Reader, traces: Traces) -> None:
        self._reader, self._traces = reader, traces

    def read_all(self, server: Server, queries: Sequence[Query], deadline: float) -> Sequence[Reply]:
        with self._traces.span("FHIR reads") as span:
            replies = self._reader.read_all(server, queries, deadline)
            span.set_attributes(
                {
                    "fhir.server": server.registered,
                    "fhir.reads": len(replies),
                    "fhir.types": sorted({query.path.partition("/")[0] for query in queries}),
                    "fhir.failures": sorted({reply.failure.value for reply in replies if reply.failure is not None}),
                }
            )
            return replies


class _Book:
    def __init__(self, book: Book, traces: Traces) -> None:
        self._book, self._traces = book, traces

    def record(self, entries: tuple[Entry, ...], deadline: float) -> tuple[Receipt, ...]:
        with self._traces.span("ledger") as span:
            receipts = self._book.record(entries, deadline)
            span.set_attributes({"entries": len(entries), "recorded": all(receipt.recorded for receipt in receipts)})
            return receipts
