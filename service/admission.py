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


def _announced(request: Request) -> int:
    """Return the bytes of the body to come, 0 when they are not announced."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _check_room(service: Service, size: int, patience: float) -> None:
    """Refuse a request that would not fit into the queue, or would wait there for too long.

    Half of the caller's patience is left for what the estimate does not know: requests yet to come that take turns
    with this one, and the machine's moods.

    Raises:
        Problem: 429.
    """
    engine, intake = service.engine, service.intake
    cost = intake.cost(size)
    ahead = engine.backlog.cost + intake.cost(intake.size)
    if ahead and ahead + cost > engine.backlog.max_cost:
        raise queue_full(service)
    turns = service.inflight * max(cost, engine.backlog.max_batch)  # jobs take turns: none delays this one by more
    if min(ahead, turns) / engine.rate > min(patience / 2, service.settings.max_queue_ms / 1000):
        raise queue_full(service)


@contextmanager
def admitted(request: Request, service: Service) -> Iterator[None]:
    """Count a request as in flight while it is handled, or refuse it before its body is read.

    Raises:
        Problem: 401 without a key, 503 when nobody can answer, 429 when the queue is full or too slow for the caller's
            deadline, 400 for a bad deadline.
    """
    service.keys.check(request)
    if reasons := service.reasons():
        raise Problem("unavailable", "; ".join(reasons), headers=UNAVAILABLE_RETRY, reasons=reasons)
    state = request.scope["state"]
    state["deadline"] = deadline(request, service.settings.max_deadline_ms)
    _check_room(service, _announced(request), state["deadline"] - monotonic())
    service.inflight += 1
    try:
        yield
    finally:
        service.inflight -= 1
        service.intake.size -= state.pop("unqueued", 0)
        service.buffered -= state.pop("buffered", 0)
