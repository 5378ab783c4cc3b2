"""Which FHIR server may be called, and in which ways known servers differ from the book.

Knows base URLs and quirks. Opens no connection.
"""

import re
from collections.abc import Iterable
from urllib.parse import urljoin, urlsplit

from msgspec import Struct

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\]")
# A path that any reader could take for another one: dot segments, escaped slashes, dots or escapes, backslashes,
# controls, and parameters of a segment (some servers read `..;` as `..`).
_DOUBTFUL_PATH = re.compile(r"(?:^|/)\.{1,2}(?:/|$)|%2e|%2f|%5c|%25|%3b|;|\\|//|[\x00-\x20\x7f]", re.IGNORECASE)


class Server(Struct, frozen=True):
    """A FHIR server that may be called for this caller, with the token that came for it."""

    base: str  # as `base_of` gives it
    token: str | None = None
    registered: str = ""  # the base it lies in, as the service's settings have it

    def __repr__(self) -> str:
        """The server without its token: a Server may end up in a log or a traceback."""
        return f"Server({self.base!r}, token={'yes' if self.token else 'no'})"


class Quirk(Struct, frozen=True):
    """One way in which a known server departs from what is asked of it."""

    who: str
    seen: str  # what was seen
    when: str
    handled: str  # where and how this package meets it


# What is known of real servers. None of these needs a switch: the client is written so that each server is read
# rightly without being recognised, and this table says why the code is as it is.
QUIRKS: dict[str, Quirk] = {
    "next-on-the-base-itself": Quirk(
        "HAPI FHIR 8.6.5 JPA",
        "`next` is BASE?_getpages=…: the base without a slash or a type",
        "2026-11",
        "`page_url` takes the base itself with a query",
    ),
    "text-modifier-finds-nothing": Quirk(
        "HAPI FHIR 8.6.5 JPA",
        "code:text answers 200 and 0 without full-text search, and an unknown modifier is read as plain `code`",
        "2026-11",
        "reads.py asks beside it for the newest laboratory results and recognises the test by its text",
    ),
    "empty-value-drops-the-criterion": Quirk(
        "HAPI FHIR 8.6.5 JPA",
        "patient= and code=, answer with everybody's and every code's resources",
        "2026-11",
        "`Query.url` refuses an empty value; every resource's patient is checked again in record.py",
    ),
    "outcome-in-the-searchset": Quirk(
        "HAPI FHIR, Epic, Oracle Health",
        "warnings come as entries with search.mode outcome; errors may come the same way with status 200",
        "2026-11",
        "client.py: severity error or fatal makes the source unread, the rest is skipped",
    ),
    "own-absolute-patient-finds-nothing": Quirk(
        "HAPI FHIR 8.6.5 JPA",
        "patient=BASE/Patient/x finds 0",
        "2026-11",
        "reads.py asks with the bare id",
    ),
}


def base_of(url: object) -> str | None:
    """The base URL in one spelling (lower-case host, no default port, no slash at the end); None when it is no base.

    Refused: anything but http and https, user names, a query, a fragment, and a path with dot segments or escapes that
    could be read as another path.
    """
    if not isinstance(url, str) or len(url) > 2000 or not url.isascii():
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    scheme, netloc = parts.scheme.lower(), parts.netloc
    host = netloc.rsplit(":", 1)[0] if port is not None else netloc.removesuffix(":")
    if scheme not in _DEFAULT_PORTS or "?" in url or "#" in url or not _HOST.fullmatch(host):
        return None
    path = parts.path.rstrip("/")
    if url != url.strip() or _DOUBTFUL_PATH.search(path) or re.search(r"[\x00-\x20\x7f\\]", url):
        return None
    shown_port = "" if port is None or port == _DEFAULT_PORTS[scheme] else f":{port}"
    return f"{scheme}://{host.lower()}{shown_port}{path}"


def registered_base(base: str, allowed: tuple[str, ...]) -> str | None:
    """The one of the allowed bases that `base` is or lies below, for they name folders, not prefixes; or None."""
    return next((folder for folder in allowed if base == folder or base.startswith(folder + "/")), None)


def bases_of(urls: Iterable[str]) -> tuple[str, ...]:
    """The bases among these URLs, each in one spelling."""
    return tuple(base for url in urls if (base := base_of(url)) is not None)


def server_at(url: str, allowed: tuple[str, ...], token: str = "") -> Server | None:
    """The server of that URL where it is, or lies below, one of the allowed bases; else None."""
    base = base_of(url)
    registered = registered_base(base, allowed) if base is not None else None
    return Server(base, token or None, registered) if base is not None and registered is not None else None


def may_be_called(base: str, allowed: tuple[str, ...]) -> bool:
    """True when `base` is one of the allowed bases or lies in a folder below one."""
    return registered_base(base, allowed) is not None


def page_url(base: str, asked: str, link: object) -> str | None:
    """The URL of a paging link on the same base; None when it leads anywhere else.

    It is followed where it is the base itself with a query (HAPI's form) or lies under it. A relative link is taken
    from the page that was asked for.
    """
    if not isinstance(link, str) or not link or len(link) > 16_000 or "#" in link or not link.isascii():
        return None
    try:
        whole = urljoin(asked, link)
    except ValueError:
        return None
    path, mark, query = whole.partition("?")
    clean = base_of(path)
    if clean is None or not (clean == base or clean.startswith(base + "/")) or re.search(r"[\x00-\x20\x7f\\]", query):
        return None
    return f"{clean}{mark}{query}"
