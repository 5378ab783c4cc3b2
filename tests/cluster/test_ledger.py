"""What holds of the ledger holds on PostgreSQL."""

import os
import subprocess
import sys

from parts import ROOT, Cluster


def test_the_ledgers_own_tests_hold_on_postgresql(cluster: Cluster) -> None:
    """Each runs with a database of its own, on SQLite and on the cluster's server, and those of its faults run too."""
    environment = {**os.environ, "CDS_TEST_POSTGRES": cluster.postgres.url}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/ledger"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)  # noqa: S603
    assert done.returncode == 0, done.stdout[-4000:]
