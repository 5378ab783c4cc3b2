"""The dashboard shows metrics that there are, all of them, by labels that they have."""

import json
import re
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from cds_service.metrics import Metrics

DASHBOARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "docs" / "operations" / "grafana.json").read_text(encoding="utf-8")
)
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def counted() -> dict[str, set[str]]:
    """Every series with its labels, after one of everything was counted."""
    metrics = Metrics()
    metrics.call("order-sign", 200, 0.1)
    metrics.answer("PHARMACY-109", "hemgenix", "criteria-met")
    metrics.unread("order-sign", 1)
    metrics.refused("issuer")
    metrics.unrecorded(1)
    metrics.feedback(["accepted"])
    metrics.throttled("client")
    metrics.circuit("https://ehr.example/fhir", is_open=True)
    families = list(text_string_to_metric_families(metrics.text().decode()))
    samples = [sample for family in families for sample in family.samples]
    return {sample.name: set(sample.labels) for sample in samples if not sample.name.endswith("_created")}


def test_every_query_asks_for_what_is_there() -> None:
    """Names of series, and labels in selectors and groups."""
    known = counted()
    for query in QUERIES:
        names = set(re.findall(r"\bcds_\w+", query))
        assert names <= set(known), query
        labels = set().union(*(known[name] for name in names))
        used = set(re.findall(r"(\w+)(?:!?=~?)\"", query))
        for group in re.findall(r"\bby \(([^)]*)\)", query):
            used |= {label.strip() for label in group.split(",")}
        assert used <= labels, query


def test_everything_that_is_counted_is_shown() -> None:
    """No metric is kept that nobody sees."""
    shown = set(re.findall(r"\bcds_\w+", " ".join(QUERIES)))
    families = {re.sub(r"_(bucket|count|sum|total)$", "", name) for name in counted()}
    assert families == {re.sub(r"_(bucket|count|sum|total)$", "", name) for name in shown}


def test_every_outcome_in_a_query_exists() -> None:
    """A word that no answer has would show nothing for ever."""
    from cds_service.policy.reasons import Outcome

    told = set(re.findall(r"outcome=\"([^\"]+)\"", " ".join(QUERIES)))
    assert told <= {outcome.value for outcome in Outcome}
