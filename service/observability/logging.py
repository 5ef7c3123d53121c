"""Log lines: structlog over the standard library; for people on a terminal, else JSON. Never a body, never a key."""

import atexit
import logging
import sys
import threading
from logging.handlers import QueueHandler, QueueListener
from queue import Queue
from time import monotonic, sleep

import structlog

QUEUE_LINES = 10_000  # beyond it lines are dropped: a log reader that stalls must not stall the service
WRITE_SECONDS = 0.05  # between two looks at an empty queue
FLUSH_SECONDS = 1.0

_lines: Queue[logging.LogRecord] = Queue(QUEUE_LINES)
log = structlog.get_logger("peephole")


class _QueueHandler(QueueHandler):
    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Leave the record as it is: the listener's thread renders it."""
        return record


class _QueueListener(QueueListener):
    def dequeue(self, block: bool) -> logging.LogRecord:
        """Return the next record; look for it now and then: waking this thread each time would slow the event loop."""
        while block and _lines.empty():
            sleep(WRITE_SECONDS)
        return _lines.get_nowait()


def configure_logging(level: str) -> None:
    """Write every log line of the process, the libraries' too, to standard output from one thread."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(pad_event_to=20) if is_terminal else structlog.processors.JSONRenderer()
    )
    output = logging.StreamHandler(sys.stdout)
    output.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    listener = _QueueListener(_lines, output)
    listener.start()
    atexit.register(listener.stop)
    logging.raiseExceptions = False  # a full queue drops lines without a traceback for each
    root = logging.getLogger()
    root.handlers[:] = [_QueueHandler(_lines)]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
        logging.getLogger(name).setLevel(logging.WARNING)  # the service logs its own start and end
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of each plugin
    threading.excepthook = _log_thread_death


def flush_logs() -> bool:
    """Wait until every line is written; false when the log's reader does not read."""
    until = monotonic() + FLUSH_SECONDS
    while _lines.unfinished_tasks and monotonic() < until:
        sleep(0.01)
    return not _lines.unfinished_tasks


def _log_thread_death(death: threading.ExceptHookArgs) -> None:
    name = death.thread.name if death.thread is not None else "unknown"
    log.critical("thread_died", thread=name, error=death.exc_type.__name__)
