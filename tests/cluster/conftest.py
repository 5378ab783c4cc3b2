"""The cluster, which is there only under `make test-cluster`."""

import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

collect_ignore_glob = [] if os.environ.get("CDS_TEST_CLUSTER") else ["test_*.py"]


class FrozenServer:
    """A FHIR server that accepts and says nothing."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.base = f"http://127.0.0.1:{self._listener.getsockname()[1]}/fhir"
        self._taken: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Ends it."""
        for one in [self._listener, *self._taken]:
            with suppress(OSError):
                one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self._taken.append(self._listener.accept()[0])


if os.environ.get("CDS_TEST_CLUSTER"):
    from callers import Ehr
    from parts import Cluster, eventually

    @pytest.fixture(scope="session")
    def frozen_fhir() -> Iterator[str]:
        """The base URL of a FHIR server that accepts and says nothing."""
        server = FrozenServer()
        yield server.base
        server.close()

    @pytest.fixture(scope="session")
    def ehr() -> Ehr:
        """The registered EHR."""
        return Ehr()

    @pytest.fixture(scope="session")
    def whole_cluster(ehr: Ehr, frozen_fhir: str) -> Iterator[Cluster]:
        """The cluster as it is started."""
        folder = Path(tempfile.mkdtemp(prefix="cds-cluster-"))
        folder.chmod(0o755)  # the database server runs under another user
        cluster = Cluster(folder, ehr.registration, frozen_fhir)
        try:
            cluster.start()
            ehr.meet(cluster.public, cluster.proxy.certificate)
            yield cluster
        finally:
            cluster.close()
            shutil.rmtree(folder)

    @pytest.fixture
    def cluster(whole_cluster: Cluster, ehr: Ehr) -> Cluster:
        """The cluster, every part of it ready."""
        for door in whole_cluster.proxy.doors:
            eventually(lambda port=door: ehr.get(port, "/health/ready") == 200, 20, "ready")  # type: ignore[misc]
        return whole_cluster
