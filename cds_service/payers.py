"""The payers that this endpoint serves: a JSON file of names, identifiers, labels and contacts (`CDS_PAYERS`)."""

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from hooks.plans import ServedPayer


class PayersError(ValueError):
    """A payers file that cannot be used; the message says where and what is expected."""


class Identifier(Struct, frozen=True, forbid_unknown_fields=True):
    """One identifier of a payer."""

    system: str
    value: str


class Telecom(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How to reach a contact (FHIR ContactPoint)."""

    system: str
    value: str
    use: str = ""


class Contact(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whom to ask (FHIR ContactDetail)."""

    name: str = ""
    telecom: tuple[Telecom, ...] = ()


class PayerEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """One payer of the file."""

    name: str
    identifiers: tuple[Identifier, ...]
    label: str = ""
    contact: Contact | None = None


class PayerFile:
    """The payers of a file."""

    def __init__(self, path: Path) -> None:
        try:
            entries = msgspec.json.decode(path.read_bytes(), type=tuple[PayerEntry, ...])
        except (OSError, msgspec.DecodeError) as error:
            what = str(error) if isinstance(error, msgspec.ValidationError) else type(error).__name__
            raise PayersError(f"{path}: {what}") from None
        self._served: dict[tuple[str, str], ServedPayer] = {}
        for entry in entries:
            contact: dict[str, Any] | None = msgspec.to_builtins(entry.contact) if entry.contact is not None else None
            payer = ServedPayer(entry.label or entry.name, contact or None)
            for identifier in entry.identifiers:
                self._served[(identifier.system, identifier.value)] = payer
        if not self._served:
            raise PayersError(f"{path}: expected at least one payer with an identifier")

    def served(self, identifiers: tuple[tuple[str, str], ...]) -> ServedPayer | None:
        """The payer with one of these identifiers; None when it is not served here."""
        return next((self._served[found] for found in identifiers if found in self._served), None)
