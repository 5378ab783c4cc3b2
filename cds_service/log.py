"""Structured logs, JSON lines on standard error. Only listed fields get out, so that nothing of a patient can."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import msgspec
import structlog

_ENCODER = msgspec.json.Encoder(enc_hook=str)

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
        "library",
        "metric",
    }
)


def _listed(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: value for name, value in event.items() if name in FIELDS}


class _Wordless(logging.Handler):
    """What a library logs, without its words: a URL in them has a patient in it, a message of an exception a chart."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes where and what kind; in words only what gunicorn says of its processes."""
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else record.levelname.lower()
        event = record.getMessage() if record.module == "arbiter" else "library"
        log = structlog.get_logger()
        say = log.error if record.levelno >= logging.ERROR else log.warning
        say(event, kind=kind, where=f"{record.filename}:{record.lineno}", library=record.name)


def _encoded(event: Any, **_: Any) -> str:
    return _ENCODER.encode(event).decode()


def configure_logs() -> None:
    """Sets up the process's logs; of the libraries' own, warnings and errors."""
    handler = _Wordless(logging.WARNING)
    for name in (None, "gunicorn.error"):
        logger = logging.getLogger(name)
        for other in [one for one in logger.handlers if isinstance(one, _Wordless) or name]:
            logger.removeHandler(other)
        logger.addHandler(handler)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            _listed,
            structlog.processors.JSONRenderer(serializer=_encoded),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def service_log() -> Any:
    """The service's logger."""
    return structlog.get_logger()
