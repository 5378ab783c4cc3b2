"""The plan's Questionnaire in LHC-Forms, which several EHRs show forms with; and what our own page costs beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from flask import Response
from serving import Served
from steps import open_chart, open_form, sign

from cds_service.demo.run import demo_app, demo_settings

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

HERE = Path(__file__).parent
SCRIPTS = ["assets/lib/zone.min.js", "runtime.js", "polyfills.js", "main.js"]
PATHS = [f"/lforms/webcomponent/{name}" for name in SCRIPTS] + ["/lforms/fhir/R4/lformsFHIR.min.js", "/lhc_forms.js"]
PAGE = (
    '<!doctype html><html lang="en"><title>Form</title><link rel="stylesheet" href="/lforms/webcomponent/styles.css">'
    '<main><h1>Form</h1><div id="form"></div></main>' + "".join(f'<script src="{path}"></script>' for path in PATHS)
)
OPEN = "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'"
FIRST_INPUT = """
new MutationObserver((_, seeing) => {
  const one = document.querySelector("main input:not([type=hidden]), main textarea");
  if (one && one.getClientRects().length) { window.firstInput = performance.now(); seeing.disconnect(); }
}).observe(document, { childList: true, subtree: true, attributes: true });
"""


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of a demo that also serves LHC-Forms."""
    (package,) = (HERE / "node_modules").glob("lforms-*")
    served = Served()
    app = demo_app(demo_settings(served.port, tmp_path_factory.mktemp("beside")))

    @app.get("/lforms/<path:path>")
    def file(path: str) -> Response:
        kind = "text/css" if path.endswith(".css") else "text/javascript"
        found = package / "dist/lforms" / path
        return Response(found.read_bytes() if found.is_file() else b"", mimetype=kind)

    @app.get("/lhc_forms.js")
    def script() -> Response:
        return Response((HERE / "lhc_forms.js").read_bytes(), mimetype="text/javascript")

    @app.get("/lhc_forms")
    def page() -> Response:
        # LHC-Forms is another's page, with what it needs: the service's own pages allow no script.
        return Response(PAGE, mimetype="text/html", headers={"Content-Security-Policy": OPEN})

    served.app = app
    with served.running():
        yield served.origin


def show(page: Page, origin: str, drug: str, **more: str) -> None:
    """Opens the form of that drug."""
    asked = {"url": f"{origin}/fhir/Questionnaire/pharmacy-109-{drug}", "base": f"{origin}/demo/fhir", **more}
    page.goto(f"{origin}/lhc_forms?{urlencode(asked)}")
    page.wait_for_function("document.title !== 'Form'")
    assert page.title() == "shown"


def written(page: Page) -> dict[str, Any]:
    """linkId → answer of the response that LHC-Forms writes."""
    response = page.evaluate("LForms.Util.getFormFHIRData('QuestionnaireResponse', 'R4')")
    return {item["linkId"]: item["answer"][0] for group in response["item"] for item in group["item"]}


@pytest.mark.parametrize("drug", ["hemgenix", "roctavian"])
def test_our_questionnaire_works_in_lhc_forms(page: Page, beside: str, drug: str) -> None:
    """Every question is shown when it is asked, and answers come back under our linkIds, types, codes and units."""
    show(page, beside, drug)
    questionnaire = page.request.get(f"{beside}/fhir/Questionnaire/pharmacy-109-{drug}").json()
    items = [item for group in questionnaire["item"] for item in group["item"] if item["type"] != "display"]
    always = [item["text"] for item in items if "enableWhen" not in item]
    shown = page.locator("#form").inner_text()
    assert [text for text in always if text not in shown] == []
    assert "Date of the platelet count" not in shown
    page.fill('[id="q.platelets/1/1"]', "198")
    page.keyboard.press("Tab")
    page.get_by_text("Date of the platelet count", exact=True).wait_for()
    page.click('[id="q.inhibitor/1/1"]')
    page.locator("#lhc-tools-searchResults li", has_text="Negative").click()
    page.wait_for_function("document.getElementById('q.inhibitor/1/1').value === 'Negative'")
    page.keyboard.press("Tab")
    response = "LForms.Util.getFormFHIRData('QuestionnaireResponse', 'R4')"
    page.wait_for_function(f"JSON.stringify({response}).includes('q.inhibitor')")
    answers = written(page)
    assert answers["q.platelets"]["valueQuantity"] == {
        "value": 198,
        "unit": "10*9/L",
        "code": "10*9/L",
        "system": "http://unitsofmeasure.org",
    }
    assert answers["q.inhibitor"]["valueCoding"]["code"] == "negative"


def test_a_population_that_lhc_forms_does_not_run_stops_nothing(page: Page, beside: str) -> None:
    """It knows no CQL: with a chart open, the form is shown and empty, and nothing is an error."""
    said: list[str] = []
    page.on("console", lambda one: said.append(one.text) if one.type == "error" else None)
    show(page, beside, "hemgenix", patient="demo-three-reports")
    assert page.input_value('[id="q.platelets/1/1"]') == ""
    assert [text for text in said if "Failed to load" not in text] == []


def test_our_form_is_there_as_soon_as_lhc_forms(
    new_page: Callable[..., Page], beside: str, findings_of: Callable[[Page], list[str]]
) -> None:
    """Time to the first input, in turn, with empty caches: ours reads a chart, theirs is bare."""
    ours, theirs = [], []
    for _ in range(5):
        page = new_page()
        open_chart(page, beside, "demo-three-reports")
        sign(page)
        page.context.add_init_script(FIRST_INPUT)
        form = open_form(page)
        fresh = new_page(storage_state=page.context.storage_state())
        fresh.add_init_script(FIRST_INPUT)
        fresh.goto(form.url)
        ours.append(fresh.evaluate("firstInput"))
        sizes = "performance.getEntries().reduce((sum, one) => sum + (one.transferSize ?? 0), 0)"
        our_bytes = fresh.evaluate(sizes)
        our_findings = findings_of(fresh)
        bare = new_page()
        bare.add_init_script(FIRST_INPUT)
        show(bare, beside, "hemgenix")
        theirs.append(bare.evaluate("firstInput"))
        their_bytes = bare.evaluate(sizes)
        their_findings = findings_of(bare)
    print(f"first input, ms: ours {sorted(ours)}, LHC-Forms {sorted(theirs)}")
    print(f"bytes: ours {our_bytes}, LHC-Forms {their_bytes}")
    print("axe: ours", our_findings, "LHC-Forms", their_findings)
    assert median(ours) <= 1.5 * median(theirs)
