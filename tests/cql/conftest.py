"""What DTR clients find in a chart, by running the served ELM, beside what this service finds in the same chart."""

import base64
import json
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace
from signing import BODY, PUBLIC, TODAY, whole_record

from cds_service.dtr.forms import Form, Forms
from elm import node
from fhir_mappings.asked import Asked
from fhir_mappings.chart import chart_of, collect
from fhir_mappings.needs import facts_for, needs_of
from hooks.service import Service
from hooks.wire import encode

Json = dict[str, Any]
Answers = dict[str, Any]  # linkId → value; a choice by its code, a quantity as (number, unit)
Chart = tuple[str, list[Json], Json]  # patient id, record, order


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks these tests, and leaves them out where the tools are not installed."""
    for item in items:
        if "tests/cql/" in str(item.path):
            item.add_marker(pytest.mark.cql)
            if not node.installed():
                item.add_marker(pytest.mark.skip(reason="run by `make test-cql`, which installs what is needed"))


@pytest.fixture(scope="session")
def forms(service: Service) -> dict[str, Form]:
    """The form of each drug."""
    return {
        form.policy.source.drug: form for form in Forms(service.library, service.vocabulary.labs, PUBLIC, BODY).every()
    }


@pytest.fixture(scope="session")
def theirs(forms: dict[str, Form]) -> Callable[..., dict[str, Answers]]:
    """A function: what a DTR client fills in for each patient of these charts, by patient id."""

    def run(drug: str, charts: Iterable[Chart], day: date = TODAY) -> dict[str, Answers]:
        filled = forms[drug].filled_in_by
        assert filled is not None
        content = {one["contentType"]: one["data"] for one in filled.resource["content"]}
        elm = json.loads(_decoded(content["application/elm+json"]))
        bundles = [
            {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in record]}
            for _, record, _ in charts
        ]
        given = encode({"elm": elm, "day": day.isoformat(), "bundles": bundles}).decode()
        found = json.loads(node.executed(given))
        return {
            patient: {
                link: _plain(said[name]) for link, name in filled.statements.items() if said.get(name) is not None
            }
            for patient, said in found.items()
        }

    return run


@pytest.fixture(scope="session")
def ours(service: Service, forms: dict[str, Form]) -> Callable[..., Answers]:
    """A function: what this service fills in from the same chart, earlier forms left aside (DTR spec-125)."""

    def read(drug: str, chart: Chart) -> Answers:
        form, (patient, record, order) = forms[drug], chart
        asked = Asked(patient_id=patient, orders=(order,), day=TODAY, drafts=(order,), prefetch=whole_record(record))
        needs = needs_of([form.policy], asked)
        found = chart_of(collect(needs, asked, service.vocabulary), order, needs, asked, service.vocabulary)
        labs = service.vocabulary.labs
        facts = replace(facts_for(form.policy, found, labs), answers={})
        assert form.filled_in_by is not None
        known = form.filling.answers(facts)
        return {
            link: _plain(next(iter(value.values())))
            for link, value in known.items()
            if link in form.filled_in_by.statements
        }

    return read


def _plain(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "value" in value:
        unit = value.get("code", value["unit"])
        number = round(float(value["value"]), 6)
        return (value["comparator"], number, unit) if "comparator" in value else (number, unit)
    return value["code"]


def _decoded(data: str) -> str:
    return base64.b64decode(data).decode()
