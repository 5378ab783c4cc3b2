"""A second EHR for the form's tests: its own SMART server over a FHIR store, with switches for what goes wrong."""

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import jwt
import requests
import responses
from flask.testing import FlaskClient
from signing import BASE, PUBLIC
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse

from cds_service.demo import server
from cds_service.demo.store import Store, encode_json
from cds_service.demo.stories import Story
from hooks.wire import decode, encode

Json = dict[str, Any]
Reply = tuple[int, dict[str, str], bytes]

SIGN_IN = "https://ehr.example/sign-in"
PDF = b"%PDF-1.7\n%report\n"
FORM = f"{PUBLIC}/fhir/Questionnaire/pharmacy-109-hemgenix|2025-11-20"


class OtherEhr:
    """The EHR at BASE."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.store = Store()
        self.store.reset([*story.resources, {**story.order}])
        self.context: Json = {
            "assertionId": "ca-1",
            "order": f"MedicationRequest/{story.order['id']}",
            "coverage": f"Coverage/{story.id}-coverage",
            "questionnaire": FORM,
        }
        self.discovery: Json = {"authorization_endpoint": f"{SIGN_IN}/authorize", "token_endpoint": f"{SIGN_IN}/token"}
        self.token: Json = {}  # laid over the token response
        self.challenges: dict[str, str] = {}
        self.nonce = ""
        self.refuses: set[str] = set()  # resource types that it does not take
        self.is_expired = False
        self.asked: list[str] = []
        self.written: list[Json] = []
        self.tokens: set[str] = set()

    def answer(self, request: requests.PreparedRequest) -> Reply:
        """The response to one request."""
        url = urlsplit(str(request.url))
        self.asked.append(f"{request.method} {request.url}")
        if str(request.url) == f"{BASE}/.well-known/smart-configuration":
            return _json(self.discovery)
        if url.path == urlsplit(SIGN_IN).path + "/token":
            return self._exchange(_text(request))
        self.tokens.add(request.headers.get("Authorization", ""))
        if self.is_expired:
            return 401, {}, b""
        path = url.path.removeprefix(urlsplit(BASE).path).strip("/")
        body = _text(request).encode()
        if request.method in ("POST", "PUT"):
            if path.partition("/")[0] in self.refuses:
                return _json({"resourceType": "OperationOutcome", "issue": []}, 403)
            self.written.append(decode(body))
        reply = server.answer(self.store, server.Call(str(request.method), path, url.query, BASE, body))
        return reply.status, {"Content-Type": server.FHIR_JSON, **reply.headers}, encode_json(reply.resource)

    def _exchange(self, body: str) -> Reply:
        given = dict(parse_qsl(body))
        digest = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
        challenge = urlsafe_b64encode(digest).rstrip(b"=").decode()
        if self.challenges.get(given.get("code", "")) != challenge:
            return _json({"error": "invalid_grant"}, 400)
        claims = {"aud": given["client_id"], "nonce": self.nonce, "fhirUser": f"{BASE}/Practitioner/demo-hazel"}
        found = {
            "access_token": "secret-token",
            "token_type": "bearer",
            "expires_in": 3600,
            "patient": self.story.id,
            "appContext": encode(self.context).decode(),
            "id_token": jwt.encode(claims, "k" * 32, algorithm="HS256"),
            **self.token,
        }
        return _json({name: value for name, value in found.items() if value is not None})

    @contextmanager
    def serve(self) -> Iterator["OtherEhr"]:
        """Stands in for the network; a request to anywhere else fails."""
        with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
            for method in (responses.GET, responses.POST, responses.PUT):
                mock.add_callback(method, re.compile(r"https://ehr\.example/.*"), self.answer)
            yield self


def _text(request: requests.PreparedRequest) -> str:
    body = request.body or b""
    return body.decode() if isinstance(body, bytes) else str(body)


def _json(value: Json, status: int = 200) -> Reply:
    return status, {"Content-Type": "application/json"}, encode(value)


class Browser:
    """The prescriber's browser."""

    def __init__(self, client: FlaskClient, ehr: OtherEhr) -> None:
        self.client, self.ehr = client, ehr
        self.page = ""  # path of the form
        self.html = ""

    def get(self, path: str) -> TestResponse:
        """A page of the service."""
        return self.client.get(path, base_url=PUBLIC)

    def launch(self, iss: str = BASE, launch: str = "L1") -> TestResponse:
        """The answer to an EHR launch: a redirect to the EHR's sign-in."""
        return self.client.get("/smart/launch", query_string={"iss": iss, "launch": launch}, base_url=PUBLIC)

    def sign_in(self, away: TestResponse) -> str:
        """Where the EHR sends the browser when the prescriber has signed in."""
        assert away.status_code == 302, away.get_data(as_text=True)
        asked = {name: values[0] for name, values in parse_qs(urlsplit(away.headers["Location"]).query).items()}
        code = f"code-{len(self.ehr.challenges)}"
        self.ehr.challenges[code] = asked["code_challenge"]
        self.ehr.nonce = asked["nonce"]
        return f"/smart/callback?code={code}&state={asked['state']}"

    def open(self) -> str:
        """The form after launch and sign-in, as HTML."""
        back = self.get(self.sign_in(self.launch()))
        assert back.status_code == 303, back.get_data(as_text=True)
        self.page = back.headers["Location"]
        return self.load()

    def load(self) -> str:
        """The form as it is now."""
        response = self.get(self.page)
        self.html = response.get_data(as_text=True)
        assert response.status_code == 200, self.html
        return self.html

    def fields(self) -> dict[str, str]:
        """What the page would send as it stands."""
        return fields_of(self.html)

    def ask(self, changes: Mapping[str, Any]) -> TestResponse:
        """What the plan would say with these changes."""
        return self._posted(f"{self.page}/answer", changes, {})

    def send(
        self, action: str, changes: Mapping[str, Any], files: Mapping[str, tuple[bytes, str]] = {}
    ) -> TestResponse:
        """The answer to the form with these changes; a list is sent as a name that comes twice."""
        return self._posted(self.page, {"action": action, **changes}, files)

    def _posted(self, path: str, changes: Mapping[str, Any], files: Mapping[str, tuple[bytes, str]]) -> TestResponse:
        sent: MultiDict[str, Any] = MultiDict()
        for name, value in {**self.fields(), **changes}.items():
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    sent.add(name, one)
        for name, (data, title) in files.items():
            sent.add(name, (BytesIO(data), title))
        response = self.client.post(path, data=sent, content_type="multipart/form-data", base_url=PUBLIC)
        response.request.environ["wsgi.input"].close()  # a large body lies in a temporary file
        return response


def fields_of(html: str) -> dict[str, str]:
    """The fields of a form page with their values, as a browser without JavaScript would send them."""
    from html import unescape

    found: dict[str, str] = {}
    for tag in re.findall(r"<input\b[^>]*>", html):
        part = {name: unescape(value) for name, value in re.findall(r'([\w-]+)="([^"]*)"', tag)}
        kind, name = part.get("type", "text"), part.get("name", "")
        if not name or kind == "file" or (kind in ("radio", "checkbox") and " checked" not in tag):
            continue
        found[name] = part.get("value", "")
    for name, value in re.findall(r'<textarea\b[^>]*name="([^"]*)"[^>]*>([^<]*)</textarea>', html):
        found[name] = unescape(value)
    return found
