"""The payers that this endpoint serves: a JSON file of names, identifiers, labels and contacts (`CDS_PAYERS`)."""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from hooks.plans import ServedPayer

_LARGEST_FILE = 4 * 1024 * 1024
_Text = Annotated[str, Meta(pattern=r"\S")]


class PayersError(ValueError):
    """A payers file that cannot be used; the message says where and what is expected."""


class Identifier(Struct, frozen=True, forbid_unknown_fields=True):
    """One identifier of a payer."""

    system: _Text
    value: _Text


class Telecom(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How to reach a contact (FHIR ContactPoint)."""

    system: Literal["phone", "fax", "email", "pager", "url", "sms", "other"]
    value: _Text
    use: Literal["home", "work", "temp", "old", "mobile", ""] = ""


class Contact(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whom to ask (FHIR ContactDetail)."""

    name: str = ""
    telecom: tuple[Telecom, ...] = ()


class PayerEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """One payer of the file."""

    name: _Text
    identifiers: tuple[Identifier, ...]
    label: str = ""
    contact: Contact | None = None


class PayerFile:
    """The payers of a file."""

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                raw = file.read(_LARGEST_FILE + 1)
            if len(raw) > _LARGEST_FILE:
                raise PayersError(f"{path}: expected at most {_LARGEST_FILE} bytes")
            entries = msgspec.json.decode(raw, type=tuple[PayerEntry, ...])
        except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
            what = str(error) if isinstance(error, msgspec.ValidationError) else type(error).__name__
            raise PayersError(f"{path}: {what}") from None
        self._served: dict[tuple[str, str], ServedPayer] = {}
        for entry in entries:
            contact: dict[str, Any] | None = msgspec.to_builtins(entry.contact) if entry.contact is not None else None
            payer = ServedPayer(entry.label or entry.name, contact or None)
            for identifier in entry.identifiers:
                if self._served.setdefault((identifier.system, identifier.value), payer) is not payer:
                    raise PayersError(f"{path}: expected each identifier with one payer, found one with two")
        if not self._served:
            raise PayersError(f"{path}: expected at least one payer with an identifier")

    def served(self, identifiers: tuple[tuple[str, str], ...]) -> ServedPayer | None:
        """The payer with one of these identifiers; None when it is not served here."""
        return next((self._served[found] for found in identifiers if found in self._served), None)
