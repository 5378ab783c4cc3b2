"""What stands in the ledger for something that must not stand there: hashes that only this installation can make."""

import os
import time
from hashlib import blake2b
from typing import Literal

Kind = Literal["member", "order", "coverage", "evidence", "display", "ehr", "patient", "user"]

_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # without I, L, O and U, which are read as others


class Fingerprints:
    """Makes keyed hashes: the same text gives the same hash, and only who has the key can tell which."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, kind: Kind, text: str) -> str:
        """32 hexadecimal digits; the same text of another kind gives others."""
        return blake2b(
            text.encode("utf-8", "surrogatepass"), key=self._key, person=kind.encode(), digest_size=16
        ).hexdigest()


def new_decision_id() -> str:
    """26 letters that sort by time of making and are not to be guessed."""
    return id_floor(time.time()) + _letters(int.from_bytes(os.urandom(10)), 16)


def id_floor(seconds: float) -> str:
    """What the ids begin with that are made at this time (seconds since 1970)."""
    return _letters(max(0, int(seconds * 1000)), 10)


def new_number() -> str:
    """An authorization number: `PA-` and 12 letters that are not mixed up when read aloud, 60 bits at random."""
    return "PA-" + _letters(int.from_bytes(os.urandom(8)), 12)


def _letters(value: int, count: int) -> str:
    return "".join([_LETTERS[(value >> shift) & 31] for shift in range(5 * (count - 1), -1, -5)])
