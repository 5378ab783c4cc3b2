"""What is asked of a FHIR server, and what comes back: plain values, so that nothing but the client knows HTTP."""

import re
from collections.abc import Sequence
from enum import StrEnum
from urllib.parse import quote

from msgspec import Struct

from fhir_mappings.references import Json, child, children, is_id, word
from fhir_mappings.servers import page_url


class Failure(StrEnum):
    """Why a source is not, or not wholly, read."""

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    UNAUTHORIZED = "unauthorized"  # 401
    FORBIDDEN = "forbidden"  # 403
    NOT_FOUND = "not-found"  # 404, 410
    REFUSED = "refused"  # any other 4xx
    NOT_SUPPORTED = "not-supported"  # 405, 501
    BUSY = "busy"  # 429
    SERVER_ERROR = "server-error"  # 5xx
    REDIRECTED = "redirected"  # never followed
    NOT_FHIR = "not-fhir"  # HTML, cut JSON, another resource than was asked for
    OUTCOME = "outcome"  # an OperationOutcome with an error where resources were expected
    TOO_LARGE = "too-large"
    FOREIGN_PAGE = "foreign-page"  # a next link that leads off the base
    NOT_ASKED = "not-asked"  # a query with an empty value, which servers read as no criterion at all
    LEFT_ALONE = "left-alone"  # a server that is known to be down: see `circuit`
    FAULT = "fault"  # a fault of ours


# What a server says of a resource type that it does not offer, or not to this caller.
NOT_OFFERED = frozenset({Failure.NOT_FOUND, Failure.FORBIDDEN, Failure.NOT_SUPPORTED})
_NO_SUCH_TYPE = re.compile(r"unknown resource ?type|not (supported|implemented|enabled)|unsupported", re.IGNORECASE)


class Query(Struct, frozen=True):
    """One read (`Patient/x`), one search (a type with parameters) or one further page (`page`)."""

    path: str
    params: tuple[tuple[str, str], ...] = ()
    most: int = 1000  # further pages are read only until so many resources are there, and up to the page limit
    page: str = ""

    def url(self, base: str) -> str | None:
        """The URL to read; None when a value is empty: HAPI and others then drop the criterion and answer with all."""
        kind, _, own_id = self.path.partition("/")
        if not kind.isalpha() or (own_id and not is_id(own_id)) or ("/" in self.path and not own_id):
            return None
        if self.page:
            return page_url(base, f"{base}/{self.path}", self.page)
        if any(not part.rpartition("|")[2].strip() for _, value in self.params for part in value.split(",")):
            return None
        query = "&".join(f"{quote(name, safe=':')}={quote(value, safe=',:/')}" for name, value in self.params)
        return f"{base}/{self.path}" + (f"?{query}" if query else "")


class Reply(Struct, frozen=True):
    """What one query gave."""

    resources: Sequence[Json]
    failure: Failure | None = None
    more: bool = False  # the server has more than `most`, or than was read before the failure
    broken: int = 0  # entries without a readable resource


def is_error(outcome: Json) -> bool:
    """True when an OperationOutcome tells of an error: warnings and information come beside good answers."""
    return any(word(issue, "severity") in ("error", "fatal") for issue in children(outcome, "issue"))


def says_not_offered(outcome: Json) -> bool:
    """True when every error of an OperationOutcome says that the resource type is not offered, or not to the caller."""
    errors = [issue for issue in children(outcome, "issue") if word(issue, "severity") in ("error", "fatal")]
    return bool(errors) and all(
        word(issue, "code") in ("not-supported", "not-found", "forbidden")
        or _NO_SUCH_TYPE.search(f"{word(issue, 'diagnostics')} {word(child(issue, 'details'), 'text')}") is not None
        for issue in errors
    )
