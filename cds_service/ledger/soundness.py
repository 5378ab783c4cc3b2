"""Whether a SQLite file may be written on: once it was replaced, or seen to be damaged, it is checked first.

SQLite applies the log beside a file to whatever file is there, also to a backup that was put in its place. What comes
of that can be read and written for a long time, and gives an order a second number.
"""

import os
import sqlite3
from typing import Any

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class DamagedError(Exception):
    """The file is damaged: nothing is written to it until another one is in its place."""


class Soundness:
    """What one process knows of its file."""

    def __init__(self) -> None:
        self._seen: object = None
        self._is_doubtful = False
        self._damaged: object = None  # how the files looked when they were found to be

    def saw(self, file: object) -> None:
        """Takes note of which file was opened."""
        self._is_doubtful = self._is_doubtful or self._seen not in (None, file)
        self._seen = file

    def heard(self, error: BaseException) -> None:
        """Takes note of an error."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            self._is_doubtful = True

    def check(self, raw: Any, path: str) -> None:
        """Nothing where the file may be used. Raises DamagedError; looks once at what does not change."""
        if not self._is_doubtful:
            return
        looks = [_looks(path), _looks(f"{path}-wal")]
        if looks == self._damaged or not _is_sound(raw):
            self._damaged = looks
            raise DamagedError
        self._is_doubtful, self._damaged = False, None


def _looks(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _is_sound(raw: Any) -> bool:
    try:
        return bool(raw.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok")
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            return False
        raise
