"""The floor: what any service pays that parses the same body on the same server and answers with as many bytes.

`python -m bench.floor PORT FOLDER` serves it: the service's own server, workers and collector settings around a minimal
application. `POST /<size>` decodes the body with every digit kept and answers with a fixed card of that size;
`/checked/<size>` and `/kept/<size>` each do one of the duties too, `/both/<size>` does both.
"""

import sys
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec
from flask import Flask, Response, request

from bench.duties import Duties
from cds_service.server import serve
from cds_service.settings import read_settings
from hooks.wire import encode

HOST = "127.0.0.1"


def create_floor(folder: Path) -> Flask:
    """The minimal application."""
    duties = Duties(folder)
    app = Flask("floor")
    decode = msgspec.json.Decoder(float_hook=Decimal).decode

    @app.post("/<int:size>")
    def call(size: int) -> Response:
        decode(request.get_data())
        return Response(encode(_answer(size)), mimetype="application/json")

    @app.post("/<any(checked, kept, both):which>/<int:size>")
    def careful(which: str, size: int) -> Response:
        read = decode if which == "kept" else duties.read
        read(request.get_data())
        if which != "checked":
            duties.keep()
        return Response(encode(_answer(size)), mimetype="application/json")

    @app.get("/health/live")
    def live() -> Response:
        return Response(b"{}", mimetype="application/json")

    return app


@cache
def _answer(size: int) -> dict[str, Any]:
    card = {"summary": "A fixed card", "indicator": "info", "source": {"label": "Floor"}, "detail": ""}
    bare = len(encode({"cards": [card], "systemActions": []}))
    return {"cards": [{**card, "detail": "x" * max(0, size - bare)}], "systemActions": []}


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    Duties(folder).prepare()
    serve(partial(create_floor, folder), read_settings({}, data_dir=folder), HOST, int(sys.argv[1]))
