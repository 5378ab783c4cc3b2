"""What a FHIR server's answer comes to: a page's resources, or a failure. Knows JSON, gzip and Bundles."""

import zlib
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from fhir_mappings.queries import Failure, Query, is_error
from fhir_mappings.references import Json, child, children

_STATUS = {401: Failure.UNAUTHORIZED, 403: Failure.FORBIDDEN, 404: Failure.NOT_FOUND, 410: Failure.NOT_FOUND}
_STATUS |= {405: Failure.NOT_SUPPORTED, 501: Failure.NOT_SUPPORTED, 429: Failure.BUSY}
_PAUSE_S = 0.05  # before the one repetition, where the server names no time
_decode = msgspec.json.Decoder(float_hook=Decimal).decode  # a measured value keeps its digits


class FailedError(Exception):
    """A read that failed."""

    def __init__(self, kind: Failure) -> None:
        super().__init__(kind.value)
        self.kind = kind


class Page(Struct, frozen=True):
    """What one answer holds."""

    resources: list[Json]
    broken: int = 0  # entries without a readable resource
    is_faulty: bool = False  # an error came among the entries
    following: object = None  # the next link; None on the last page


def unzipped(body: bytes, most: int) -> bytes:
    """The bytes that were packed, of which there are at most so many. Raises FailedError."""
    opened = zlib.decompressobj(wbits=31)
    try:
        found = opened.decompress(body, most + 1)
    except zlib.error:
        raise FailedError(Failure.NOT_FHIR) from None
    if len(found) > most:
        raise FailedError(Failure.TOO_LARGE)
    return found


def decoded(body: bytes) -> Any:
    """The JSON of a body. Raises FailedError."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError, ArithmeticError):
        raise FailedError(Failure.NOT_FHIR) from None


def failure_of(status: int) -> Failure:
    """What a status other than 200 comes to."""
    if status in _STATUS:
        return _STATUS[status]
    if 300 <= status < 400:
        return Failure.REDIRECTED
    return Failure.SERVER_ERROR if status >= 500 else Failure.REFUSED if status >= 400 else Failure.NOT_FHIR


def pause_of(retry_after: str) -> float:
    """Seconds before the one repetition: what Retry-After asks for, or a moment."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 6 else _PAUSE_S


def page_of(query: Query, body: Any) -> Page:
    """The page that the query asked for. Raises FailedError."""
    if not isinstance(body, dict):
        raise FailedError(Failure.NOT_FHIR)
    kind, _, own_id = query.path.partition("/")
    if body.get("resourceType") == "OperationOutcome":
        raise FailedError(Failure.OUTCOME)
    if own_id:
        if body.get("resourceType") != kind or body.get("id") != own_id:
            raise FailedError(Failure.NOT_FHIR)
        return Page([body])
    entries = body.get("entry", [])
    if body.get("resourceType") != "Bundle" or not isinstance(entries, list):
        raise FailedError(Failure.NOT_FHIR)
    found, broken, is_faulty = [], 0, False
    for entry in entries:
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, dict):
            broken += 1
        elif resource.get("resourceType") == "OperationOutcome":
            is_faulty = is_faulty or is_error(resource)
        elif child(entry, "search").get("mode") != "outcome":
            found.append(resource)
    links = (link.get("url", "") for link in children(body, "link") if link.get("relation") == "next")
    return Page(found, broken, is_faulty, next(links, None))
