"""An in-memory FHIR R4 record: resources with versions, the pages of searches under way, and searches that shall fail.

It knows nothing of HTTP and nothing of search parameters. Safe for many threads: every change swaps whole values under
one lock, and a stored resource is never changed in place, so a reader may keep what it got.
"""

import re
import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterable
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from cds_service.demo.outcomes import RefusedError, Resource, invalid

PAGES_KEPT = 200  # searches whose later pages can still be asked for

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


def decode_json(body: bytes) -> Any:
    """The JSON value with decimals digit for digit. Raises RefusedError (400)."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"The body is not JSON: {error}") from None


def encode_json(value: Any) -> bytes:
    """JSON bytes; a Decimal is written as a number with its digits."""
    return _encoder.encode(value)


class Store:
    """One record of many patients."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._by_type: dict[str, dict[str, Resource]] = {}
        self._versions: dict[tuple[str, str], int] = {}
        self._failing: frozenset[tuple[str, str]] = frozenset()
        self._pages: OrderedDict[str, tuple[list[Resource], Any]] = OrderedDict()

    def put(self, resource: Resource) -> tuple[Resource, bool]:
        """The resource as stored under its own id, and whether it is new. Raises RefusedError (400): no usable id."""
        resource_type, resource_id = resource.get("resourceType"), resource.get("id")
        if not isinstance(resource_type, str) or not isinstance(resource_id, str) or not _ID.fullmatch(resource_id):
            raise invalid("A resource needs a resourceType and an id of letters, digits, '-' and '.', at most 64.")
        kept = deepcopy(resource)
        with self._lock:
            version = self._versions.get((resource_type, resource_id), 0) + 1
            self._versions[resource_type, resource_id] = version
            meta = kept.get("meta") if isinstance(kept.get("meta"), dict) else {}
            changed = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            kept["meta"] = {**(meta or {}), "versionId": str(version), "lastUpdated": changed}
            of_type = self._by_type.setdefault(resource_type, {})
            is_new = resource_id not in of_type
            of_type[resource_id] = kept
        return kept, is_new

    def add(self, resource: Resource) -> Resource:
        """The resource as stored under a new id."""
        return self.put({**resource, "id": str(uuid.uuid4())})[0]

    def get(self, resource_type: str, resource_id: str) -> Resource:
        """The stored resource. Raises RefusedError: 404 when it was never there, 410 when it was deleted."""
        with self._lock:
            found = self._by_type.get(resource_type, {}).get(resource_id)
            known = (resource_type, resource_id) in self._versions
        if found is None:
            status, code = (410, "deleted") if known else (404, "not-found")
            raise RefusedError(status, code, f"{resource_type}/{resource_id} is not here.")
        return found

    def remove(self, resource_type: str, resource_id: str) -> None:
        """Deletes the resource; nothing happens when it is not there."""
        with self._lock:
            self._by_type.get(resource_type, {}).pop(resource_id, None)

    def all_of(self, resource_type: str) -> list[Resource]:
        """Every resource of the type, oldest entry first."""
        with self._lock:
            return list(self._by_type.get(resource_type, {}).values())

    def reset(self, resources: Iterable[Resource], failing: Iterable[tuple[str, str]] = ()) -> None:
        """Replaces everything: these resources, and these (resource type, patient id) whose searches answer 500."""
        with self._lock:
            self._by_type, self._versions = {}, {}
            self._pages.clear()
            self._failing = frozenset(failing)
            for resource in resources:
                self.put(resource)

    def fail(self, resource_type: str, patient_id: str) -> None:
        """From now on searches of this type for this patient answer 500."""
        with self._lock:
            self._failing |= {(resource_type, patient_id)}

    def is_failing(self, resource_type: str, patient_id: str) -> bool:
        """True when searches of this type for this patient shall fail."""
        return (resource_type, patient_id) in self._failing

    def keep_pages(self, matches: list[Resource], search: Any) -> str:
        """The token under which these matches, and the search that found them, can be asked for again."""
        token = str(uuid.uuid4())
        with self._lock:
            self._pages[token] = (matches, search)
            while len(self._pages) > PAGES_KEPT:
                self._pages.popitem(last=False)
        return token

    def pages(self, token: str) -> tuple[list[Resource], Any]:
        """The matches and the search kept under the token. Raises RefusedError (410) when they are gone."""
        with self._lock:
            kept = self._pages.get(token)
        if kept is None:
            raise RefusedError(410, "expired", "These search pages are no longer kept; search again.")
        return kept
