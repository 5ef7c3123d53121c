"""What every request for predictions passes first: is there somebody to answer it, and room."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from starlette.requests import Request

from service.predicting import UNAVAILABLE_RETRY, queue_full
from service.problems import Problem
from service.service import Service

HEADER = "X-Request-Timeout-Ms"


def deadline(request: Request, most_ms: int) -> float:
    """Return when the caller stops waiting, on the monotonic clock; at most `most_ms` from now.

    Raises:
        Problem: 400 when the header is not a positive integer.
    """
    text = request.headers.get(HEADER)
    if text is not None and not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) > 0):
        raise Problem("bad-request", f"{HEADER} must be a positive integer, in milliseconds.")
    wanted = most_ms if text is None else int(text)
    return monotonic() + min(wanted, most_ms) / 1000


@contextmanager
def admitted(request: Request, service: Service) -> Iterator[None]:
    """Count a request as in flight while it is handled, or refuse it before any work is done.

    Raises:
        Problem: 401 without a key, 503 when nobody can answer, 429 when the backlog is full, 400 for a bad deadline.
    """
    service.keys.check(request)
    if reasons := service.reasons():
        raise Problem("unavailable", "; ".join(reasons), headers=UNAVAILABLE_RETRY, reasons=reasons)
    if service.engine.backlog.is_full():
        raise queue_full(service)
    state = request.scope["state"]
    state["deadline"] = deadline(request, service.settings.max_deadline_ms)
    service.inflight += 1
    try:
        yield
    finally:
        service.inflight -= 1
        service.buffered -= state.pop("buffered", 0)
