"""The parts of a cluster, each a process tree of its own on loopback: start, freeze, stop, kill."""

import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from string import Template
from typing import Any

import psycopg
import redis

from bench.postgres import new_server, programs
from bench.processes import HOST, free_port

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 2.0
WORKERS = 2


def eventually(holds: Callable[[], bool], seconds: float, what: str) -> float:
    """Seconds until it held. Raises AssertionError when it does not within that time."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return time.monotonic() - began


def listens(port: int) -> bool:
    """True when somebody takes connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


class Part:
    """One part, by the command that starts it."""

    def __init__(self, name: str, folder: Path, port: int, command: Sequence[str], user: str | None = None) -> None:
        self.name, self.port = name, port
        self.environment: dict[str, str] | None = None
        self.log = folder / f"{name}.log"
        self.command, self._user = command, user
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The first process of its tree."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    def start(self) -> None:
        """Starts it, and waits until it listens."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own commands
                self.command,
                stdout=log,
                stderr=log,
                env=self.environment,
                user=self._user,
                group=pwd.getpwnam(self._user).pw_gid if self._user else None,
                start_new_session=True,
            )
        try:
            eventually(lambda: listens(self.port), 30, f"{self.name} listens")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()[-2000:]}") from None

    def tree(self) -> list[int]:
        """Its processes."""
        found = [self.pid]
        for parent in found:  # grows while it is walked
            with suppress(OSError):
                found += [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
        return found

    def send(self, number: signal.Signals, pids: Sequence[int] | None = None) -> None:
        """Sends a signal to these, or to all of its processes."""
        for pid in self.tree() if pids is None else pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def freeze(self) -> None:
        """It accepts connections, in the kernel, and says nothing."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self.send(signal.SIGCONT)

    def stop(self, number: signal.Signals = signal.SIGTERM, within_s: float = 20.0) -> float:
        """Seconds until it had ended after this signal to its first process."""
        process = self._process
        if process is None or process.poll() is not None:
            return 0.0
        began = time.monotonic()
        self.send(number, [process.pid])
        process.wait(within_s)
        return time.monotonic() - began

    def kill(self) -> None:
        """Ends all of its processes at once, as a loss of power would."""
        if self._process is not None and self._process.poll() is None:
            self.send(signal.SIGKILL, self.tree())
            self._process.wait(10)


class Postgres(Part):
    """A database server of its own."""

    def __init__(self, folder: Path) -> None:
        found, data, port = programs(), folder / "postgres", free_port()
        assert found is not None, "PostgreSQL is not installed"
        data.mkdir(mode=0o700)
        command, user, self.url = new_server(found, data, port)
        super().__init__("postgres", folder, port, command, user)
        self._holder: psycopg.Connection[Any] | None = None

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """A connection to one of its databases; each statement is committed."""
        return psycopg.connect(f"host={HOST} port={self.port} user=cds dbname={database}", autocommit=True)

    def create(self, database: str) -> str:
        """The URL of a new, empty database, whose changes of tables are logged."""
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {database}")  # type: ignore[call-overload]
            connection.execute(f"ALTER DATABASE {database} SET log_statement = 'ddl'")  # type: ignore[call-overload]
        return self.url.replace("/postgres", f"/{database}")

    def halt(self) -> None:
        """Stops it without waiting for its clients."""
        self.stop(signal.SIGINT)

    def lock(self) -> None:
        """Nobody else can write a decision."""
        self._holder = self.connect()
        self._holder.execute("BEGIN; LOCK TABLE decision IN EXCLUSIVE MODE")

    def unlock(self) -> None:
        """Others can again."""
        assert self._holder is not None
        self._holder.close()


class Redis(Part):
    """A Redis that keeps everything in memory, and evicts nothing."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        command = ["redis-server", "--bind", HOST, "--port", str(port), "--save", "", "--dir", str(folder)]
        super().__init__("redis", folder, port, [*command, "--maxmemory-policy", "noeviction"])
        self.url = f"redis://{HOST}:{port}/0"

    def halt(self) -> None:
        """Stops it."""
        self.stop()

    def fill(self) -> None:
        """It takes nothing more."""
        self._set_memory(1)

    def empty(self) -> None:
        """It does again."""
        self._set_memory(0)

    def connections(self) -> int:
        """How many clients it has, but for the one that asks."""
        with redis.Redis(HOST, self.port) as client:
            return len(client.client_list()) - 1

    def _set_memory(self, most: int) -> None:
        with redis.Redis(HOST, self.port) as client:
            client.config_set("maxmemory", most)


class FhirServer(Part):
    """A FHIR server that knows the chart of the story, and answers at once."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        super().__init__("fhir", folder, port, [sys.executable, "-m", "bench.delayed_fhir", str(port)])
        self.base = f"http://{HOST}:{port}/0"


class Instance(Part):
    """One instance of the service, with a data folder of its own."""

    def __init__(self, name: str, folder: Path, settings: dict[str, str]) -> None:
        port = free_port()
        program = [str(Path(sys.executable).parent / "cds-service"), "serve", "--host", HOST, "--port", str(port)]
        super().__init__(name, folder, port, program)
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("CDS_")}
        self.environment = {**inherited, **settings, "CDS_DATA_DIR": str(folder / name)}

    def start(self) -> None:
        """Starts it, and waits for all of its workers."""
        super().start()
        eventually(lambda: len(self.workers()) == WORKERS, 10, "every worker")

    def workers(self) -> list[int]:
        """Its worker processes."""
        return self.tree()[1:]


class Proxy(Part):
    """The TLS proxy of docker/, and beside it one door to each instance alone."""

    def __init__(self, folder: Path, port: int, instances: Sequence[Instance]) -> None:
        self.certificate = folder / "cert.pem"
        key = folder / "key.pem"
        subject = ["-subj", "/CN=localhost", "-addext", f"subjectAltName=DNS:localhost,IP:{HOST}"]
        files = ["-keyout", str(key), "-out", str(self.certificate)]
        made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        subprocess.run(["openssl", "req", "-x509", *made, *subject, *files], check=True, capture_output=True)  # noqa: S603, S607
        self.doors = [free_port() for _ in instances]
        both = Template((ROOT / "docker" / "nginx.conf.template").read_text()).safe_substitute(
            CDS_INSTANCE_A=f"{HOST}:{instances[0].port}",
            CDS_INSTANCE_B=f"{HOST}:{instances[1].port}",
            CDS_TLS_LISTEN=f"{HOST}:{port}",
            CDS_TLS_CERTIFICATE=str(self.certificate),
            CDS_TLS_KEY=str(key),
        )
        tls = f"ssl_certificate {self.certificate}; ssl_certificate_key {key};"
        alone = "\n".join(
            f"server {{ listen {HOST}:{door} ssl; {tls} client_max_body_size 17m;"
            f" location / {{ proxy_pass http://{HOST}:{instance.port}; }} }}"
            for door, instance in zip(self.doors, instances, strict=True)
        )
        temporary = "".join(
            f"{name}_temp_path {folder}/nginx-{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        configuration = folder / "nginx.conf"
        configuration.write_text(
            f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr error;\n"
            f"events {{ worker_connections 1024; }}\n"
            f"http {{ access_log off;\n{temporary}{both}\n{alone}\n}}\n"
        )
        command = ["/usr/sbin/nginx", "-p", str(folder), "-e", "stderr", "-c", str(configuration)]
        super().__init__("nginx", folder, port, command)


class Cluster:
    """All of it."""

    def __init__(self, folder: Path, register: Callable[[list[str]], dict[str, object]], frozen_fhir: str) -> None:
        self.fhir = FhirServer(folder)
        registered = folder / "clients.json"
        registered.write_text(json.dumps([register([self.fhir.base, frozen_fhir])]))
        self.postgres, self.redis = Postgres(folder), Redis(folder)
        port = free_port()
        self.public = f"https://{HOST}:{port}"
        self.settings = {
            "CDS_PUBLIC_URL": self.public,
            "CDS_AUTH": "required",
            "CDS_TRUSTED_CLIENTS": str(registered),
            "CDS_DATABASE_URL": self.postgres.url,
            "CDS_REDIS_URL": self.redis.url,
            "CDS_AUTHORIZATION": "issue",
            "CDS_DEADLINE_S": str(DEADLINE_S),
            "CDS_WORKERS": str(WORKERS),
        }
        self.instances = [Instance(f"instance-{name}", folder, self.settings) for name in "ab"]
        self.proxy = Proxy(folder, port, self.instances)
        self._parts: list[Part] = [self.fhir, self.postgres, self.redis, *self.instances, self.proxy]

    def start(self) -> None:
        """Starts every part."""
        for part in self._parts:
            part.start()

    def close(self) -> None:
        """Ends every part, whatever state it is in."""
        for part in reversed(self._parts):
            with suppress(AssertionError):
                part.thaw()
            if part is self.postgres:
                part.stop(signal.SIGINT)
            part.kill()
