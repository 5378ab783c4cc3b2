"""What can be wrong with the ledger before it serves.

LedgerError
├── LedgerSettingError   a URL, a driver or a key that can never work: the start ends with it
└── NewerSchemaError     the database belongs to a newer version of this service

A database that cannot be reached is none of these: the service starts, is not ready, and looks again.
"""


class LedgerError(Exception):
    """The ledger cannot be used as it is set up; the message says what to do."""


class LedgerSettingError(LedgerError):
    """A setting that cannot be used; the message names it and never repeats its value."""


class NewerSchemaError(LedgerError):
    """The tables were changed by a newer version of this service."""
