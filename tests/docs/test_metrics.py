"""docs/metrics.md says of every element of a call's record what it is."""

import json
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from signing import Ehr

from cds_service.app import create_app
from cds_service.settings import Settings

DOCUMENT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def members(value: Any) -> Iterator[str]:
    """The names of all members, at whatever depth."""
    for one in value if isinstance(value, list) else [value] if isinstance(value, dict) else []:
        if isinstance(one, dict):
            yield from one
            for inner in one.values():
                yield from members(inner)


def test_every_element_has_its_place(
    settings: Settings, ehr: Ehr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an answered call and of a refused one."""
    written = StringIO()
    monkeypatch.setattr("cds_service.log.sys", SimpleNamespace(stderr=written))
    caller = Ehr(create_app(settings.model_copy(update={"data_dir": tmp_path})).test_client(), {})
    caller.sign("demo-labs-missing")
    caller.post({})
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    records = [line["metric"] for line in lines if line["event"] == "call"]
    assert len(records) == 2
    named = {part for found in re.findall(r"`([A-Za-z.]+)`", DOCUMENT) for part in found.split(".")}
    told = {"count", "prefetch", "reference", "adaptive"}  # in the words of their element's row
    assert set(members(records)) - told <= named
