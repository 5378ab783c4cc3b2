"""The operator's commands on the ledger. Each use of it is written down in the ledger itself.

They end with 1 where what was asked for is not there, or a replay is different; 2 for what cannot be asked, or not with
these settings and keys; 3 where there is no ledger or it cannot be used; 4 where something that is kept cannot be read.
"""

import getpass
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from cds_service.ledger.access import Access
    from cds_service.policy.library import Library

_NOT_THERE = "nothing is kept under this name"
_LONGEST_DAYS = 36_500


@contextmanager
def _access() -> "Iterator[Access]":
    from msgspec import MsgspecError
    from sqlalchemy.exc import SQLAlchemyError

    from cds_service.app import open_ledger
    from cds_service.ledger.errors import LedgerError, NoLedgerError, kind_of
    from cds_service.ledger.sealing import SealedError
    from cds_service.ledger.soundness import DamagedError
    from cds_service.log import configure_logs, service_log
    from cds_service.policy.documents import PolicyFileError
    from cds_service.settings import SettingsError, read_settings

    configure_logs()
    try:
        access = open_ledger(read_settings(os.environ), service_log()).access(_who())
        try:
            yield access
        finally:
            for name in access.damage:
                click.echo(f"{name} cannot be read", err=True)
        if access.damage:
            _end(4, f"could not be read: {len(access.damage)}; an older backup may have it whole")
    except NoLedgerError as error:
        _end(3, str(error))
    except (SettingsError, LedgerError, SealedError, PolicyFileError) as error:
        _end(2, str(error))
    except (SQLAlchemyError, OSError, DamagedError) as error:
        _end(3, f"CDS_DATABASE_URL: the ledger cannot be used ({kind_of(error)})")
    except (MsgspecError, ValueError) as error:  # whose words may quote what is kept
        _end(4, f"the ledger holds a row that cannot be read ({type(error).__name__})")


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # nobody that this system has a name for
        return f"user {os.getuid()}"


def _end(status: int, message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(status)


def _day(context: click.Context, parameter: click.Parameter, given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        return datetime.combine(date.fromisoformat(given), time(), UTC)
    except ValueError:
        raise click.BadParameter("expected a date like 2026-11-24") from None


def _library() -> "Library":
    """The policies that the service of these settings judges by."""
    from cds_service.app import load_knowledge
    from cds_service.settings import read_settings

    return load_knowledge(read_settings(os.environ).policies_dir).library


def _written(lines: Iterator[bytes]) -> bool:
    """Writes the lines; True where there was none."""
    is_empty = True
    for line in lines:
        is_empty = False
        sys.stdout.buffer.write(line)
    return is_empty


def _nothing(member: str | None = None) -> NoReturn:
    """Ends with 1, and says how a member is named."""
    _end(1, _NOT_THERE if member is None else f"{_NOT_THERE}; {_MEMBER_IS}")


_MEMBER_IS = (
    "a member is named as the service told it: `roster <member id>` where CDS_MEMBERS is set, else "
    "`payer <system>|<value> <member number>`, else `patient <FHIR base URL> <patient id>`"
)


@click.group()
def ledger() -> None:
    """What was decided: show, export, purge. Each use is recorded, but for a look at these records."""


@ledger.command()
@click.argument("name", required=False)
@click.option("--order", default="", help="of this order, by its URL at the EHR")
@click.option("--user", default="", help="asked by this user of the EHR, by the user's URL there")
@click.option("--member", help="of this member")
@click.option(
    "--open", "opening", is_flag=True, help="with the facts and comments, as far as CDS_LEDGER_KEYS open them"
)
def show(name: str | None, order: str, user: str, member: str | None, opening: bool) -> None:
    """The decisions of a decision id, assertion id, authorization number, hookInstance or card; or of an order."""
    if name is None and not (order or user or member):
        raise click.UsageError("give a name, --order, --user or --member")
    with _access() as access:
        library = _library() if opening else None
        found = access.show(name, order=order, user=user, member=member, library=library)
        for row in found:
            click.echo(json.dumps(row, indent=2, default=str))
    if not found:
        _nothing(member)


@ledger.command()
@click.option("--since", callback=_day, help="from this day on, in UTC")
@click.option("--member", help="of this member")
def export(since: datetime | None, member: str | None) -> None:
    """Decisions as JSON lines, for an archive."""
    with _access() as access:
        is_empty = _written(access.export(since=since, member=member))
    if member is not None and is_empty:
        _nothing(member)


@ledger.command()
@click.option("--member", help="of this member")
def forms(member: str | None) -> None:
    """Completed forms that an EHR did not take, readable, as JSON lines."""
    with _access() as access:
        is_empty = _written(access.forms(member=member))
    if member is not None and is_empty:
        _nothing(member)


@ledger.command()
@click.option("--member", help="everything of this member")
@click.option("--older-than-days", type=click.IntRange(1, _LONGEST_DAYS), help="everything older")
def purge(member: str | None, older_than_days: int | None) -> None:
    """Removes decisions and kept forms of a member, or old ones."""
    if (member is None) == (older_than_days is None):
        raise click.UsageError("give either --member or --older-than-days")
    with _access() as access:
        gone = access.purge(member=member, older_than_days=older_than_days)
    told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in gone._asdict().items())
    click.echo(f"removed: {told}")
    if member is not None and not any(gone):
        _nothing(member)


@ledger.command()
def uses() -> None:
    """Who did what with the ledger, oldest first."""
    with _access() as access:
        for use in access.uses():
            click.echo(f"{use.at:%Y-%m-%d %H:%M:%S}Z  {use.who}  {use.action}  {use.about}  {use.count}")


@ledger.command()
def reseal() -> None:
    """Seals everything anew with the first key of CDS_LEDGER_KEYS."""
    from cds_service.ledger.errors import LedgerSettingError
    from cds_service.ledger.sealing import SETTING

    with _access() as access:
        if not access.has_keys:
            raise LedgerSettingError(f"{SETTING}: no key is set, so that nothing can be sealed anew")
        click.echo(f"{access.reseal()} entries sealed anew")


@click.command()
def feedback() -> None:
    """What clinicians did with the cards: per kind of card, accepted or overridden, and why."""
    from fhir_mappings.references import plain

    with _access() as access:
        rows = access.feedback_table()
    click.echo(f"{'card':<20} {'outcome':<12} {'count':>6}  reason")
    for row in rows:
        click.echo(f"{row.kind or 'unknown':<20} {row.outcome:<12} {row.count:>6}  {plain(row.reason_code)}")


@click.command()
@click.argument("name", required=False)
@click.option("--since", callback=_day, help="every decision from this day on, in UTC")
def replay(name: str | None, since: datetime | None) -> None:
    """Judges kept decisions again with the policy version of their day, and shows same or different.

    NAME is one that `ledger show` knows. Ends with 1 where one is different, and with 4 where none is but some could
    not be judged again.
    """
    if (name is None) == (since is None):
        raise click.UsageError("give either a name or --since")
    from cds_service.ledger.replay import Verdict

    verdicts: Counter[Verdict] = Counter()
    read_otherwise = 0
    with _access() as access:
        for found in access.replay(_library(), name=name, since=since):
            verdicts[found.verdict] += 1
            read_otherwise += found.vocabulary == "changed"
            click.echo(f"{found.decision_id}  {found.verdict.value}")
            if found.policy_file == "changed":
                click.echo("    the file of the policy version is not the one that decided then")
            for difference in found.differences:
                click.echo(f"    {difference.what}: {difference.kept} then, {difference.now} now")
            if found.needs and name is not None:
                click.echo(f"    cannot be judged again without: {', '.join(found.needs)}")
        if name is None:
            each = ", ".join(f"{verdicts[one]} {one.value}" for one in Verdict if verdicts[one])
            click.echo(f"{verdicts.total()} decision(s){': ' if each else ''}{each}", err=True)
        if read_otherwise:
            of = f"{read_otherwise} of {verdicts.total()} charts"
            click.echo(f"{of} were read by other value sets or lab tables than those that are here", err=True)
        if verdicts[Verdict.DIFFERENT]:
            sys.exit(1)
    if name is not None and not verdicts:
        _nothing()
    sys.exit(4 if verdicts.total() > verdicts[Verdict.SAME] else 0)
