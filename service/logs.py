"""Log lines: JSON on standard output, the server's own included; never a body, never a key."""

import logging
import sys
import threading

import msgspec
import structlog

_ENCODER = msgspec.json.Encoder(enc_hook=repr)


def _json(line: object, **_: object) -> bytes:
    return _ENCODER.encode(line)


def _json_text(line: object, **_: object) -> str:
    return _ENCODER.encode(line).decode()


def configure(level: str) -> None:
    """Write every log line of the process as one JSON object; our own go the direct way, as requests wait for them."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_json)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    renderer = structlog.processors.JSONRenderer(serializer=_json_text)
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[strip, renderer]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    threading.excepthook = _log_thread_death


def _log_thread_death(death: threading.ExceptHookArgs) -> None:
    name = death.thread.name if death.thread is not None else "unknown"
    log.critical("thread_died", thread=name, error=death.exc_type.__name__)


log: structlog.typing.FilteringBoundLogger = structlog.get_logger("peephole")
