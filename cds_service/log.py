"""Structured logs, JSON lines on standard error. Only listed fields get out, so that nothing of a patient can."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

FIELDS = frozenset(
    {
        "event",
        "level",
        "timestamp",
        "kind",
        "where",
        "hook",
        "hook_instance",
        "status",
        "outcome",
        "outcomes",
        "duration_ms",
        "orders",
        "unread",
        "address",
        "setting",
        "warning",
        "client",
        "server",
    }
)


def _listed(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: value for name, value in event.items() if name in FIELDS}


def configure_logs() -> None:
    """Sets up the process's logs."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            _listed,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def service_log() -> Any:
    """The service's logger."""
    return structlog.get_logger()
