"""Searches: what is asked for, which resources answer, in which order, and the Bundle that says so."""

from collections.abc import Sequence
from urllib.parse import urlencode

from msgspec import Struct

from cds_service.demo import search_dates
from cds_service.demo.outcomes import RefusedError, Resource, invalid, not_supported
from cds_service.demo.search_match import Criterion, answers, parse_criterion
from cds_service.demo.search_parameters import PARAMETERS, Kind, all_values
from cds_service.demo.store import Store

PAGE_DEFAULT, PAGE_MOST = 20, 500
TOTALS = ("none", "estimate", "accurate")

Pairs = Sequence[tuple[str, str]]


class Search(Struct, frozen=True):
    """One search, understood."""

    resource_type: str
    criteria: tuple[Criterion, ...]
    sort: tuple[tuple[str, bool], ...]  # (parameter, descending)
    include: tuple[str, ...]  # reference parameters of this type
    count: int
    with_total: bool
    count_only: bool
    query: tuple[tuple[str, str], ...]


def parse_search(resource_type: str, pairs: Pairs, base: str) -> Search:
    """The search. Raises RefusedError (400) for anything that this server would otherwise have to ignore."""
    known = PARAMETERS[resource_type]
    criteria: list[Criterion] = []
    sort: list[tuple[str, bool]] = []
    include: list[str] = []
    count, total, summary = PAGE_DEFAULT, "accurate", "false"
    for key, value in pairs:
        name, _, modifier = key.partition(":")
        if name in known:
            criteria.append(parse_criterion(name, known[name], modifier, value, base))
        elif key == "_sort":
            sort += _parse_sort(resource_type, value)
        elif key == "_count":
            count = _parse_count(value)
        elif name == "_include" and modifier in ("", "iterate"):
            include.append(_parse_include(resource_type, value))
        elif key == "_total":
            total = _one_of(key, value, TOTALS)
        elif key == "_summary":
            summary = _one_of(key, value, ("false", "count"))
        elif key not in ("_format", "_pretty"):
            names = ", ".join(sorted(known))
            raise not_supported(f"{resource_type} has no search parameter '{name}' here. It has: {names}.")
    count_only = summary == "count" or count == 0
    return Search(
        resource_type, tuple(criteria), tuple(sort), tuple(include), count, total != "none", count_only, tuple(pairs)
    )


def _one_of(key: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise invalid(f"{key} is one of {', '.join(allowed)}.")
    return value


def _parse_count(value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise invalid("_count is a whole number, 0 or more.")
    return min(int(value), PAGE_MOST)


def _parse_sort(resource_type: str, value: str) -> list[tuple[str, bool]]:
    keys = [(key.removeprefix("-"), key.startswith("-")) for key in value.split(",")]
    for name, _ in keys:
        parameter = PARAMETERS[resource_type].get(name)
        if parameter is None or (parameter.kind is not Kind.DATE and name != "_id"):
            raise not_supported(f"{resource_type} cannot be sorted by '{name}' here; dates, _lastUpdated and _id can.")
    return keys


def _parse_include(resource_type: str, value: str) -> str:
    source, _, rest = value.partition(":")
    name = rest.partition(":")[0]
    parameter = PARAMETERS[resource_type].get(name)
    if source != resource_type or parameter is None or parameter.kind is not Kind.REFERENCE:
        raise not_supported(f"_include is {resource_type}:<a reference parameter>; '{value}' is not.")
    return name


def find(store: Store, search: Search) -> list[Resource]:
    """Every resource that answers, sorted. Raises RefusedError (500) where the store was told to fail."""
    for criterion in search.criteria:
        if criterion.parameter.target == "Patient" or "subject" in criterion.parameter.paths:
            for wanted in criterion.alternatives:
                if store.is_failing(search.resource_type, wanted.removeprefix("Patient/")):
                    raise RefusedError(500, "exception", f"The {search.resource_type} table cannot be read.")
    found = store.all_of(search.resource_type)
    for criterion in search.criteria:
        found = [resource for resource in found if answers(resource, criterion)]
    for name, descending in reversed(search.sort):
        found = _sorted(found, search.resource_type, name, descending)
    return found


def _sorted(found: list[Resource], resource_type: str, name: str, descending: bool) -> list[Resource]:
    if name == "_id":
        return sorted(found, key=lambda resource: str(resource["id"]), reverse=descending)
    parameter = PARAMETERS[resource_type][name]
    dated, undated = [], []
    for resource in found:
        when = search_dates.range_of(all_values(resource, parameter))
        if when is None:
            undated.append(resource)  # last both ways, so that a page of the newest never hides behind them
        else:
            dated.append((search_dates.sort_moment(when), resource))
    dated.sort(key=lambda pair: pair[0], reverse=descending)
    return [resource for _, resource in dated] + undated


def included(store: Store, search: Search, page: list[Resource]) -> list[Resource]:
    """The resources that the page's resources refer to through the asked parameters; a broken reference is no error."""
    found: dict[tuple[str, str], Resource] = {}
    for name in search.include:
        for resource in page:
            for value in all_values(resource, PARAMETERS[search.resource_type][name]):
                parts = str(value.get("reference", "") if isinstance(value, dict) else "").split("/")[-2:]
                if len(parts) == 2:
                    try:
                        found[parts[0], parts[1]] = store.get(parts[0], parts[1])
                    except RefusedError:
                        continue
    return list(found.values())


def search_bundle(store: Store, search: Search, base: str) -> Resource:
    """The first page of a search as a Bundle."""
    found = find(store, search)
    self_url = f"{base}/{search.resource_type}" + (f"?{urlencode(search.query)}" if search.query else "")
    bundle: Resource = {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [{"relation": "self", "url": self_url}],
    }
    if search.with_total or search.count_only:
        bundle["total"] = len(found)
    if search.count_only:
        return bundle
    token = store.keep_pages(found, search) if len(found) > search.count else ""
    return _with_page(bundle, store, search, found, 0, token, base)


def page_bundle(store: Store, token: str, offset: int, count: int | None, base: str) -> Resource:
    """A later page of a search. Raises RefusedError (410) when its pages are no longer kept."""
    found, search = store.pages(token)
    self_url = _page_url(base, token, offset, count or search.count)
    bundle: Resource = {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [{"relation": "self", "url": self_url}],
    }
    if search.with_total:
        bundle["total"] = len(found)
    return _with_page(bundle, store, search, found, offset, token, base, count)


def _page_url(base: str, token: str, offset: int, count: int) -> str:
    # The base itself with a query, as widely used servers have it: a client must not insist on a path below the base.
    return f"{base}?_getpages={token}&_getpagesoffset={offset}&_count={count}&_bundletype=searchset"


def _with_page(
    bundle: Resource,
    store: Store,
    search: Search,
    found: list[Resource],
    offset: int,
    token: str,
    base: str,
    count: int | None = None,
) -> Resource:
    size = min(count or search.count, PAGE_MOST)
    page = found[offset : offset + size]
    if offset + size < len(found):
        bundle["link"].append({"relation": "next", "url": _page_url(base, token, offset + size, size)})
    entries = [_entry(resource, "match", base) for resource in page]
    entries += [_entry(resource, "include", base) for resource in included(store, search, page)]
    if entries:
        bundle["entry"] = entries
    return bundle


def _entry(resource: Resource, mode: str, base: str) -> Resource:
    url = f"{base}/{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": url, "resource": resource, "search": {"mode": mode}}
