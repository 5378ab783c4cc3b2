"""Rules for compose.yaml: that it starts what there is, as the image is. Each gives its complaints."""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from dockerfile_rules import PROJECT, ROOT, argument, environment, pinned, port
from sqlalchemy import make_url

from cds_service.settings import unknown_settings

FOLDER = ROOT / "docker"
PRIVATE = "./private/"  # the operator's own files, which are not committed
MUST_SET = ("PUBLIC_URL", "TRUSTED_CLIENTS", "DATABASE_URL", "REDIS_URL", "LEDGER_KEYS", "AUTHORIZATION", "PROXIES")
_VARIABLE = re.compile(r"\$\{(CDS_[A-Z_]+)\}")
Json = dict[str, Any]


def template_variables() -> set[str]:
    """What the proxy's template is filled in from."""
    return set(_VARIABLE.findall((FOLDER / "nginx.conf.template").read_text(encoding="utf-8")))


def complaints(text: str, dockerfile: str) -> Iterator[str]:
    """What is wrong with a compose file, beside the Dockerfile."""
    whole = yaml.safe_load(text)
    services = whole["services"]
    instances = {name: service for name, service in services.items() if "build" in service}
    if len(instances) < 2:
        yield "fewer than two instances"
    for name, service in services.items():
        yield from (f"{name}: {complaint}" for complaint in _of_any(service, whole))
    for name, instance in instances.items():
        yield from (f"{name}: {complaint}" for complaint in _of_an_instance(instance, whole, dockerfile))
    yield from _of_the_data(instances, dockerfile)
    yield from _of_the_proxy(services, instances, port(dockerfile))


def _of_any(service: Json, whole: Json) -> Iterator[str]:
    if not pinned(service["image"]):
        yield f"not pinned: {service['image']}"
    if service.get("privileged") or "no-new-privileges:true" not in service["security_opt"]:
        yield "may gain privileges"
    yield from (f"no service: {name}" for name in service.get("depends_on", []) if name not in whole["services"])
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith("."):
            if not source.startswith(PRIVATE) and not (FOLDER / source).is_file():
                yield f"not there: {source}"
        elif source not in whole["volumes"]:
            yield f"no volume: {source}"
    for name in service.get("secrets", []):
        if not whole["secrets"].get(name, {}).get("file", "").startswith(PRIVATE):
            yield f"no secret: {name}"
    known = {f"/run/secrets/{name}" for name in service.get("secrets", [])}
    for value in service.get("environment", {}).values():
        yield from (f"no file: {path}" for path in re.findall(r"/run/secrets/[\w.]+", value) if path not in known)


def _of_an_instance(service: Json, whole: Json, dockerfile: str) -> Iterator[str]:
    settings = service["environment"]
    yield from unknown_settings(settings)
    yield from (f"not set: CDS_{name}" for name in MUST_SET if f"CDS_{name}" not in settings)
    for name in ("CDS_DATABASE_URL", "CDS_REDIS_URL"):
        url = make_url(re.sub(r"\$\{[^}]*\}", "word", settings.get(name, "none://")))
        if url.host not in whole["services"]:
            yield f"{name}: no service: {url.host}"
    written = service.get("tmpfs")
    if not service.get("read_only") or service.get("cap_drop") != ["ALL"] or written != ["/tmp"]:  # noqa: S108
        yield "not shut"
    if "user" in service:
        yield "another user than the image's"
    if int(service.get("stop_grace_period", "10s").rstrip("s")) <= 15:
        yield "stopped before it is done"
    if service["image"].rpartition(":")[2] != PROJECT["project"]["version"]:
        yield "another version than the project's"
    folder, file = service["build"]["context"], service["build"]["dockerfile"]
    if (FOLDER / folder).resolve() != ROOT or (ROOT / file).read_text(encoding="utf-8") != dockerfile:
        yield "another Dockerfile"
    mounted = [volume.split(":")[1] for volume in service["volumes"]]
    if set(mounted) != {environment(dockerfile)["CDS_DATA_DIR"]}:
        yield f"mounts {mounted}"
    if argument(dockerfile, "VOLUME") not in mounted:
        yield "its data is lost with it"


def _of_the_data(instances: Json, dockerfile: str) -> Iterator[str]:
    folder = f":{argument(dockerfile, 'VOLUME')}"
    kept = [volume for one in instances.values() for volume in one["volumes"] if volume.endswith(folder)]
    if len(set(kept)) < len(instances):
        yield "two instances in one data folder"


def _of_the_proxy(services: Json, instances: Json, inside: int | None) -> Iterator[str]:
    given = services["proxy"]["environment"]
    if set(given) != template_variables():
        yield f"the template's variables differ: {sorted(set(given) ^ template_variables())}"
    ends = {given.get("CDS_INSTANCE_A"), given.get("CDS_INSTANCE_B")}
    if ends != {f"{name}:{inside}" for name in instances}:
        yield f"the proxy calls {sorted(map(str, ends))}"
    if [published.split(":") for published in services["proxy"]["ports"]] != [["443", given.get("CDS_TLS_LISTEN")]]:
        yield "the proxy is not what port 443 leads to"
    if not any(
        volume.endswith("/etc/nginx/templates/default.conf.template:ro") for volume in services["proxy"]["volumes"]
    ):
        yield "the template is not where the image looks for it"
    yield from (f"{name}: reached without TLS" for name, one in services.items() if "ports" in one and name != "proxy")
