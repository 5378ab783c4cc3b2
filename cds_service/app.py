"""The composition root: every dependency built once, from the settings, and handed down as an argument."""

import contextlib
import os
import secrets
from pathlib import Path

from flask import Flask
from msgspec import Struct

from cds_service.callers import callers_of
from cds_service.log import configure_logs, service_log
from cds_service.members import read_roster
from cds_service.payers import PayerFile
from cds_service.policy.library import Library, load_library
from cds_service.policy.value_sets import Systems, read_systems
from cds_service.routes import service_blueprint
from cds_service.settings import Settings
from fhir_mappings.chart import Vocabulary
from fhir_mappings.client import FhirClient
from fhir_mappings.codes import CodeIndex
from fhir_mappings.labs import LabTable, read_labs
from fhir_mappings.needs import EVERYTHING
from fhir_mappings.prefetch import templates
from hooks.coverage_information import Links
from hooks.coverages import Plans
from hooks.service import Service
from hooks.suggestions import Orderable

POLICIES = Path(__file__).resolve().parent.parent / "policies"


class Knowledge(Struct, frozen=True):
    """What the policies folder and the lab table say."""

    library: Library
    labs: LabTable


def load_knowledge(folder: Path | None = None) -> Knowledge:
    """The policies of `folder` (the shipped ones by default). Raises PolicyFileError."""
    root = folder or POLICIES
    labs = read_labs(read_systems(root / "value_sets"))
    units = {name: test.unit for name, test in labs.tests.items()}
    return Knowledge(load_library(root, units), labs)


def create_app(settings: Settings) -> Flask:
    """The service as a WSGI application. Raises PolicyFileError."""
    configure_logs()
    app = Flask("cds_service", static_folder="pages/static", static_url_path="/pages")
    service = build_service(settings)
    app.register_blueprint(service_blueprint(service, settings, callers_of(settings, service.log)))
    return app


def build_service(settings: Settings) -> Service:
    """What every call is answered with."""
    knowledge = load_knowledge(settings.policies_dir)
    library, labs = knowledge.library, knowledge.labs
    tests = sorted({test for policy in library.policies for test in policy.tests})
    return Service(
        library=library,
        vocabulary=Vocabulary(CodeIndex(library.value_sets, library.systems), labs, settings.public_url),
        reader=FhirClient(),
        links=Links(settings.public_url),
        label=settings.payer_label,
        hcpcs=library.systems.systems["hcpcs"][0],
        orderables=_orderables(labs, tests, library.systems),
        templates=templates(EVERYTHING, [token for test in tests for token in labs.tokens(test)]),
        default_dialect=settings.default_dialect,
        secret=_secret(settings.data_dir),
        plans=Plans(
            read_roster(settings.members) if settings.members else None,
            PayerFile(settings.payers) if settings.payers else None,
        ),
        book=None,
        issues_numbers=settings.authorization == "issue",
        log=service_log(),
    )


def _orderables(labs: LabTable, tests: list[str], systems: Systems) -> dict[str, Orderable]:
    found = {}
    for name in tests:
        order = labs.test(name).order
        if order is not None:
            uri = systems.systems[order.system][0] if order.code else ""
            found[name] = Orderable(name, order.text, uri, order.code, order.display)
    return found


def _secret(data_dir: Path) -> bytes:
    """The key that assertion ids are derived with, kept so that a restart gives the same ids."""
    path = data_dir / "assertion.key"
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        made = data_dir / f"assertion.key.{os.getpid()}"
        made.touch(mode=0o600)
        made.write_bytes(secrets.token_bytes(32))
        with contextlib.suppress(FileExistsError):
            os.link(made, path)  # whole, or not at all: of several workers the first one's key stands
        made.unlink()
    return path.read_bytes()
