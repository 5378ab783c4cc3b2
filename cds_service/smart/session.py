"""Who is at work on which form: sealed into the browser's cookie, so that any worker can serve it and no disk has it.

The key is in a file that only this service may read, or follows from `CDS_LEDGER_KEYS` where that is set, so that
several instances open each other's cookies. Each form has a cookie of its own, sent to that form's pages alone.
"""

import hashlib
import hmac
import os
import time
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from flask import Response
from msgspec import Struct

from cds_service.auth.tokens import SKEW_S
from cds_service.smart.frames import is_framed

LIFETIME_S = 15 * 60  # without a sign of the person
LAUNCH_S = 10 * 60  # for signing in
_PART = 3800  # characters of one cookie; browsers keep 4096 bytes with its name
_PARTS = 2  # a request's Cookie header may be 8 KiB
_LARGEST = 60_000  # of an opened value
_KEY_FILE = "form-sessions.key"

T = TypeVar("T", bound=Struct)


class Session(Struct, frozen=True):
    """A form that is open."""

    sid: str
    iss: str
    token: str
    csrf: str
    patient: str  # id
    seen: int
    until: int = 0  # when the token runs out; 0: not said
    launch: str = ""
    user: str = ""  # Practitioner/x
    encounter: str = ""
    order: str = ""
    coverage: str = ""
    questionnaire: str = ""
    assertion: str = ""  # the coverage-assertion-id of the answer whose card opened the form
    begun_with: str | None = (
        None  # QuestionnaireResponse/x that the page goes on with; empty: none; None: not yet known
    )
    begun_version: str = ""  # of it, as the page saw it
    note: str = ""  # said once, on the next page
    is_kept_here: bool = False  # the completed form is with the plan, since the EHR did not take it
    typed: dict[str, str] = {}  # linkId → text that was not saved when the sign-in ran out in a frame
    reports: dict[str, dict[str, str]] = {}  # linkId → Attachment that is in the chart, and in no form yet

    def __repr__(self) -> str:
        return "Session()"  # a token never reaches a log by way of repr

    def is_over(self, now: float) -> bool:
        """True when the person has to sign in again."""
        return is_past(self.seen, LIFETIME_S, now) or (self.until != 0 and now >= self.until)


def is_past(at: int, seconds: int, now: float) -> bool:
    """True when more than these seconds have gone since; also where that cannot be told, since the clock was set."""
    return not at - SKEW_S <= now <= at + seconds


class Pending(Struct, frozen=True):
    """A launch that waits for the person to sign in."""

    sid: str
    iss: str  # as `base_of` gives it
    launch: str
    state: str
    verifier: str
    nonce: str
    token_endpoint: str
    at: int
    before: Session | None = None  # the form that is signed in to again, without its token
    goes_on: bool = False  # with the form itself, and not in another tab


class TooLargeError(ValueError):
    """More than a browser would keep."""


class Sealer:
    """Seals and opens what the browser keeps."""

    def __init__(self, keys: MultiFernet) -> None:
        self._keys = keys

    def seal(self, value: Struct) -> str:
        """The value as text that says nothing."""
        return self._keys.encrypt(zlib.compress(msgspec.json.encode(value), 9)).decode()

    def open(self, sealed: str, kind: type[T]) -> T | None:
        """What was sealed; None for what this service did not seal, or not as this."""
        try:
            opener = zlib.decompressobj()
            plain = opener.decompress(self._keys.decrypt(sealed), _LARGEST)
            return msgspec.json.decode(plain, type=kind)
        except (InvalidToken, zlib.error, msgspec.MsgspecError, ValueError):
            return None


def sealer(data_dir: Path, ledger_keys: str) -> Sealer:
    """The sealer of this installation. Raises OSError when the key file can neither be read nor made."""
    keys = [part.strip() for part in ledger_keys.split(",") if part.strip()]
    derived = [hmac.digest(key.encode(), b"documentation form sessions", hashlib.sha256) for key in keys]
    if derived:
        return Sealer(MultiFernet([Fernet(urlsafe_b64encode(key)) for key in derived]))
    return Sealer(MultiFernet([Fernet(_key_of(data_dir))]))


def _key_of(data_dir: Path) -> bytes:
    path = data_dir / _KEY_FILE
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists() and not _is_key(path.read_bytes()):
        path.unlink()  # cut off with the power: whoever has a form open signs in again
    if not path.exists():
        # Under another name first: a worker beside this one must find all of it, or nothing.
        draft = data_dir / f"{_KEY_FILE}.{os.getpid()}"
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(Fernet.generate_key())
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    return path.read_bytes()


def _is_key(found: bytes) -> bool:
    with suppress(ValueError):
        Fernet(found)
        return True
    return False


def set_cookie(response: Response, name: str, sealed: str, path: str, secure: bool, lifetime_s: int | None) -> None:
    """Gives the browser a sealed value, in as many cookies as it takes. Raises TooLargeError."""
    parts = [sealed[start : start + _PART] for start in range(0, len(sealed), _PART)]
    if len(parts) > _PARTS:
        raise TooLargeError
    for place in range(_PARTS):
        value = parts[place] if place < len(parts) else ""
        if value or place:
            response.set_cookie(
                f"{name}{place}",
                value,
                max_age=lifetime_s if value else 0,
                path=path,
                secure=secure,
                httponly=True,
                samesite="None" if secure else "Lax",  # the app may stand in a frame of the EHR
                partitioned=secure and is_framed(),
            )


def cookie_of(cookies: Mapping[str, str], name: str) -> str:
    """The sealed value of the cookies; empty when there is none."""
    return "".join(cookies.get(f"{name}{place}", "") for place in range(_PARTS))


def now_s() -> int:
    """Seconds since the epoch."""
    return int(time.time())
