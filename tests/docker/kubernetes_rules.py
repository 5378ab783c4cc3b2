"""Rules for kubernetes.yaml: that its parts fit each other and the image. Each gives its complaints."""

from collections.abc import Iterator, Set
from typing import Any

import yaml
from compose_rules import MUST_SET
from dockerfile_rules import PROJECT, argument, environment, pinned, port

from cds_service.settings import unknown_settings

Json = dict[str, Any]


def complaints(text: str, dockerfile: str, served: Set[str]) -> Iterator[str]:
    """What is wrong with a Kubernetes example, beside the Dockerfile and for a service with these paths."""
    parts = {part["kind"]: part for part in yaml.safe_load_all(text)}
    deployment = parts["Deployment"]["spec"]
    yield from _of_the_labels(parts, deployment)
    yield from _of_the_copies(parts, deployment)
    pod = deployment["template"]["spec"]
    yield from _of_the_pod(pod, dockerfile)
    container = pod["containers"][0]
    yield from _of_the_settings(container)
    yield from _of_the_volumes(pod, container, dockerfile)
    yield from _of_the_probes(container, served)
    if container["ports"] != [{"name": "http", "containerPort": port(dockerfile)}]:
        yield "another port than the image's"
    names = {one["name"] for one in container["ports"]}
    yield from (
        f"no port: {one['targetPort']}" for one in parts["Service"]["spec"]["ports"] if one["targetPort"] not in names
    )


def _of_the_labels(parts: Json, deployment: Json) -> Iterator[str]:
    labels = deployment["template"]["metadata"]["labels"].items()
    selectors = {
        "Deployment": deployment["selector"]["matchLabels"],
        "Service": parts["Service"]["spec"]["selector"],
        "PodDisruptionBudget": parts["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        "spread": deployment["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    }
    yield from (f"{name}: selects no pod" for name, wanted in selectors.items() if not wanted.items() <= labels)


def _of_the_copies(parts: Json, deployment: Json) -> Iterator[str]:
    if deployment["replicas"] < 2:
        yield "fewer than two instances"
    if not 0 < parts["PodDisruptionBudget"]["spec"]["minAvailable"] < deployment["replicas"]:
        yield "the budget leaves no room, or no instance"
    if deployment["strategy"]["rollingUpdate"]["maxUnavailable"] != 0:
        yield "an upgrade takes an instance away first"


def _of_the_pod(pod: Json, dockerfile: str) -> Iterator[str]:
    container = pod["containers"][0]
    if not pinned(container["image"]):
        yield f"not pinned: {container['image']}"
    if container["image"].rpartition(":")[2] != PROJECT["project"]["version"]:
        yield "another version than the project's"
    security, inner = pod["securityContext"], container["securityContext"]
    user = f"{security['runAsUser']}:{security['runAsGroup']}"
    if (
        not security["runAsNonRoot"]
        or user != argument(dockerfile, "USER")
        or security["fsGroup"] != security["runAsGroup"]
    ):
        yield "another user than the image's"
    shut = inner["readOnlyRootFilesystem"] and not inner["allowPrivilegeEscalation"]
    if not shut or inner["capabilities"] != {"drop": ["ALL"]}:
        yield "not shut"
    if pod["enableServiceLinks"] or pod["automountServiceAccountToken"]:
        yield "the cluster's own names or token come in"
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    if pod["terminationGracePeriodSeconds"] < pause + 15:
        yield "stopped before it is done"


def _of_the_settings(container: Json) -> Iterator[str]:
    given = {one["name"]: one for one in container["env"]}
    yield from unknown_settings(given)
    yield from (f"not set: CDS_{name}" for name in MUST_SET if f"CDS_{name}" not in given)
    for name in ("CDS_DATABASE_URL", "CDS_REDIS_URL", "CDS_LEDGER_KEYS"):
        if "valueFrom" not in given.get(name, {}):
            yield f"not from the Secret: {name}"


def _of_the_volumes(pod: Json, container: Json, dockerfile: str) -> Iterator[str]:
    there = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    yield from (f"no volume: {name}" for name in mounts.values() if name not in there)
    yield from (f"not mounted: {name}" for name in there if name not in mounts.values())
    written = (environment(dockerfile)["CDS_DATA_DIR"], "/tmp")  # noqa: S108
    yield from (f"nowhere to write: {path}" for path in written if path not in mounts)
    secret = there["clients"]["secret"]
    references = [one["valueFrom"]["secretKeyRef"]["name"] for one in container["env"] if "valueFrom" in one]
    if {secret["secretName"], *references} != {secret["secretName"]}:
        yield "more than one Secret"
    files = {f"/etc/cds/{item['path']}" for item in secret["items"]} if mounts.get("/etc/cds") == "clients" else set()
    yield from (
        f"no file: {one['value']}"
        for one in container["env"]
        if one["name"] == "CDS_TRUSTED_CLIENTS" and one["value"] not in files
    )


def _of_the_probes(container: Json, served: Set[str]) -> Iterator[str]:
    names = {one["name"] for one in container["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        if asked["path"] not in served:
            yield f"{probe} asks for {asked['path']}"
        if asked["port"] not in names:
            yield f"{probe}: no port: {asked['port']}"
    # With the ledger away the service still gives guidance: nothing may stop it, or take it out, for that.
    lasting = {container[probe]["httpGet"]["path"] for probe in ("readinessProbe", "livenessProbe")}
    if lasting != {"/health/live"} or container["startupProbe"]["httpGet"]["path"] != "/health/ready":
        yield "a database that is away stops guidance"
