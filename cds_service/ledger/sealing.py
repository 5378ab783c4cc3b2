"""Sealed columns: readable only with a key of `CDS_LEDGER_KEYS`, whatever becomes of the database or its backups.

Several keys, separated by commas: the first seals, all open. To change keys, put the new one first, start every
instance with it, reseal, then drop the old one.
"""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from cds_service.ledger.errors import LedgerSettingError

SETTING = "CDS_LEDGER_KEYS"


class SealedError(ValueError):
    """A sealed value that none of the keys opens; says what it would take."""


class Seal:
    """Seals and opens, with the keys of the setting."""

    def __init__(self, keys: tuple[Fernet, ...]) -> None:
        self._keys = MultiFernet(keys)

    def close(self, plain: bytes, about: str) -> bytes:
        """The sealed value; it opens only for the row that it is `about`."""
        return self._keys.encrypt(about.encode() + b"\n" + plain)

    def open(self, sealed: bytes, about: str) -> bytes:
        """What was sealed. Raises SealedError."""
        try:
            row, _, plain = self._keys.decrypt(sealed).partition(b"\n")
        except InvalidToken:
            raise SealedError(f"the right key or an undamaged value: none of {SETTING} opens this one") from None
        if row != about.encode():
            raise SealedError("the value of this very row: this one was sealed for another")
        return plain

    def renew(self, sealed: bytes) -> bytes:
        """The same value, sealed with the first key. Raises SealedError."""
        try:
            return self._keys.rotate(sealed)
        except InvalidToken:
            raise SealedError(f"none of the keys in {SETTING} opens it") from None


def parse_keys(setting: str) -> Seal | None:
    """The seal of the setting's keys; None without any. Raises LedgerSettingError, never with a key in it."""
    parts = [part.strip() for part in setting.split(",")]
    if not any(parts):
        return None
    keys = []
    for place, part in enumerate(parts, 1):
        try:
            keys.append(Fernet(part))
        except (ValueError, TypeError):
            raise LedgerSettingError(
                f"{SETTING}: key {place} of {len(parts)} cannot be used; expected 32 random bytes in URL-safe base64, "
                "as `python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'` prints"
            ) from None
    return Seal(tuple(keys))
