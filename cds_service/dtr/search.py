"""Searches of what the endpoint serves: by `_id`, `url`, `version` and `status`, alike for every type."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

Json = dict[str, Any]

PARAMETERS = {"_id": "token", "url": "uri", "version": "token", "status": "token"}
_OF_ANY_SEARCH = frozenset({"_format", "_count", "_total", "_summary", "_pretty"})


class Candidate(Struct, frozen=True):
    """One version of a resource, and whether it is what its id stands for today."""

    id: str
    url: str
    version: str
    is_current: bool
    resource: Callable[[], Json | None]  # made when the rest fits; None where it turns out that there is none


def not_supported(query: Iterable[str]) -> bool:
    """True where a parameter is none that is known here."""
    return any(name not in PARAMETERS and name not in _OF_ANY_SEARCH for name in query)


def search(candidates: Iterable[Candidate], query: Mapping[str, str]) -> Iterator[Json]:
    """What the query asks for; without a version, the current version of each, or every one of a URL.

    A comma stands between values of which one is enough (FHIR R4, "Handling Repeating Values").
    """
    urls, ids, versions, statuses = (_values(query, name) for name in ("url", "_id", "version", "status"))
    named = [(url, wanted) for url, _, wanted in (one.partition("|") for one in urls)]
    for candidate in candidates:
        if (
            (not ids or candidate.id in ids)
            and (not versions or candidate.version in versions)
            and (not named or any(candidate.url == url and wanted in ("", candidate.version) for url, wanted in named))
            and (versions or named or candidate.is_current)
            and (found := candidate.resource()) is not None
            and (not statuses or found["status"] in statuses)
        ):
            yield found


def searchset(found: list[Json], own_url: str) -> Json:
    """The Bundle of what was found by the search at `own_url`."""
    bundle: Json = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(found),
        "link": [{"relation": "self", "url": own_url}],
    }
    if found:
        bundle["entry"] = [{"fullUrl": one["url"], "resource": one, "search": {"mode": "match"}} for one in found]
    return bundle


def _values(query: Mapping[str, str], name: str) -> list[str]:
    return [one for one in query.get(name, "").split(",") if one]
