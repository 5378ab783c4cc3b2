"""How an instance starts: on an empty database, on one of a newer version, and with nothing there yet."""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from callers import Ehr
from parts import Cluster, Instance, eventually

from cds_service.ledger.migrate import HEAD

START_S = 10.0  # in which a start that cannot succeed ends


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """For the data folders of further instances."""
    return tmp_path


def test_two_instances_that_start_at_once_make_the_tables_once(cluster: Cluster, ehr: Ehr, folder: Path) -> None:
    """Both find an empty database; both are ready, and each table was made by one of them."""
    settings = {**cluster.settings, "CDS_DATABASE_URL": cluster.postgres.create("two_starts")}
    instances = [Instance(name, folder, settings) for name in ("one", "other")]
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Instance.start, instances))
        for instance in instances:
            eventually(lambda one=instance: ehr.get(one.port, "/health/ready", tls=False) == 200, 10, "ready")  # type: ignore[misc]
    finally:
        for instance in instances:
            instance.kill()
    assert [instance.log.read_text().count("Traceback") for instance in instances] == [0, 0]
    with cluster.postgres.connect("two_starts") as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]
        assert connection.execute("SELECT count(*) FROM installation").fetchone() == (2,)
    assert cluster.postgres.log.read_text().count("CREATE TABLE decision (") == 1


def test_tables_of_a_newer_version_end_the_start(cluster: Cluster, folder: Path) -> None:
    """Soon, with a message that names the setting and both revisions, and without a traceback."""
    url = cluster.postgres.create("newer")
    with cluster.postgres.connect("newer") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num text)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    instance = Instance("newer", folder, {**cluster.settings, "CDS_DATABASE_URL": url})
    began = time.monotonic()
    ended = subprocess.run(  # noqa: S603 - our own command
        instance.command, env=instance.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert time.monotonic() - began < START_S
    assert ended.returncode == 2
    (message,) = [line for line in ended.stderr.splitlines() if line.startswith("CDS_DATABASE_URL: ")]
    assert "9999" in message
    assert HEAD in message
    assert "Traceback" not in ended.stderr


def test_an_instance_starts_before_its_database_and_redis(cluster: Cluster, ehr: Ehr) -> None:
    """It is live and not ready, lets nobody through, and gives numbers once both are there, without a restart."""
    instance, door = cluster.instances[0], cluster.proxy.doors[0]
    instance.stop()
    cluster.postgres.halt()
    cluster.redis.halt()
    try:
        instance.start()
        before = instance.tree()
        eventually(lambda: ehr.get(door, "/health/live") == 200, 10, "live")
        assert ehr.get(door, "/health/ready") == 503
        assert ehr.sign(door).status in {401, 503}
    finally:
        cluster.redis.start()
        cluster.postgres.start()
    eventually(lambda: ehr.get(door, "/health/ready") == 200, 10, "ready")
    eventually(lambda: bool(ehr.sign(door).number), 10, "a number")
    assert instance.tree() == before
