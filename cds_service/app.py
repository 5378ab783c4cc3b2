"""The composition root: every dependency built once, from the settings, and handed down as an argument."""

import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, Response
from flask_cors import CORS
from msgspec import Struct
from msgspec.structs import replace
from werkzeug.middleware.proxy_fix import ProxyFix

from cds_service import openapi
from cds_service.assertions import known_by
from cds_service.auth.access_tokens import AccessTokens
from cds_service.callers import RegisteredCallers, callers_of
from cds_service.checked import checked
from cds_service.dtr.forms import Forms
from cds_service.fhir_callers import fhir_callers, token_endpoint
from cds_service.fhir_endpoint import fhir_endpoint
from cds_service.ledger.ledger import Ledger
from cds_service.log import configure_logs, service_log
from cds_service.members import read_roster
from cds_service.metrics import Metrics
from cds_service.operations import operations_blueprint
from cds_service.page_headers import guard_pages
from cds_service.pages.routes import pages_blueprint
from cds_service.payers import PayerFile
from cds_service.policy.library import Library
from cds_service.policy.value_sets import Systems
from cds_service.rates import Rates
from cds_service.release import release
from cds_service.routes import cds_blueprint
from cds_service.settings import Settings
from cds_service.smart.routes import desk_of, smart_blueprint
from cds_service.web import register_errors
from fhir_mappings.chart import Vocabulary
from fhir_mappings.circuit import Circuits, Patience
from fhir_mappings.client import FhirClient
from fhir_mappings.codes import CodeIndex
from fhir_mappings.labs import LabTable
from fhir_mappings.needs import EVERYTHING
from fhir_mappings.prefetch import templates
from fhir_mappings.servers import bases_of
from hooks.book import Book
from hooks.coverage_information import Links
from hooks.coverages import Plans
from hooks.service import Service
from hooks.suggestions import Orderable

if TYPE_CHECKING:
    from cds_service.traces import Traces

POLICIES = Path(__file__).resolve().parent.parent / "policies"


class Knowledge(Struct, frozen=True):
    """What the policies folder and the lab table say."""

    library: Library
    labs: LabTable
    codes: CodeIndex


def load_knowledge(folder: Path | None = None, data_dir: Path | None = None) -> Knowledge:
    """The policies of `folder` (the shipped ones by default). Raises PolicyFileError.

    With `data_dir`, a folder of files that were checked before is not checked again.
    """
    root = folder or POLICIES
    found = checked(root, data_dir)
    library = Library(found.versions, found.value_sets, found.systems, root, found.vocabulary_digest)
    labs = LabTable(found.labs, found.systems)
    labs.limited = library.limited
    return Knowledge(library, labs, CodeIndex(found.value_sets, found.systems))


def make_forms(settings: Settings, knowledge: Knowledge) -> Forms:
    """The forms of every policy, at the service's own address."""
    return Forms(knowledge.library, knowledge.labs, settings.public_url, settings.max_body_bytes)


def create_app(settings: Settings, knowledge: Knowledge | None = None, forms: Forms | None = None) -> Flask:
    """The service as a WSGI application, its ledger writing.

    `knowledge`, and the `forms` made of it, where they are there already. Raises PolicyFileError.
    """
    configure_logs()
    log, metrics = service_log(), Metrics()
    ledger = open_ledger(settings, log)
    ledger.start(settings.deadline_s)
    knowledge = knowledge or load_knowledge(settings.policies_dir)
    forms = forms or make_forms(settings, knowledge)
    service = replace(
        build_service(settings, ledger, ledger.assertion_secret, knowledge, _circuits(settings, log, metrics)),
        form_app=True,
        kept_forms=ledger.forms.of,
    )
    traces = _traces(settings)
    service = traces.around(service) if traces is not None else service
    rates = Rates(settings.client_rate, settings.address_rate, metrics.throttled)
    callers = callers_of(settings, log, metrics, rates)
    app = Flask("cds_service", static_folder=None)
    app.url_map.merge_slashes = False  # two slashes are another path: a 404, and no redirect with a page
    if settings.proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.proxies, x_proto=0, x_host=0)  # type: ignore[method-assign]
    register_errors(app, log)
    guard_pages(app)
    rates.guard(app)
    if traces is not None:
        traces.guard(app)
    app.register_blueprint(cds_blueprint(service, settings, callers, metrics, ledger))
    interface = openapi.document(settings.public_url, settings.auth == "required", release())
    app.register_blueprint(operations_blueprint(callers, metrics, ledger, interface))
    app.register_blueprint(pages_blueprint(service))
    tokens = AccessTokens(f"{settings.public_url}/fhir", lambda: ledger.shared_key("access tokens"))
    app.register_blueprint(fhir_endpoint(service, forms, settings, fhir_callers(callers, tokens), known_by(ledger)))
    if isinstance(callers, RegisteredCallers):
        app.register_blueprint(token_endpoint(callers, tokens, settings.public_url))
    app.register_blueprint(smart_blueprint(desk_of(service, forms, settings, ledger.forms.keep), settings))
    allow_origins(app, settings.cors_origins)
    return app


def _traces(settings: Settings) -> "Traces | None":
    if not settings.traces:
        return None
    from cds_service.traces import Traces, otlp_exporter

    return Traces(otlp_exporter())


def _circuits(settings: Settings, log: Any, metrics: Metrics) -> Circuits:
    """Which FHIR servers are left alone, told to whoever runs the service."""

    def noted(server: str, is_open: bool) -> None:
        metrics.circuit(server, is_open)
        log.warning("FHIR server left alone" if is_open else "FHIR server asked again", server=server)

    return Circuits(Patience(fair_s=min(1.0, settings.deadline_s / 2)), note=noted)


def allow_origins(app: Flask, origins: tuple[str, ...]) -> None:
    """Lets browser clients of exactly these origins call; where there are none, the application stays as it is."""
    if not origins:
        return
    known = [re.compile(re.escape(origin) + r"\Z") for origin in origins]
    CORS(app, origins=known, allow_headers=["Authorization", "Content-Type"], always_send=False, vary_header=False)

    @app.after_request
    def varied(response: Response) -> Response:
        # Of every answer, not of the allowed ones alone: a browser keeps discovery, and may have got it as a page.
        response.vary.add("Origin")
        return response


def open_ledger(settings: Settings, log: Any) -> Ledger:
    """The ledger of the settings. Raises LedgerSettingError."""
    url = settings.database_url or f"sqlite:///{settings.data_dir / 'ledger.db'}"
    return Ledger(
        url,
        service_version=release(),
        seal_keys=settings.ledger_keys.get_secret_value(),
        durability=settings.ledger_durability,
        retention_days=settings.retention_days or None,
        log=log,
    )


def build_service(
    settings: Settings,
    book: Book | None = None,
    secret: Callable[[], bytes] | None = None,
    knowledge: Knowledge | None = None,
    circuits: Circuits | None = None,
) -> Service:
    """What every call is answered with. Without a book nothing is kept, and assertion ids are of this process."""
    knowledge = knowledge or load_knowledge(settings.policies_dir)
    library, labs = knowledge.library, knowledge.labs
    tests = sorted(library.tests)
    own_secret = secrets.token_bytes(32)
    circuits = circuits or Circuits()
    return Service(
        library=library,
        vocabulary=Vocabulary(knowledge.codes, labs, settings.public_url),
        reader=FhirClient(verify=settings.verify, circuits=circuits, batched=bases_of(settings.batch_servers)),
        links=Links(settings.public_url),
        label=settings.payer_label,
        hcpcs=library.systems.systems["hcpcs"][0],
        orderables=_orderables(labs, tests, library.systems),
        templates=templates(
            EVERYTHING,
            [token for test in tests for token in labs.tokens(test)],
            knowledge.codes.bare_codes(library.billed),
        ),
        default_dialect=settings.default_dialect,
        secret=secret or (lambda: own_secret),
        plans=Plans(
            read_roster(settings.members) if settings.members else None,
            PayerFile(settings.payers) if settings.payers else None,
        ),
        book=book,
        issues_numbers=settings.authorization == "issue",
        log=service_log(),
        turn=circuits.turn,
    )


def _orderables(labs: LabTable, tests: list[str], systems: Systems) -> dict[str, Orderable]:
    found = {}
    for name in tests:
        order = labs.test(name).order
        if order is not None:
            uri = systems.systems[order.system][0] if order.code else ""
            found[name] = Orderable(name, order.text, uri, order.code, order.display)
    return found
