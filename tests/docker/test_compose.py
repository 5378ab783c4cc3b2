"""compose.yaml keeps the rules, and each rule is seen to be broken."""

import pytest
import yaml
from compose_rules import FOLDER, complaints

COMPOSE = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
VOLUMES = 'volumes: ["data-b:/data"]'
SPOILT = [
    ("image: redis:8.6.3", "image: redis:latest", "redis: not pinned: redis:latest"),
    ("image: nginx:1.28.0", "image: nginx", "proxy: not pinned: nginx"),
    ('["no-new-privileges:true"]\n  stop', "[]\n  stop", "cds-a: may gain privileges"),
    ("[postgres, redis]", "[postgresql, redis]", "cds-b: no service: postgresql"),
    ('["redis:/data"]', '["redis-data:/data"]', "redis: no volume: redis-data"),
    ("./nginx.conf.template", "./nginx.template", "proxy: not there: ./nginx.template"),
    ("secrets: [clients.json, tls.crt]", "secrets: [client.json]", "cds-a: no secret: client.json"),
    ("secrets: [clients.json, tls.crt]", "secrets: []", "cds-a: no file: /run/secrets/clients.json"),
    ("CDS_REDIS_URL", "CDS_REDDIS_URL", "cds-a: CDS_REDDIS_URL is not a setting; did you mean CDS_REDIS_URL?"),
    ("CDS_REDIS_URL", "CDS_REDDIS_URL", "cds-a: not set: CDS_REDIS_URL"),
    ("@postgres:5432", "@database:5432", "cds-a: CDS_DATABASE_URL: no service: database"),
    ("read_only: true\n  tmpfs: [/tmp]", "tmpfs: [/tmp]", "cds-a: not shut"),
    ("cap_drop: [ALL]\n  sec", "cap_drop: [KILL]\n  sec", "cds-a: not shut"),
    ("read_only: true\n  tmpfs", 'user: "0:0"\n  read_only: true\n  tmpfs', "cds-a: another user than the image's"),
    ("stop_grace_period: 20s", "stop_grace_period: 10s", "cds-a: stopped before it is done"),
    ("drug-coverage-cds:0.1.0", "drug-coverage-cds:0.0.9", "cds-a: another version than the project's"),
    ("context: ..", "context: .", "cds-a: another Dockerfile"),
    (VOLUMES, VOLUMES.replace("]", ', "data-a:/more"]'), "cds-b: mounts ['/data', '/more']"),
    ("/run/secrets/tls.crt # of", "/run/secrets/ca.crt # of", "cds-a: no file: /run/secrets/ca.crt"),
    (VOLUMES, "volumes: []", "cds-b: its data is lost with it"),
    (VOLUMES, VOLUMES.replace("data-b", "data-a"), "two instances in one data folder"),
    ("CDS_TLS_KEY:", "CDS_TLS_KEYS:", "the template's variables differ: ['CDS_TLS_KEY', 'CDS_TLS_KEYS']"),
    ("cds-b:8080", "cds-b:8000", "the proxy calls ['cds-a:8080', 'cds-b:8000']"),
    ("443:8443", "443:443", "the proxy is not what port 443 leads to"),
    ("/default.conf.template", "/nginx.conf", "the template is not where the image looks for it"),
    ("image: redis:8.6.3", 'ports: ["6379:6379"]\n    image: redis:8.6.3', "redis: reached without TLS"),
    ("  cds-b:\n    <<: *instance\n    " + VOLUMES, "", "fewer than two instances"),
]


def test_the_compose_file_keeps_the_rules() -> None:
    """Pinned, shut, and every name, port, file and volume there."""
    assert list(complaints(COMPOSE, DOCKERFILE)) == []


@pytest.mark.parametrize(("right", "wrong", "complaint"), SPOILT)
def test_a_rule_that_is_broken_is_seen(right: str, wrong: str, complaint: str) -> None:
    """One change of the file, and the complaint about it."""
    assert right in COMPOSE
    assert complaint in list(complaints(COMPOSE.replace(right, wrong), DOCKERFILE))


def test_secrets_are_asked_for() -> None:
    """None has a value in the file, and what is asked for is in no other place."""
    environments = [one.get("environment", {}) for one in yaml.safe_load(COMPOSE)["services"].values()]
    values = [
        value for given in environments for name, value in given.items() if "PASSWORD" in name or "LEDGER" in name
    ]
    assert len(values) == 3
    assert all(value.startswith("${") and ":?" in value for value in values)


def test_redis_forgets_no_token() -> None:
    """It writes what it has to the disk, and evicts nothing."""
    words = yaml.safe_load(COMPOSE)["services"]["redis"]["command"]
    given = dict(zip(words[1::2], words[2::2], strict=True))
    assert given["--maxmemory-policy"] == "noeviction"
    assert given["--appendonly"] == "yes"
