"""What the form sends to an EHR: discovery, the exchange of a code for a token, and resources to keep.

Knows HTTP and its limits. Follows no redirect, repeats nothing, and is done in time whatever the server does.
"""

import threading
from typing import Any

import msgspec
import requests
import urllib3
from msgspec import Struct

from fhir_mappings.connections import EndableAdapter, Use
from fhir_mappings.references import Json
from fhir_mappings.servers import Server
from hooks.wire import encode

FHIR_JSON = "application/fhir+json"
_LARGEST_ANSWER = 8_000_000  # beside what was written, which comes back with it
_CONNECT_S = 3.0
_decode = msgspec.json.Decoder().decode


class AwayError(Exception):
    """The EHR gave no usable answer. The message is for a log: it holds nothing that was sent."""


class Answer(Struct, frozen=True):
    """What came back; `body` is empty where it was no JSON object."""

    status: int
    body: Json
    location: str = ""


class EhrClient:
    """Calls EHRs. One for each process."""

    def __init__(self, seconds: float = 8.0, verify: bool | str = True) -> None:
        self._seconds, self._verify = seconds, verify
        self._adapter = EndableAdapter(pool_connections=8, pool_maxsize=16)

    def read(self, url: str) -> Answer:
        """The JSON at `url`. Raises AwayError."""
        return self._call("GET", url, {"Accept": "application/json"})

    def post_form(self, url: str, fields: dict[str, str]) -> Answer:
        """The answer to a posted form. Raises AwayError."""
        return self._call("POST", url, {"Accept": "application/json"}, fields)

    def write(self, server: Server, resource: Json) -> Answer:
        """The answer to a create, or to an update where the resource has an id. Raises AwayError."""
        method, url = "POST", f"{server.base}/{resource['resourceType']}"
        if "id" in resource:
            method, url = "PUT", f"{url}/{resource['id']}"
        headers = {"Accept": FHIR_JSON, "Content-Type": FHIR_JSON, "Prefer": "return=representation"}
        if server.token:
            headers["Authorization"] = f"Bearer {server.token}"
        return self._call(method, url, headers, encode(resource))

    def _call(self, method: str, url: str, headers: dict[str, str], body: Any = None) -> Answer:
        request = requests.Request(method, url, headers={**headers, "Accept-Encoding": "identity"}, data=body).prepare()
        use = Use()
        alarm = threading.Timer(self._seconds, use.end)
        alarm.daemon = True
        alarm.start()
        try:
            with use:
                # The adapter itself: a Session has a jar of cookies for all, and looks for passwords in ~/.netrc.
                response = self._adapter.send(
                    request, stream=True, timeout=(_CONNECT_S, self._seconds), verify=self._verify
                )
                try:
                    return _answer(response, _LARGEST_ANSWER + int(request.headers.get("Content-Length", 0)))
                finally:
                    response.close()
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise AwayError(type(error).__name__) from None
        finally:
            alarm.cancel()


def _answer(response: requests.Response, largest: int) -> Answer:
    body = response.raw.read(largest + 1, decode_content=False)
    if len(body) > largest:
        raise AwayError("too large")
    try:
        found = _decode(body) if body else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = {}
    location = response.headers.get("Location", "")
    return Answer(response.status_code, found if isinstance(found, dict) else {}, location)
