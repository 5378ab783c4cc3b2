"""A PostgreSQL of one's own, with its defaults, where Debian's package is installed."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.processes import HOST, free_port

_START_S = 20.0


@contextmanager
def postgres() -> Iterator[str]:
    """Its URL, until the `with` block ends; empty where it is not installed. Raises RuntimeError when it fails."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=None)
    if programs is None:
        yield ""
        return
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    folder, port = Path(tempfile.mkdtemp(prefix="bench-postgres-")), free_port()
    data = folder / "data"
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    make = [str(programs / "initdb"), "-D", str(data), "-U", "cds", "-A", "trust", "--locale=C", "-EUTF8"]
    subprocess.run(make, check=True, user=user, stdout=subprocess.DEVNULL, cwd="/")  # noqa: S603 - our own command
    settings = (f"port={port}", f"listen_addresses={HOST}", f"unix_socket_directories={folder}")
    serve = [str(programs / "postgres"), "-D", str(data), *(word for one in settings for word in ("-c", one))]
    running = subprocess.Popen(serve, user=user, stderr=subprocess.DEVNULL, cwd="/")  # noqa: S603 - our own command
    try:
        _wait_for(port)
        yield f"postgresql://cds@{HOST}:{port}/postgres"
    finally:
        running.send_signal(signal.SIGINT)  # without waiting for its clients
        running.wait(20)
        shutil.rmtree(folder)


def _wait_for(port: int) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("PostgreSQL did not start")
