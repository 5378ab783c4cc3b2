"""The form in a frame of an EHR's page, which is another site's to the browser.

A browser may keep no cookie there, or only one for that page (`Partitioned`, CHIPS): it is asked before the EHR is.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Response, redirect, request

PROBE = "kept"
_PATH = "/smart/launch"


def is_framed() -> bool:
    """True when the page at hand goes into a frame (Fetch Metadata); browsers before 2023 do not say."""
    return request.headers.get("Sec-Fetch-Dest", "") in ("iframe", "frame")


def asked_already() -> bool:
    """True when this launch comes back from `ask`."""
    return PROBE in request.args


def keeps_cookies() -> bool:
    """True when the browser has brought back what `ask` gave it."""
    return PROBE in request.cookies


def ask(iss: str, launch: str, secure: bool) -> Response:
    """The same launch again, with a cookie on the way."""
    response: Any = redirect(f"{_PATH}?{urlencode({'iss': iss, 'launch': launch, PROBE: '1'})}")
    same_site = "None" if secure else "Lax"
    response.set_cookie(
        PROBE, "1", max_age=60, path=_PATH, secure=secure, httponly=True, samesite=same_site, partitioned=secure
    )
    return response  # type: ignore[no-any-return]


def own_window(iss: str, launch: str) -> str:
    """Where the same launch goes on in a window of its own."""
    return f"{_PATH}?{urlencode({'iss': iss, 'launch': launch})}"


def ancestors(iss: str, others: Iterable[str]) -> str:
    """Who may frame a page of this EHR (CSP `frame-ancestors`); nobody where there is no EHR."""
    if not iss:
        return "'none'"
    parts = urlsplit(iss)
    return " ".join(("'self'", f"{parts.scheme}://{parts.netloc}", *others))
