"""Many reads in one request: FHIR's batch Bundle (R4, http.html#transaction) and what its answer says of each."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from fhir_mappings.answers import FailedError, failure_of
from fhir_mappings.queries import Failure
from fhir_mappings.references import child, word

_STATUS = re.compile(r"[1-5]\d\d\b")


def batch_of(base: str, urls: Sequence[str]) -> bytes:
    """The Bundle that asks for these URLs, each of which lies under the base."""
    entries = [{"request": {"method": "GET", "url": url.removeprefix(f"{base}/")}} for url in urls]
    return msgspec.json.encode({"resourceType": "Bundle", "type": "batch", "entry": entries})


def parts_of(body: Any, count: int) -> list[Any | Failure]:
    """For each of `count` reads, in their order, the body that it would have had alone, or why there is none.

    Raises FailedError for anything but an answer to a batch of so many.
    """
    if not isinstance(body, dict) or (body.get("resourceType"), body.get("type")) != ("Bundle", "batch-response"):
        raise FailedError(Failure.NOT_FHIR)
    entries = body.get("entry", [])
    if not isinstance(entries, list) or len(entries) != count:
        raise FailedError(Failure.NOT_FHIR)
    return [_part(entry) for entry in entries]


def _part(entry: Any) -> Any | Failure:
    if not isinstance(entry, dict):
        return Failure.NOT_FHIR
    status = _STATUS.match(word(child(entry, "response"), "status"))
    if status is None:
        return Failure.NOT_FHIR
    return entry.get("resource") if status[0] == "200" else failure_of(int(status[0]))
