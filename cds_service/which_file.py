"""Which file stands under a name: whoever has one open is told so that another is in its place now, or none."""

import os
from pathlib import Path

FileIdentity = tuple[int, int]  # device and inode


def which_file(path: Path | str) -> FileIdentity:
    """The file that stands there now. Raises FileNotFoundError where there is none, and OSError."""
    found = os.stat(path)
    return found.st_dev, found.st_ino
