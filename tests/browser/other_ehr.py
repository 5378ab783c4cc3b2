"""A second EHR, which knows nothing of the demo's: SMART App Launch by its own server, scopes of version 1, a sign-in
that a person agrees to, a token that its FHIR server asks for, and switches for what goes wrong."""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, redirect, request
from serving import Served

from cds_service.app import create_app
from cds_service.demo import server
from cds_service.demo.store import Store, encode_json
from cds_service.demo.stories import Story
from cds_service.settings import read_settings

Json = dict[str, Any]


class OtherEhr:
    """The EHR at `origin`, with one chart, whose order a form is launched from."""

    def __init__(self, origin: str, launch_url: str, story: Story, form: str) -> None:
        self.origin, self.launch_url, self.story = origin, launch_url, story
        self.base = f"{origin}/r4"
        self.store = Store()
        self.store.reset([*story.resources, {**story.order}])
        self.context = encode_json(
            {
                "assertionId": "ca-1",
                "order": f"MedicationRequest/{story.order['id']}",
                "coverage": f"Coverage/{story.id}-coverage",
                "questionnaire": form,
            }
        ).decode()
        self.refuses: set[str] = set()  # resource types that it does not take
        self.tokens: set[str] = set()  # those that it still takes
        self.written: list[Json] = []
        self._codes: dict[str, dict[str, str]] = {}

    def app(self) -> Flask:
        """Its pages and its FHIR server."""
        app = Flask(__name__)

        @app.get("/chart")
        def chart() -> str:
            """The chart as it launches the form: in a tab, or in a frame of its own page."""
            url = escape(f"{self.launch_url}?{urlencode({'iss': self.base, 'launch': 'of-this-chart'})}")
            if "framed" in request.args:
                return _page(f'<iframe title="Form" src="{url}" width="900" height="900"></iframe>')
            return _page(f'<a href="{url}">Open the plan’s form</a>')

        @app.get("/r4/.well-known/smart-configuration")
        def discovery() -> Json:
            return {"authorization_endpoint": f"{self.origin}/login", "token_endpoint": f"{self.origin}/token"}

        @app.get("/login")
        def login() -> str:
            assert request.args["aud"] == self.base
            assert request.args["code_challenge_method"] == "S256"
            fields = "".join(
                f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in request.args.items()
            )
            return _page(f'<form method="post" action="/login">{fields}<button>Allow</button></form>')

        @app.post("/login")
        def agreed() -> Any:
            code = secrets.token_hex(8)
            self._codes[code] = request.form.to_dict()
            asked = {"code": code, "state": request.form["state"]}
            return redirect(f"{request.form['redirect_uri']}?{urlencode(asked)}", 303)

        @app.post("/token")
        def token() -> Any:
            asked = self._codes.pop(request.form["code"], None)
            digest = hashlib.sha256(request.form["code_verifier"].encode()).digest()
            challenge = urlsafe_b64encode(digest).rstrip(b"=").decode()
            if asked is None or asked["code_challenge"] != challenge:
                return {"error": "invalid_grant"}, 400
            given = secrets.token_urlsafe(16)
            self.tokens.add(given)
            found = {"access_token": given, "token_type": "Bearer", "expires_in": 600, "patient": self.story.id}
            return {**found, "appContext": self.context}

        @app.route("/r4/<path:path>", methods=["GET", "POST", "PUT"])
        def fhir(path: str) -> Response:
            if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
                return Response(status=401)
            if request.method != "GET":
                if path.partition("/")[0] in self.refuses:
                    return Response(status=403)
                self.written.append(request.get_json(force=True))
            query = request.query_string.decode("latin-1")
            call = server.Call(request.method, path, query, self.base, request.get_data())
            reply = server.answer(self.store, call)
            return Response(
                encode_json(reply.resource), reply.status, reply.headers, content_type="application/fhir+json"
            )

        return app


@contextmanager
def beside_the_plan(
    story: Callable[[str, str], Story], plan: Served, record: Served, **more: Any
) -> Iterator[OtherEhr]:
    """This EHR, its chart lacking three reports, and the service with these settings that is registered with it."""
    canonical = f"{plan.origin}/fhir/Questionnaire/pharmacy-109-hemgenix|2025-11-20"
    launch = f"{plan.origin}/smart/launch"
    found = OtherEhr(record.origin, launch, story("demo-three-reports", plan.origin), canonical)
    record.app = found.app()
    settings = read_settings(
        {}, public_url=plan.origin, auth="off", fhir_servers=(found.base,), authorization="issue", **more
    )
    plan.app = create_app(settings)
    with plan.running(), record.running():
        yield found


def _page(body: str) -> str:
    return f'<!doctype html><html lang="en"><title>Another record system</title><main><h1>Chart</h1>{body}</main>'
