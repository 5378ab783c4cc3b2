"""Completed forms that an EHR did not take, sealed in a folder of the service. Only where `CDS_LEDGER_KEYS` is set.

One file for each patient, named by a digest that says nothing without the key.
"""

import hashlib
import hmac
import os
import threading
from pathlib import Path

import msgspec

from cds_service.ledger.sealing import SealedError, parse_keys
from fhir_mappings.references import Json
from hooks.wire import decode, encode

_MOST = 5  # forms of one patient; the newest ones stay
_LOCK = threading.Lock()


class KeptForms:
    """The forms that are kept here."""

    def __init__(self, data_dir: Path, ledger_keys: str) -> None:
        self._folder = data_dir / "forms"
        self._seal = parse_keys(ledger_keys)
        self._names = [part.strip().encode() for part in ledger_keys.split(",") if part.strip()]

    def keep(self, iss: str, patient: str, response: Json) -> bool:
        """True when the form is on disk, sealed; False where it may not or cannot be kept."""
        if self._seal is None:
            return False
        about = f"{iss} {patient}"
        try:
            with _LOCK:
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                forms = [*self.of(iss, patient), response][-_MOST:]
                path = self._paths(about)[0]
                draft = path.with_suffix(f".{os.getpid()}")
                with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                    file.write(self._seal.close(encode(forms), about))
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(path)
        except OSError:
            return False
        return True

    def of(self, iss: str, patient: str) -> list[Json]:
        """The forms of that patient of that EHR, oldest first."""
        about = f"{iss} {patient}"
        for path in self._paths(about) if self._seal is not None else ():
            try:
                forms = decode(self._seal.open(path.read_bytes(), about)) if self._seal is not None else []
                return [form for form in forms if isinstance(form, dict)]
            except (OSError, SealedError, msgspec.MsgspecError):
                continue
        return []

    def _paths(self, about: str) -> list[Path]:
        digests = [hmac.digest(key, about.encode(), hashlib.sha256).hex() for key in self._names]
        return [self._folder / f"{digest}.sealed" for digest in digests]
