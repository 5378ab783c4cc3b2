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
from typing import NamedTuple

from bench.processes import HOST, free_port

_START_S = 20.0


class Server(NamedTuple):
    """A PostgreSQL that can be started."""

    command: list[str]
    user: str | None  # who runs it; None where we do
    url: str


def programs() -> Path | None:
    """The folder of the newest that is installed; None where none is."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=None)


def new_server(found: Path, data: Path, port: int) -> Server:
    """A server by the programs of that folder, with its defaults, whose data are made in `data`, an empty folder."""
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    if user is not None:
        os.chown(data, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    make = [str(found / "initdb"), "-D", str(data), "-U", "cds", "-A", "trust", "--no-sync", "--locale=C", "-EUTF8"]
    subprocess.run(make, check=True, user=user, stdout=subprocess.DEVNULL, cwd="/")  # noqa: S603 - our own command
    settings = (f"port={port}", f"listen_addresses={HOST}", f"unix_socket_directories={data}")
    command = [str(found / "postgres"), "-D", str(data), *(word for one in settings for word in ("-c", one))]
    return Server(command, user, f"postgresql://cds@{HOST}:{port}/postgres")


@contextmanager
def postgres() -> Iterator[str]:
    """Its URL, until the `with` block ends; empty where it is not installed. Raises RuntimeError when it fails."""
    found = programs()
    if found is None:
        yield ""
        return
    data, port = Path(tempfile.mkdtemp(prefix="bench-postgres-")), free_port()
    server = new_server(found, data, port)
    running = subprocess.Popen(server.command, user=server.user, stderr=subprocess.DEVNULL, cwd="/")  # noqa: S603
    try:
        _wait_for(port)
        yield server.url
    finally:
        running.send_signal(signal.SIGINT)  # without waiting for its clients
        running.wait(20)
        shutil.rmtree(data)


def _wait_for(port: int) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("PostgreSQL did not start")
