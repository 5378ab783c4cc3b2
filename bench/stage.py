"""What the goals measure on: the service as users run it, the floor, and the late FHIR server."""

import tempfile
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType

from cryptography.fernet import Fernet

from bench.bodies import PUBLIC_URL, Template, full_prefetch
from bench.calls import Connection, Side, in_turns
from bench.processes import HOST, Process, free_port
from hooks.wire import decode

HOOK = "/cds-services/order-sign-crd"
DELAY_MS = 50

# size → calls of one round
_CALLS = {"15 KB": 250, "60 KB": 200, "1 MB": 25}


class Stage:
    """The servers, started when first asked for."""

    def __init__(self, quick: bool) -> None:
        self.quick = quick
        self._running = ExitStack()
        self._compared: dict[str, tuple[Side, Side]] = {}

    def __enter__(self) -> "Stage":
        """The stage, still empty."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def rounds(self, full: int, quick: int = 3) -> int:
        """How many rounds are run."""
        return quick if self.quick else full

    def calls(self, full: int) -> int:
        """How many calls a round has."""
        return max(5, full // 3) if self.quick else full

    def fhir_base(self, delay_ms: int, batches: bool = False) -> str:
        """The base URL of the FHIR server at which every answer takes so long; another one is read in batches."""
        return f"http://{HOST}:{self.fhir.port}/{delay_ms:0{3 if batches else 1}}"

    @cached_property
    def folder(self) -> Path:
        """A folder for the run."""
        return Path(self._running.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))

    @cached_property
    def fhir(self) -> Process:
        """The late FHIR server."""
        port = free_port()
        return self.start(Process("the FHIR server", ["-m", "bench.delayed_fhir", str(port)], port))

    @cached_property
    def service(self) -> Process:
        """The service with its defaults, without client tokens."""
        return self._service("usual")

    @cached_property
    def keeping(self) -> Process:
        """The same, keeping what it judged from, so that a form can be filled in from it."""
        return self._service("keeping", CDS_LEDGER_KEYS=Fernet.generate_key().decode())

    def _service(self, folder: str, **more: str) -> Process:
        port = free_port()
        command, port, settings = self.service_command(port, folder)
        settings["CDS_BATCH_SERVERS"] = self.fhir_base(DELAY_MS, batches=True)
        bases = [self.fhir_base(delay) for delay in (0, DELAY_MS)]
        settings["CDS_FHIR_SERVERS"] = ",".join([*bases, settings["CDS_BATCH_SERVERS"]])
        return self.start(Process(f"the {folder} service", command, port, {**settings, **more}))

    def service_command(
        self, port: int, name: str, module: str = "cds_service.cli"
    ) -> tuple[list[str], int, dict[str, str]]:
        """Command, port and settings of a service with its defaults, whose data lie in a folder of that name.

        `module` has the command line's `main`.
        """
        command = ["-c", f"from {module} import main; main()", "serve", "--port", str(port)]
        folder = str(self.folder / name)
        return command, port, {"CDS_AUTH": "off", "CDS_DATA_DIR": folder, "CDS_PUBLIC_URL": PUBLIC_URL}

    @cached_property
    def floor(self) -> Process:
        """The floor."""
        port = free_port()
        return self.start(Process("the floor", ["-m", "bench.floor", str(port), str(self.folder / "floor")], port))

    def start(self, process: Process) -> Process:
        """The process, under way until the stage ends."""
        return self._running.enter_context(process)

    def against_floor(self, size: str) -> tuple[Side, Side]:
        """The service and the floor under full prefetch of that size, measured once in a run."""
        if size not in self._compared:
            template = full_prefetch(size)
            connection = Connection(self.service.port)
            length = len(expect_met(connection, template))
            sides = (
                Side(self.service, connection, HOOK, template.body),
                Side(self.floor, Connection(self.floor.port), f"/{length}", template.body),
            )
            in_turns(list(sides), self.rounds(9, 4), self.calls(_CALLS[size]))
            self._compared[size] = sides
        return self._compared[size]


def expect_met(connection: Connection, template: Template) -> bytes:
    """The service's answer to one call. Raises RuntimeError unless it says that every criterion is met."""
    _, found = connection.post_again(HOOK, template.body())
    if (outcome := outcome_of(found)) != "criteria-met":
        raise RuntimeError(f"{template.size}: expected criteria-met, the service says {outcome}")
    return found


def outcome_of(found: bytes) -> str:
    """The outcome that an answer's first card states."""
    cards = decode(found)["cards"]
    return str(cards[0]["extension"]["drug-coverage.determination"]["outcome"]) if cards else "no card"
