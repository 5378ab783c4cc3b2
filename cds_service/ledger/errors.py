"""What can be wrong with the ledger before it serves.

LedgerError
├── LedgerSettingError   a URL, a driver or a key that can never work: the start ends with it
├── NoLedgerError        an operator looks where there is none: the service would make one
└── NewerSchemaError     the database belongs to a newer version of this service

A database that cannot be reached is none of these: the service starts, is not ready, and looks again.
"""

from sqlalchemy.exc import DBAPIError


def kind_of(error: BaseException) -> str:
    """What kind of error it was, without its words, which may quote what is kept."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None)
    return f"{type(cause).__name__} {code}" if code else type(cause).__name__


class LedgerError(Exception):
    """The ledger cannot be used as it is set up; the message says what to do."""


class LedgerSettingError(LedgerError):
    """A setting that cannot be used; the message names it and never repeats its value."""


class NoLedgerError(LedgerError):
    """There is no ledger under this URL."""


class NewerSchemaError(LedgerError):
    """The tables were changed by a newer version of this service."""
