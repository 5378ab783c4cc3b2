"""The commands: serve, evaluate, policies check, demo."""

import gc
import os
import sys
from datetime import UTC, date, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

import click

from cds_service.ledger_cli import feedback, ledger, replay

if TYPE_CHECKING:  # each command loads what it needs
    from cds_service.app import Knowledge
    from cds_service.settings import Settings

PORT = 8080


@click.group()
def main() -> None:
    """Answers drug orders by a health plan's policies, from the chart."""


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(1, 65535))
def serve(host: str, port: int) -> None:
    """Run the service. Settings come from the environment (`CDS_*`)."""
    gc.disable()  # what is loaded now stays: to look through it again and again would cost most of the start
    settings = _settings(public_url=_public_url(port))
    if settings.auth == "off" and not settings.allow_insecure and not _is_loopback(host):
        _stop("CDS_AUTH: off is only for loopback addresses; set CDS_ALLOW_INSECURE=1 to serve others without tokens")
    _check_data_dir(settings)
    _share_metrics(settings)
    knowledge = _check_files(settings)
    _prepare_ledger(settings)
    from cds_service.server import run

    run(settings, knowledge, host, port)


@main.command()
@click.option("--bundle", required=True, type=click.File("rb"), help="a patient Bundle with a draft order; - for stdin")
@click.option("--order", help="the id of the order, where the Bundle has several")
@click.option("--json", "as_json", is_flag=True, help="for machines")
@click.option("--day", help="judge as of this day (YYYY-MM-DD) instead of today")
def evaluate(bundle: BinaryIO, order: str | None, as_json: bool, day: str | None) -> None:
    """Judge the orders of one patient Bundle, without a server."""
    from cds_service.evaluate import EvaluationError, evaluate_bundle

    try:
        judged_on = date.fromisoformat(day) if day else datetime.now(UTC).date()
    except ValueError:
        _stop(f"--day: expected YYYY-MM-DD, got {day!r}")
    settings = _settings(public_url=_public_url(PORT))
    try:
        click.echo(evaluate_bundle(bundle.read(), order, judged_on, as_json, settings))
    except EvaluationError as error:
        _stop(str(error))


@main.group()
def policies() -> None:
    """The policies."""


@policies.command()
@click.option(
    "--folder", type=click.Path(path_type=Path, exists=True, file_okay=False), help="default: the shipped ones"
)
def check(folder: Path | None) -> None:
    """Check every policy file, and run its cases."""
    from cds_service.check import check_policies
    from cds_service.policy.documents import PolicyFileError

    try:
        report, sound = check_policies(folder)
    except PolicyFileError as error:
        _stop(str(error), status=1)
    click.echo(report)
    if not sound:
        sys.exit(1)


@main.command()
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(1, 65535))
def demo(port: int) -> None:
    """Run the service with an embedded demo EHR and fictitious patients."""
    from cds_service.demo.run import run_demo

    run_demo(port)


main.add_command(ledger)
main.add_command(feedback)
main.add_command(replay)


def _settings(**overrides: object) -> "Settings":
    from cds_service.settings import SettingsError, read_settings, unknown_settings

    for warning in unknown_settings(os.environ):
        click.echo(f"warning: {warning}", err=True)
    try:
        return read_settings(os.environ, **overrides)
    except SettingsError as error:
        _stop(str(error))


def _public_url(port: int) -> str:
    return os.environ.get("CDS_PUBLIC_URL") or f"http://127.0.0.1:{port}"


def _check_data_dir(settings: "Settings") -> None:
    """Stops here where the service could keep nothing."""
    from cds_service.smart.session import sealer

    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        _stop(f"CDS_DATA_DIR: {settings.data_dir} cannot be made a folder: {error.strerror}")
    if not os.access(settings.data_dir, os.W_OK | os.X_OK):
        _stop(f"CDS_DATA_DIR: {settings.data_dir} cannot be written to")
    try:
        sealer(settings.data_dir, settings.ledger_keys.get_secret_value())  # makes the key that the workers find
    except OSError as error:
        _stop(f"CDS_DATA_DIR: no key for the forms can be kept in {settings.data_dir}: {error.strerror}")


def _share_metrics(settings: "Settings") -> None:
    """Has every worker count into one folder; the metrics library looks for it when it is imported, so before that."""
    folder = settings.data_dir / "metrics"
    try:
        folder.mkdir(exist_ok=True, mode=0o700)
        for old in folder.glob("*.db"):
            old.unlink(missing_ok=True)
    except OSError as error:
        _stop(f"CDS_DATA_DIR: {error.filename or folder} cannot be used for metrics: {error.strerror}")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def _check_files(settings: "Settings") -> "Knowledge":
    """What the policies say. Stops here for what would otherwise end each worker at its start."""
    from cds_service.app import load_knowledge
    from cds_service.auth import ClientsFileError, RedisUrlError, build_authenticator
    from cds_service.auth.replay_redis import SeenTokensRedis
    from cds_service.members import RosterError, read_roster
    from cds_service.payers import PayerFile, PayersError
    from cds_service.policy.documents import PolicyFileError

    try:
        knowledge = load_knowledge(settings.policies_dir, settings.data_dir)
    except PolicyFileError as error:
        _stop(f"CDS_POLICIES_DIR: {error}")
    try:
        if settings.members:
            read_roster(settings.members)
    except RosterError as error:
        _stop(f"CDS_MEMBERS: {error}")
    try:
        if settings.auth == "required":
            build_authenticator(settings.trusted_clients, settings.data_dir)
    except ClientsFileError as error:
        _stop(f"CDS_TRUSTED_CLIENTS: {error}")
    try:
        if settings.redis_url:
            SeenTokensRedis(settings.redis_url)
    except RedisUrlError as error:
        _stop(f"CDS_REDIS_URL: {error}")
    if settings.auth == "required" and settings.trusted_clients is None:
        click.echo("warning: CDS_TRUSTED_CLIENTS is not set, so every call will be refused", err=True)
    try:
        if settings.payers is not None:
            PayerFile(settings.payers)
    except PayersError as error:
        _stop(f"CDS_PAYERS: {error}")
    return knowledge


def _prepare_ledger(settings: "Settings") -> None:
    """Migrates the ledger; a database that cannot be reached yet is looked for again while serving."""
    from cds_service.app import open_ledger
    from cds_service.ledger.errors import LedgerError
    from cds_service.log import configure_logs, service_log

    configure_logs()
    try:
        open_ledger(settings, service_log()).prepare()
    except LedgerError as error:
        _stop(f"CDS_DATABASE_URL: {error}")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _stop(message: str, status: int = 2) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(status)
