"""The operator's commands on the ledger. Each use of it is written down in the ledger itself."""

import getpass
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cds_service.ledger.access import Access


@contextmanager
def _access() -> "Iterator[Access]":
    from sqlalchemy.exc import SQLAlchemyError

    from cds_service.app import open_ledger
    from cds_service.ledger.errors import LedgerError
    from cds_service.log import configure_logs, service_log
    from cds_service.settings import SettingsError, read_settings

    configure_logs()
    try:
        yield open_ledger(read_settings(os.environ), service_log()).access(getpass.getuser())
    except (SettingsError, LedgerError) as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except SQLAlchemyError as error:
        click.echo(f"CDS_DATABASE_URL: the ledger cannot be reached ({type(error).__name__})", err=True)
        sys.exit(3)


def _day(context: click.Context, parameter: click.Parameter, given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        return datetime.fromisoformat(given).replace(tzinfo=UTC)
    except ValueError:
        raise click.BadParameter("expected a date like 2026-11-24") from None


@click.group()
def ledger() -> None:
    """What was decided: show, export, purge. Each use is recorded."""


@ledger.command()
@click.argument("name")
def show(name: str) -> None:
    """The decisions of a decision id, an assertion id or an authorization number."""
    with _access() as access:
        found = access.show(name)
    if not found:
        click.echo("nothing is kept under this name", err=True)
        sys.exit(1)
    for row in found:
        click.echo(json.dumps(row, indent=2, default=str))


@ledger.command()
@click.option("--since", callback=_day, help="from this day on")
@click.option("--member", help="of this member")
def export(since: datetime | None, member: str | None) -> None:
    """Decisions as JSON lines, for an archive."""
    with _access() as access:
        for line in access.export(since=since, member=member):
            sys.stdout.buffer.write(line.rstrip(b"\n") + b"\n")


@ledger.command()
@click.option("--member", help="of this member")
def forms(member: str | None) -> None:
    """Completed forms that an EHR did not take, readable, as JSON lines."""
    with _access() as access:
        for line in access.forms(member=member):
            sys.stdout.buffer.write(line)


@ledger.command()
@click.option("--member", help="everything of this member")
@click.option("--older-than-days", type=click.IntRange(1), help="everything older")
def purge(member: str | None, older_than_days: int | None) -> None:
    """Removes decisions and kept forms of a member, or old ones."""
    if (member is None) == (older_than_days is None):
        raise click.UsageError("give either --member or --older-than-days")
    with _access() as access:
        count = access.purge(member=member, older_than_days=older_than_days)
    click.echo(f"{count} rows removed")


@ledger.command()
def reseal() -> None:
    """Seals everything anew with the first key of CDS_LEDGER_KEYS."""
    with _access() as access:
        click.echo(f"{access.reseal()} entries sealed anew")


@click.command()
def feedback() -> None:
    """What clinicians did with the cards: per kind of card, accepted or overridden, and why."""
    with _access() as access:
        rows = access.feedback_table()
    click.echo(f"{'card':<20} {'outcome':<12} {'count':>6}  reason")
    for row in rows:
        click.echo(f"{row.kind or 'unknown':<20} {row.outcome:<12} {row.count:>6}  {row.reason_code}")


@click.command()
@click.argument("decision", required=False)
@click.option("--since", callback=_day, help="every decision from this day on")
def replay(decision: str | None, since: datetime | None) -> None:
    """Judges kept decisions again with the policy version of their day, and shows same or different."""
    if (decision is None) == (since is None):
        raise click.UsageError("give either a decision id or --since")
    from cds_service.app import load_knowledge

    different = 0
    with _access() as access:
        for found in access.replay(load_knowledge().library, decision_id=decision, since=since):
            different += found.verdict.value == "different"
            click.echo(f"{found.decision_id}  {found.verdict.value}")
            for difference in found.differences:
                click.echo(f"    {difference.what}: {difference.kept} then, {difference.now} now")
            if found.needs and decision is not None:
                click.echo(f"    cannot be judged again without: {', '.join(found.needs)}")
    sys.exit(1 if different else 0)
