"""One design for all pages: colours and sizes of type stand in design.css, and every page is given it first."""

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

import cds_service

ROOT = Path(cds_service.__file__).parent
DESIGN = (ROOT / "pages/static/design.css").read_text()
OTHERS = [path for path in sorted(ROOT.rglob("*.css")) if path.name != "design.css"]


@pytest.mark.parametrize("sheet", OTHERS, ids=lambda path: path.name)
def test_a_page_s_own_sheet_has_no_colours_and_sizes_of_type_of_its_own(sheet: Path) -> None:
    """They are names of the design's, each of which there is."""
    text = sheet.read_text()
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b|\b(?:rgb|hsl)a?\(", text) == []
    assert [size for size in re.findall(r"font-size:\s*([^;}]+)", text) if not size.startswith("var(--")] == []
    assert set(re.findall(r"var\((--[a-z-]+)\)", text)) <= set(re.findall(r"(--[a-z-]+):", DESIGN))
    assert re.findall(r"(--[a-z-]+):", text) == []


def test_no_name_of_the_design_is_unused() -> None:
    """What nothing needs is taken out."""
    everything = DESIGN + "".join(path.read_text() for path in OTHERS)
    assert [name for name in re.findall(r"(--[a-z-]+):", DESIGN) if f"var({name})" not in everything] == []


@pytest.mark.parametrize(
    "path", ["/policies", "/policies/pharmacy-109/hemgenix", "/policies/pharmacy-109/no", "/smart/form"]
)
def test_each_page_has_the_design_before_its_own_sheet(client: FlaskClient, path: str) -> None:
    """Pages for people and for what goes wrong."""
    sheets = re.findall(r'rel="stylesheet" href="([^"]+)"', client.get(path, headers={"Accept": "text/html"}).text)
    assert sheets[0] == "/pages/design.css"
    assert len(sheets) == 2
    for sheet in sheets:
        with client.get(sheet) as answer:
            assert answer.status_code == 200
