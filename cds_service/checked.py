"""What the policies folder and the lab table say, once every file of them is checked.

Checking takes some milliseconds for each policy. So what was found is kept in the data folder, and a later start takes
it from there if every file, and the code that reads them, is the same to the byte. Whatever is wrong with what is kept,
the files are checked again.
"""

import os
import sys
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import msgspec
import yaml
from msgspec import Struct, msgpack

from cds_service.policy.documents import read_content
from cds_service.policy.kept import KeptPolicy
from cds_service.policy.library import load_library, policy_files
from cds_service.policy.value_sets import Systems, ValueSet, read_systems
from cds_service.release import release
from fhir_mappings.lab_file import LabFile
from fhir_mappings.labs import LABS_FILE, read_lab_file

KEPT = "policies.checked"  # its name in the data folder
_READERS = (Path(__file__).with_name("policy"), LABS_FILE.parent)  # the packages that read the files
_DIGEST = sha256().digest_size


class Checked(Struct, frozen=True):
    """What the files say."""

    systems: Systems
    labs: LabFile
    value_sets: dict[str, ValueSet]
    versions: tuple[KeptPolicy, ...]
    vocabulary_digest: str  # SHA-256, in hexadecimal: what `cat FILES | sha256sum` says of all by which charts are read


def checked(root: Path, data_dir: Path | None = None) -> Checked:
    """What the files of a `policies/` folder say, as it is kept in `data_dir` if it is. Raises PolicyFileError."""
    if data_dir is None:
        return _check(root)
    key = _key(root)
    found = _recalled(data_dir / KEPT, key)
    if found is None:
        found = _check(root)
        if key and key == _key(root):  # no file was changed while it was checked
            _remember(data_dir / KEPT, key, found)
    return found


def _check(root: Path) -> Checked:
    systems = read_systems(root / "value_sets")
    lab_file = read_lab_file(systems, own=root / "tests.yaml")
    digest = sha256()
    for file in _vocabulary(root):
        digest.update(read_content(file))
    library = load_library(root, {test.name: test for test in lab_file.tests})
    return Checked(systems, lab_file, dict(library.value_sets), library.versions, digest.hexdigest())


def _vocabulary(root: Path) -> list[Path]:
    own = root / "tests.yaml"
    return [*sorted((root / "value_sets").glob("*.yaml")), LABS_FILE, *([own] if own.exists() else [])]


def _key(root: Path) -> bytes:
    """SHA-256 of all that `Checked` follows from; empty where a file cannot be read."""
    code = [path for package in _READERS for path in sorted(package.glob("*.py"))]
    digest = sha256(repr((release(), sys.version, msgspec.__version__, yaml.__version__)).encode())
    with suppress(OSError):
        for path in (Path(__file__), *code, *_vocabulary(root), *policy_files(root)):
            content = path.read_bytes()
            digest.update(b"\n%s %d\n" % (os.fsencode("/".join(path.parts[-3:])), len(content)))
            digest.update(content)
        return digest.digest()
    return b""


def _recalled(path: Path, key: bytes) -> Checked | None:
    """What is kept under that key, whole and as it was written; else None."""
    with suppress(OSError, msgspec.MsgspecError):
        written = path.read_bytes()
        content = memoryview(written)[_DIGEST:]
        if key and written[:_DIGEST] == _sealed(key, content):
            return msgpack.decode(content, type=Checked)
    return None


def _remember(path: Path, key: bytes, found: Checked) -> None:
    """Keeps it under that key; where that fails, the next start checks again."""
    content = msgpack.encode(found)
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(OSError):
        try:
            beside.write_bytes(_sealed(key, content) + content)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def _sealed(key: bytes, content: bytes | memoryview) -> bytes:
    digest = sha256(key)
    digest.update(content)
    return digest.digest()
