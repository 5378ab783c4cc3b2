"""kubernetes.yaml keeps the rules, and each rule is seen to be broken."""

import pytest
import yaml
from compose_rules import FOLDER
from flask import Flask
from kubernetes_rules import complaints

EXAMPLE = (FOLDER / "kubernetes.yaml").read_text(encoding="utf-8")
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
NAME = "app.kubernetes.io/name: drug-coverage-cds"
LEDGER = "valueFrom: {secretKeyRef: {name: drug-coverage-cds, key: ledger-keys}}"
SPOILT = [
    (f"  selector: {{{NAME}}}", "  selector: {app.kubernetes.io/name: cds}", "Service: selects no pod"),
    (
        f"minAvailable: 1\n  selector:\n    matchLabels: {{{NAME}}}",
        "minAvailable: 1\n  selector:\n    matchLabels: {a: b}",
        "PodDisruptionBudget: selects no pod",
    ),
    (f"      labels: {{{NAME}}}", "      labels: {app: cds}", "Deployment: selects no pod"),
    ("replicas: 2", "replicas: 1", "fewer than two instances"),
    ("minAvailable: 1", "minAvailable: 2", "the budget leaves no room, or no instance"),
    ("maxUnavailable: 0", "maxUnavailable: 1", "an upgrade takes an instance away first"),
    ("cds:0.1.0", "cds:latest", "not pinned: registry.example/drug-coverage-cds:latest"),
    ("cds:0.1.0", "cds:0.2.0", "another version than the project's"),
    ("runAsUser: 10001", "runAsUser: 1000", "another user than the image's"),
    ("runAsNonRoot: true", "runAsNonRoot: false", "another user than the image's"),
    ("fsGroup: 10001", "fsGroup: 1", "another user than the image's"),
    ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "not shut"),
    ("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "not shut"),
    ("drop: [ALL]", "drop: [KILL]", "not shut"),
    ("enableServiceLinks: false", "enableServiceLinks: true", "the cluster's own names or token come in"),
    ("PeriodSeconds: 30", "PeriodSeconds: 15", "stopped before it is done"),
    ("CDS_REDIS_URL", "CDS_REDIS", "CDS_REDIS is not a setting; did you mean CDS_REDIS_URL?"),
    ("CDS_REDIS_URL", "CDS_REDIS", "not set: CDS_REDIS_URL"),
    (LEDGER, "value: key", "not from the Secret: CDS_LEDGER_KEYS"),
    ("{name: data, mountPath", "{name: datum, mountPath", "no volume: datum"),
    ("{name: data, mountPath", "{name: datum, mountPath", "not mounted: data"),
    ("mountPath: /data", "mountPath: /var/data", "nowhere to write: /data"),
    ("mountPath: /tmp", "mountPath: /var/tmp", "nowhere to write: /tmp"),
    ("secretName: drug-coverage-cds", "secretName: cds", "more than one Secret"),
    ("path: clients.json", "path: client.json", "no file: /etc/cds/clients.json"),
    ("/health/live", "/healthz", "livenessProbe asks for /healthz"),
    ("{path: /health/live, port: http}", "{path: /health/live, port: web}", "readinessProbe: no port: web"),
    ("/health/live", "/health/ready", "a database that is away stops guidance"),
    ("/health/ready", "/health/live", "a database that is away stops guidance"),
    ("containerPort: 8080", "containerPort: 80", "another port than the image's"),
    ("targetPort: http", "targetPort: web", "no port: web"),
]


@pytest.fixture(scope="module")
def served(app: Flask) -> set[str]:
    """The paths of the service."""
    return {rule.rule for rule in app.url_map.iter_rules()}


def test_the_example_keeps_the_rules(served: set[str]) -> None:
    """Labels, ports, probes, user, volumes and settings fit each other and the image."""
    assert list(complaints(EXAMPLE, DOCKERFILE, served)) == []


@pytest.mark.parametrize(("right", "wrong", "complaint"), SPOILT)
def test_a_rule_that_is_broken_is_seen(right: str, wrong: str, complaint: str, served: set[str]) -> None:
    """One change of the file, and the complaint about it."""
    assert right in EXAMPLE
    assert complaint in list(complaints(EXAMPLE.replace(right, wrong), DOCKERFILE, served))


def test_metrics_are_scraped_where_they_are(served: set[str]) -> None:
    """The annotations name the port and the path."""
    deployment = next(yaml.safe_load_all(EXAMPLE))["spec"]["template"]
    notes = deployment["metadata"]["annotations"]
    assert notes["prometheus.io/path"] in served
    assert notes["prometheus.io/port"] == str(deployment["spec"]["containers"][0]["ports"][0]["containerPort"])
