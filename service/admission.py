"""What every request for predictions passes first: is there somebody to answer it, and room."""

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from time import monotonic
from typing import Any

from starlette.requests import Request

from service.predicting import UNAVAILABLE_RETRY, queue_full
from service.problems import Problem
from service.service import Service

HEADER = "x-request-timeout-ms"


def deadline(headers: Mapping[str, str], most_ms: int) -> float:
    """Return when the caller stops waiting, on the monotonic clock; at most `most_ms` from now.

    Raises:
        Problem: 400 when the header is not a positive integer.
    """
    text = headers.get(HEADER)
    text = text and text.rstrip()
    if text is not None and not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) > 0):
        raise Problem("bad-request", f"{HEADER.title()} must be a positive integer, in milliseconds.")
    wanted = most_ms if text is None else int(text)
    return monotonic() + min(wanted, most_ms) / 1000


def _announced(headers: Mapping[str, str]) -> int:
    """Return the bytes of the body to come, 0 when they are not announced."""
    text = headers.get("content-length", "")
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


def admit(headers: Mapping[str, str], service: Service, *, for_queue: bool = True) -> float:
    """Return the deadline of a request, on the monotonic clock, or refuse it before its body is read.

    Args:
        headers: by name in lower case.
        service: which will answer.
        for_queue: whether it will wait for the inference threads.

    Raises:
        Problem: 401 without a key, 503 when nobody can answer, 429 when the queue is full or too slow for the caller's
            deadline, 400 for a bad deadline.
    """
    service.keys.check(headers)
    if reasons := service.reasons():
        raise Problem("unavailable", "; ".join(reasons), headers=UNAVAILABLE_RETRY, reasons=reasons)
    until = deadline(headers, service.settings.max_deadline_ms)
    if for_queue:
        _check_room(service, _announced(headers), until - monotonic())
    return until


def enter(service: Service) -> None:
    """Count a request as in flight from now on."""
    service.inflight += 1


def leave(state: MutableMapping[str, Any], service: Service) -> None:
    """Count a request, of which `state` says what is known, and its body no more."""
    service.inflight -= 1
    service.intake.size -= state.pop("unqueued", 0)
    service.buffered -= state.pop("buffered", 0)


@contextmanager
def admitted(request: Request, service: Service, *, for_queue: bool = True) -> Iterator[None]:
    """Admit a request, and count it while it is handled.

    Raises:
        Problem: as `admit`.
    """
    request.scope["state"]["deadline"] = admit(request.headers, service, for_queue=for_queue)
    enter(service)
    try:
        yield
    finally:
        leave(request.scope["state"], service)
