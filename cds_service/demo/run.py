"""`cds-service demo`: the service, the embedded demo EHR and its page in one process."""

import os
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import click
from cryptography.fernet import Fernet
from flask import Flask, redirect
from werkzeug.wrappers import Response

from cds_service.app import create_app
from cds_service.auth.clients import ClientsFileError, read_trusted_clients
from cds_service.demo.authorization import authorization_blueprint
from cds_service.demo.page import demo_blueprint
from cds_service.demo.server import fhir_blueprint
from cds_service.demo.store import Store
from cds_service.demo.stories import stories
from cds_service.settings import Settings, SettingsError, read_settings

HOST = "127.0.0.1"
PAYER = "Example Health Plan"


def demo_settings(port: int, data_dir: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings of the demo: no tokens, on this machine only, and the embedded store as the one FHIR server.

    Of the environment it takes what another client than its own page needs: `CDS_CORS_ORIGINS`, and registered clients
    where both `CDS_AUTH=required` and `CDS_TRUSTED_CLIENTS` are given. Raises SettingsError.
    """
    public_url = f"http://{HOST}:{port}"
    environment = environment or {}
    with_tokens = environment.get("CDS_AUTH") == "required" and "CDS_TRUSTED_CLIENTS" in environment
    taken = ("CDS_CORS_ORIGINS", "CDS_TRUSTED_CLIENTS") if with_tokens else ("CDS_CORS_ORIGINS",)
    return read_settings(
        {name: environment[name] for name in taken if name in environment},
        public_url=public_url,
        auth="required" if with_tokens else "off",
        fhir_servers=(f"{public_url}/demo/fhir",),
        payer_label=PAYER,
        data_dir=data_dir,
        ledger_keys=Fernet.generate_key().decode(),
        authorization="issue",
        address_rate="",  # the demo's own page and EHR call from one address
        workers=1,  # the store lives in the process
    )


def demo_app(settings: Settings) -> Flask:
    """The service with the demo EHR beside it."""
    app = create_app(settings)
    store = Store()
    app.register_blueprint(fhir_blueprint(store))
    app.register_blueprint(authorization_blueprint(store, settings.public_url))
    app.register_blueprint(demo_blueprint(store, lambda: stories(datetime.now(UTC).date(), settings.public_url)))

    @app.get("/")
    def front() -> Response:
        return redirect("/demo")

    return app


def run_demo(port: int) -> None:
    """Serves the demo until stopped."""
    from cds_service.server import serve

    with tempfile.TemporaryDirectory(prefix="cds-demo-") as folder:
        try:
            settings = demo_settings(port, Path(folder), os.environ)
            if settings.trusted_clients is not None:
                read_trusted_clients(settings.trusted_clients)
        except SettingsError as error:
            raise click.UsageError(str(error)) from None
        except ClientsFileError as error:
            raise click.UsageError(f"CDS_TRUSTED_CLIENTS: {error}") from None
        click.echo(f"Demo: {settings.public_url}/demo   (Ctrl-C to stop)")
        if settings.auth == "required":
            click.echo("Calls need the token of a registered client, which the demo's own page does not have.")
        serve(lambda: demo_app(settings), settings, HOST, port)
