"""The production server: gunicorn on one process tree.

The policies are read, and the first forms made, once; the application, with its threads and connections, is built in
each worker after the fork.
"""

import gc
from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from cds_service.app import Knowledge, create_app, make_forms
from cds_service.metrics import forget_process
from cds_service.settings import Settings
from cds_service.worker import PatientWorker

_SIFTED = b"POST /smart/form/"  # what was typed there is shown again when the files beside it are too large


def run(settings: Settings, knowledge: Knowledge, host: str, port: int) -> None:
    """Serves until told to stop; SIGTERM finishes what is under way."""
    forms = make_forms(settings, knowledge)
    forms.make_first()
    # What is loaded by now is the same for every worker: kept out of their collectors, its memory stays shared. To look
    # through it for garbage first would take a tenth of the start, and give back nothing that could be measured.
    gc.freeze()
    gc.enable()
    serve(lambda: create_app(settings, knowledge, forms), settings, host, port)


def serve(build: Callable[[], Flask], settings: Settings, host: str, port: int) -> None:
    """Serves the application that `build` makes in each worker."""
    _Server(build, settings, host, port).run()


class _Server(BaseApplication):
    def __init__(self, build: Callable[[], Flask], settings: Settings, host: str, port: int) -> None:
        self._build, self._most_body = build, settings.max_body_bytes
        self._options = {
            "bind": f"{host}:{port}" if ":" not in host else f"[{host}]:{port}",
            "worker_class": PatientWorker,
            "workers": settings.workers,
            "threads": settings.threads,
            "graceful_timeout": 12,
            "timeout": 60,
            "keepalive": 15,
            "forwarder_headers": "",  # where a request leads is told by its path alone
            "secure_scheme_headers": {},
            "sendfile": False,  # it would wait for the client in a thread
            "worker_tmp_dir": None,
            "control_socket_disable": True,  # nobody runs it by a socket, and there may be nowhere to put one
            "proc_name": "cds-service",
            "loglevel": "warning",
            "post_worker_init": self._set_up,
            "child_exit": _forget,
        }
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self._build()

    def _set_up(self, worker: Any) -> None:
        worker.most_body, worker.sifted = self._most_body, _SIFTED
        _tame_collector()


def _forget(_: Any, worker: Any) -> None:
    forget_process(worker.pid)


def _tame_collector() -> None:
    # What lives from start on is never garbage: leaving it out takes the long pauses out of the slowest answers.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
