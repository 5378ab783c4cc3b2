"""The order-entry page in a real browser: sign, accept, add a result, sign again, reset."""

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [pytest.mark.browser, pytest.mark.skipif(BROWSER is None, reason="no browser on this machine")]


@pytest.fixture
def seen(origin: str, tmp_path: Path) -> dict[str, Any]:
    """What page_checks.js saw."""
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    options += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path}"]
    command = [str(BROWSER), *options, "--virtual-time-budget=30000", "--dump-dom", f"{origin}/check/page_checks"]
    dumped = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)  # noqa: S603 - fixed command
    found = re.search(r'<pre id="seen">([^<]+)</pre>', dumped.stdout)
    assert found, dumped.stderr[-2000:]
    result: dict[str, Any] = json.loads(base64.b64decode(found[1]))
    return result


def test_the_whole_story_is_played_in_a_browser(seen: dict[str, Any], calls: list[dict[str, Any]]) -> None:
    """A prescriber signs, orders the missing test, adds its result, signs again and sees another answer."""
    assert "error" not in seen, seen["error"]
    assert seen["patient"] == "Cedar Example"
    assert seen["firstCard"] == "A platelet count is missing"
    assert "Covered by the plan" in seen["written"]
    assert "active" in seen["orders"]
    assert seen["secondCard"] == "All criteria are met"
    assert seen["unreadable"] == "This part of the chart could not be loaded."
    assert seen["afterReset"] in ("", "No tests ordered.")

    first, feedback, second = calls
    assert (first["hook"], first["context"]["patientId"]) == ("order-sign", "demo-one-day-late")
    assert first["fhirServer"].endswith("/demo/fhir")
    assert first["context"]["userId"] == "Practitioner/demo-hazel"
    assert set(first["prefetch"]) == {"patient", "results"}  # what it cannot fill in, it does not send
    assert feedback["feedback"][0]["acceptedSuggestions"] == [{"id": "s1"}]
    assert second["hookInstance"] != first["hookInstance"]
    assert second["context"]["draftOrders"]["entry"][0]["resource"]["extension"]

    assert seen["markdown"] == {
        "heading": "Title",
        "bold": "bold",
        "nested": "inner",
        "cells": ["1", "x | y"],
        "images": 0,
        "links": ["https://example.org/"],
    }
    assert seen["cardImages"] == 0
    assert "PA-1" in seen["coverage"]
    assert "24 May 2027" in seen["coverage"]
