"""compose.yaml, kubernetes.yaml and the proxy's template, read and not run."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from recipe import DOCKER, instructions, stages

from cds_service.settings import Settings, read_settings

KNOWN = {f"CDS_{name.upper()}" for name in Settings.model_fields}
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
PARTS: dict[str, dict[str, Any]] = COMPOSE["services"]
INSTANCES = [PARTS["service-a"], PARTS["service-b"]]
MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all((DOCKER / "kubernetes.yaml").read_text()))
GIVEN = {  # what docs/operations.md says to set
    "CDS_PUBLIC_URL": "https://cds.example",
    "POSTGRES_PASSWORD": "secret",
    "CDS_LEDGER_KEYS": "",
    "CDS_CLIENTS_FILE": "/etc/clients.json",
    "CDS_TLS_CERTIFICATE_FILE": "/etc/tls.crt",
    "CDS_TLS_KEY_FILE": "/etc/tls.key",
}


def images() -> Iterator[str]:
    """Every image that is named."""
    yield from (part["image"] for part in PARTS.values())
    yield from (container["image"] for container in pod()["containers"])


def pod() -> dict[str, Any]:
    """The pod of the Deployment."""
    (deployment,) = [one for one in MANIFESTS if one["kind"] == "Deployment"]
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return found


def filled(text: str) -> str:
    """The value with compose's variables filled in."""
    return re.sub(r"\$\{(\w+)(?::([-?])([^}]*))?\}", lambda m: GIVEN.get(m[1], m[3] if m[2] == "-" else ""), text)


@pytest.mark.parametrize("image", sorted(set(images())))
def test_every_image_is_named_by_version(image: str) -> None:
    """None is `latest`, spelled out or by silence."""
    assert re.search(r":v?\d+\.\d+[\w.-]*$", image)


def test_every_cds_name_is_a_setting() -> None:
    """In the environment of both instances and of the pods."""
    for part in INSTANCES:
        assert set(part["environment"]) <= KNOWN
    (container,) = pod()["containers"]
    assert {one["name"] for one in container["env"]} <= KNOWN


def test_what_compose_sets_can_be_used() -> None:
    """The settings as compose fills them in are taken, but for the files that are mounted."""
    for part in INSTANCES:
        environment = {name: filled(str(value)) for name, value in part["environment"].items()}
        del environment["CDS_TRUSTED_CLIENTS"]
        settings = read_settings(environment)
        assert settings.auth == "required"
        assert settings.database_url == "postgresql://cds:secret@postgres:5432/cds"


def test_what_has_no_default_is_asked_for() -> None:
    """Every variable of compose.yaml has a default or ends the start with what it is; the latter are documented."""
    text = (DOCKER / "compose.yaml").read_text()
    asked = set(re.findall(r"\$\{(\w+):\?", text))
    assert asked == set(GIVEN)
    assert set(re.findall(r"\$\{(\w+)", text)) - asked == set(re.findall(r"\$\{(\w+):-", text))
    told = (DOCKER.parent / "docs" / "operations.md").read_text()
    assert [name for name in asked if name not in told] == []


def test_the_proxy_gets_every_variable_of_its_template() -> None:
    """And no other: what is left unset stands in the configuration as it is written."""
    template = (DOCKER / "nginx.conf.template").read_text()
    given = {name for name in PARTS["proxy"]["environment"] if name.startswith("CDS_")}
    assert set(re.findall(r"\$\{(\w+)\}", template)) == given
    listens = PARTS["proxy"]["environment"]["CDS_TLS_LISTEN"]
    assert PARTS["proxy"]["ports"] == [f"443:{listens}"]


@pytest.mark.parametrize("name", ["service-a", "service-b", "proxy"])
def test_our_containers_can_do_little(name: str) -> None:
    """Read-only, no capability, no new privileges, and nothing else from the host than what is read."""
    part = PARTS[name]
    assert part["read_only"] is True
    assert part["cap_drop"] == ["ALL"]
    assert part["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in part["tmpfs"]  # noqa: S108
    assert all(volume.startswith("data-") or volume.endswith(":ro") for volume in part["volumes"])


def test_the_data_stores_are_reached_from_inside_alone() -> None:
    """They publish no port, and their network has no way out."""
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    for name in ("postgres", "redis"):
        assert PARTS[name]["networks"] == ["inside"]
        assert "ports" not in PARTS[name]


def test_redis_forgets_no_token() -> None:
    """It evicts nothing, and has what it noted after a restart."""
    command = " ".join(PARTS["redis"]["command"])
    assert "--maxmemory-policy noeviction" in command
    assert "--appendonly yes" in command


def test_each_instance_has_a_data_folder_of_its_own() -> None:
    """At the place where the image keeps it."""
    last = stages(instructions(DOCKER / "Dockerfile"))[-1]
    (volume,) = [step.value for step in last if step.name == "VOLUME"]
    folders = [entry for part in INSTANCES for entry in part["volumes"] if entry.endswith(f":{volume}")]
    assert len(set(folders)) == 2
    (container,) = pod()["containers"]
    assert volume in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_whoever_stops_it_waits_long_enough() -> None:
    """It may take 15 s to complete what is under way."""
    assert all(part["stop_grace_period"] == "20s" for part in INSTANCES)
    assert pod()["terminationGracePeriodSeconds"] >= 15 + 5


def test_the_pod_can_do_little() -> None:
    """As the image's user, read-only, no capability, no token of the cluster."""
    (container,) = pod()["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    last = stages(instructions(DOCKER / "Dockerfile"))[-1]
    (user,) = [step.value for step in last if step.name == "USER"]
    context = pod()["securityContext"]
    assert (context["runAsNonRoot"], f"{context['runAsUser']}:{context['runAsGroup']}") == (True, user)
    assert pod()["automountServiceAccountToken"] is False


def test_the_manifests_name_each_other_rightly() -> None:
    """Selectors match the pods' labels, mounts name volumes, probes and the Service name the port."""
    by_kind = {one["kind"]: one for one in MANIFESTS}
    spec = by_kind["Deployment"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == labels == by_kind["Service"]["spec"]["selector"]
    assert by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    (container,) = pod()["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod()["volumes"]}
    ports = {port["name"] for port in container["ports"]}
    assert {container[f"{kind}Probe"]["httpGet"]["port"] for kind in ("startup", "liveness", "readiness")} <= ports
    assert {port["targetPort"] for port in by_kind["Service"]["spec"]["ports"]} <= ports
    for one in container["env"]:
        source = one["valueFrom"]
        if "configMapKeyRef" in source:
            assert source["configMapKeyRef"]["key"] in by_kind["ConfigMap"]["data"]


@pytest.mark.skipif(
    shutil.which("docker-compose") is None, reason="needs docker-compose; make test-cluster installs it"
)
def test_docker_compose_takes_it() -> None:
    """`docker-compose config`, which needs no engine, and which refuses it when something is not set."""
    command = [shutil.which("docker-compose") or "", "--file", str(DOCKER / "compose.yaml"), "config", "--quiet"]
    environment = {"PATH": os.environ["PATH"], **GIVEN, "CDS_LEDGER_KEYS": "x"}
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0  # noqa: S603
    del environment["CDS_PUBLIC_URL"]
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert refused.returncode != 0
    assert "CDS_PUBLIC_URL" in refused.stderr
