"""Log lines: JSON on standard output, the server's own included; never a body, never a key."""

import atexit
import json
import logging
import os
import sys
import threading

import msgspec
import structlog

from service.lines import Lines

FLUSH_SECONDS = 1.0  # the most that the end of the process waits for the reader of its log

_ENCODER = msgspec.json.Encoder(enc_hook=repr)


def _json(line: object, **_: object) -> bytes:
    try:
        return _ENCODER.encode(line)
    except UnicodeEncodeError:  # the name of a file, which need not be UTF-8
        return json.dumps(line, default=repr).encode()


def _json_text(line: object, **_: object) -> str:
    return _json(line).decode()


_STAMP = structlog.processors.TimeStamper(fmt="iso", utc=True)


def _lost(lines: int) -> bytes:
    return _json(_STAMP(None, "", {"lines": lines, "event": "log_lines_lost", "level": "warning"}))


_OUTPUT = Lines(_lost)


class _Direct:
    """What structlog hands rendered lines to: our own go this way, as requests wait for them."""

    def __init__(self, *_: object) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = _OUTPUT.put


class _Foreign(logging.Handler):
    """Where the lines of the libraries go."""

    def emit(self, record: logging.LogRecord) -> None:
        """Put a record's line with the others."""
        try:
            _OUTPUT.put(self.format(record).encode())
        except Exception:  # as the standard library's own handlers do
            self.handleError(record)


def flush() -> None:
    """Wait until every line is written, at most `FLUSH_SECONDS`; whoever ends the process at once calls this first."""
    _OUTPUT.flush(FLUSH_SECONDS)


def configure(level: str) -> None:
    """Write every log line of the process as one JSON object."""
    _OUTPUT.start(os.open(os.devnull, os.O_WRONLY) if sys.stdout is None else sys.stdout.fileno())
    atexit.register(flush)
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        _STAMP,
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_json)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=_Direct,
        cache_logger_on_first_use=True,
    )
    handler = _Foreign()
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
