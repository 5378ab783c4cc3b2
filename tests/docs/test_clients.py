"""The examples of docs/clients.md are what the service takes, and its tables are what the code says."""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from werkzeug.serving import make_server

from cds_service.auth.clients import DIALECTS, parse_trusted_clients
from cds_service.demo.run import demo_app, demo_settings
from hooks.options import OPTIONS
from hooks.registry import HOOKS

DOCUMENT = (Path(__file__).parents[2] / "docs" / "clients.md").read_text(encoding="utf-8")
USUAL = "http://127.0.0.1:8080"
_CURL = re.compile(
    rf"curl -s (?:-X (?P<method>PUT) )?{USUAL}(?P<path>\S+) "
    r"-H 'Content-Type: application/json' -d '(?P<body>[^']+)'\n```"
)
EXAMPLES = [found.groupdict() for found in _CURL.finditer(DOCUMENT)]
CALLS = [example for example in EXAMPLES if example["path"].endswith("-crd")]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo, on another port than the usual one."""
    built: list[Any] = []
    server = make_server("127.0.0.1", 0, lambda environ, start: built[0](environ, start), threaded=True)
    built.append(demo_app(demo_settings(server.server_port, tmp_path_factory.mktemp("demo"))))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def sent(example: dict[str, str], address: str) -> requests.Response:
    """The response to an example as it is written, but for the port."""
    body = example["body"].replace(USUAL, address).encode()
    return requests.request(
        example["method"] or "POST",
        address + example["path"],
        data=body,
        headers={"Content-Type": "application/json"},
        timeout=20,
    )


def test_every_command_is_understood_here() -> None:
    """There is one call of each hook, one order that is put into the record, and one feedback."""
    assert len(EXAMPLES) == DOCUMENT.count("curl ")
    assert [example["path"] for example in CALLS] == [f"/cds-services/{hook.service_id}" for hook in _as_written()]
    assert len(EXAMPLES) == len(HOOKS) + 2


def _as_written() -> list[Any]:
    places = {hook: DOCUMENT.index(f"/cds-services/{hook.service_id} -H") for hook in HOOKS}
    return sorted(places, key=places.__getitem__)


def test_every_example_is_answered(address: str) -> None:
    """In the order of the document; each call gets the answer about the platelet count that is a day too old."""
    for example in EXAMPLES:
        response = sent(example, address)
        assert response.ok, (example["path"], response.text)
        if example in CALLS:
            cards = response.json()["cards"]
            found = [card["extension"]["drug-coverage.determination"] for card in cards if _judges(card)]
            assert [one["outcome"] for one in found] == ["documentation-missing"], example["path"]


def _judges(card: dict[str, Any]) -> bool:
    return "drug-coverage.determination" in card["extension"]


def test_the_registration_is_one() -> None:
    """Each file that is shown is read as it stands."""
    files = re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)
    assert len(files) == 2
    for shown in files:
        (client,) = json.loads(shown)
        assert parse_trusted_clients(shown.encode()).of(client["iss"]) is not None


def test_the_options_and_dialects_are_the_ones_there_are() -> None:
    """Each option has its row with its default, each dialect its column."""
    section = DOCUMENT.partition("| option |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `([a-z-]+)` \|.*\| (\S+) \|$", section, re.MULTILINE)
    assert rows == [(option.code, "on" if option.default is True else str(option.default)) for option in OPTIONS]
    assert "| | " + " | ".join(f"`{dialect}`" for dialect in DIALECTS) + " |" in DOCUMENT


def test_every_picture_is_there() -> None:
    """A link to a picture leads to a file."""
    pictures = re.findall(r"\]\((pictures/[^)]+)\)", DOCUMENT)
    assert pictures
    assert all((Path(__file__).parents[2] / "docs" / picture).is_file() for picture in pictures)
