"""From codes to curves: each distinct network once, known ones from the cache, the rest through the engine."""

import asyncio
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
from starlette.requests import Request

from model.runtime import Curves, Floats
from service.aside import SHORT, aside, too_late
from service.backlog import FullError
from service.engine import EngineDownError, PredictionError
from service.faults import pointer
from service.jobs import Job, split
from service.models import Model
from service.problems import RETRY, ClientGoneError, Fault, Problem
from service.service import Service
from service.vocabulary import Ints

GLANCE_SECONDS = 0.02
UNAVAILABLE_RETRY = {**RETRY, "Connection": "close"}


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which networks of a request are the same, and which distinct ones are known already."""

    keys: list[bytes]
    place: list[int]
    first: list[int]
    known: list[Floats | None]


def _plan(service: Service, model: Model, codes: Sequence[Ints], epochs: tuple[int, ...]) -> _Plan:
    found: dict[bytes, int] = {}
    place = [found.setdefault(key, len(found)) for key in service.cache.keys(model.card.sha256, epochs, codes)]
    first = [0] * len(found)
    for index in range(len(place) - 1, -1, -1):
        first[place[index]] = index
    distinct = list(found)
    return _Plan(distinct, place, first, service.cache.get(distinct))


async def predict_curves(
    service: Service, request: Request, model: Model, codes: Sequence[Ints], epochs: tuple[int, ...]
) -> Curves:
    """Return the curves of networks, in their order; fills in the request's stage times.

    Raises:
        Problem: 413, 429, 500, 503 or 504; never another exception for what callers or the predictor may do.
        ClientGoneError: when the caller hung up meanwhile.
    """
    arguments = (service, model, codes, epochs)
    deadline = request.scope["state"]["deadline"]
    plan = _plan(*arguments) if len(codes) <= SHORT else await aside(service.writers, deadline, _plan, *arguments)
    missing = [index for index, result in enumerate(plan.known) if result is None]
    service.ledger.enter(service.metrics.cache_hits.inc, len(plan.place) - len(missing))
    service.ledger.enter(service.metrics.cache_misses.inc, len(missing))
    if len(missing) == len(codes):
        distinct = await _compute(service, request, model, codes, range(len(codes)), epochs)
        service.cache.put(plan.keys, list(distinct))
        return split(distinct)
    results: list[Floats | None] = list(plan.known)
    if missing:
        places = [plan.first[index] for index in missing]
        computed = await _compute(service, request, model, codes, places, epochs)
        service.cache.put([plan.keys[index] for index in missing], list(computed))
        for index, result in zip(missing, computed, strict=True):
            results[index] = result
    distinct = np.stack([result for result in results if result is not None])
    return split(distinct[plan.place])


def predict_at_once(
    service: Service, state: MutableMapping[str, Any], model: Model, codes: Ints, epochs: tuple[int, ...]
) -> Curves | None:
    """Return the curve of a network, if it is known or may be predicted on the event loop; fills in the stage times.

    Raises:
        Problem: 500 or 503.
    """
    key = service.cache.keys(model.card.sha256, epochs, [codes])
    (known,) = service.cache.get(key)
    if known is not None:
        service.ledger.enter(service.metrics.cache_hits.inc)
        return split(known[np.newaxis])
    if not service.engine.suits_loop(model, len(codes)):
        return None
    service.ledger.enter(service.metrics.cache_misses.inc)
    _take_in(service, state, len(codes))
    began = monotonic()
    with _explained(service, [0]):
        result = service.engine.predict_here(model, codes, epochs)
    _note_times(service, state, 0.0, monotonic() - began)
    service.cache.put(key, list(result))
    return split(result)


async def _compute(
    service: Service,
    request: Request,
    model: Model,
    codes: Sequence[Ints],
    places: Sequence[int],
    epochs: tuple[int, ...],
) -> Floats:
    """Compute the networks of the request at `places`."""
    with _explained(service, places):
        return await _compute_aside(service, request, model, [codes[place] for place in places], epochs)


@contextmanager
def _explained(service: Service, places: Sequence[int]) -> Iterator[None]:
    """Turn what may go wrong with the networks of a request at `places` into problems."""
    try:
        yield
    except FullError:
        raise queue_full(service) from None
    except TimeoutError:
        raise too_late() from None
    except PredictionError as error:
        found = [Fault(pointer("architectures", places[row]), "failed", "no curve comes out") for row in error.rows]
        raise Problem("prediction-failed", "The predictor failed on networks of this request.", faults=found) from None
    except EngineDownError as error:
        raise Problem("unavailable", str(error), headers=UNAVAILABLE_RETRY) from None


async def _compute_aside(
    service: Service, request: Request, model: Model, asked: Sequence[Ints], epochs: tuple[int, ...]
) -> Floats:
    """Compute networks on an inference thread, with others'.

    Raises:
        Problem: 413 for more than could ever wait.
        FullError: when there is no room now.
        TimeoutError: when the deadline passes first.
        PredictionError: when the predictor failed on some.
        EngineDownError: when the inference threads do not work any more.
        ClientGoneError: when the caller hung up meanwhile.
    """
    engine = service.engine
    job = Job(model, asked, epochs, request.scope["state"]["deadline"], max_chunk=service.settings.batch_cost)
    if job.cost > engine.backlog.max_cost:
        limit = engine.backlog.max_cost
        raise Problem("too-large", f"The request costs {job.cost} padded layers; the limit is {limit}.", limit=limit)
    try:
        _take_in(service, request.scope["state"], job.cost)
        engine.submit(job)
        result = await _settled(request, job)
    finally:
        engine.forget(job)
    started = job.started or job.submitted
    _note_times(service, request.scope["state"], started - job.submitted, monotonic() - started)
    return result


def _note_times(service: Service, state: MutableMapping[str, Any], queue: float, infer: float) -> None:
    times = state.setdefault("stages", {})
    times["queue"] = times.get("queue", 0.0) + queue
    times["infer"] = infer
    service.ledger.enter(service.metrics.queue_seconds.observe, times["queue"])


def _take_in(service: Service, state: MutableMapping[str, Any], cost: int) -> None:
    """Count the request's work in the queue from now on, no longer among what is coming."""
    size = state.pop("unqueued", 0)
    service.intake.size -= size
    service.intake.learn(size, cost)


def queue_full(service: Service) -> Problem:
    """Return the 429 for a full backlog, with the seconds until it is done."""
    seconds = service.engine.retry_after()
    detail = f"The queue is full; it will be done in about {seconds} s."
    return Problem("queue-full", detail, headers={"Retry-After": str(seconds)})


async def _settled(request: Request, job: Job) -> Floats:
    """Wait for a job's result, its deadline, or the caller hanging up, whichever is first.

    Most answers are there within `GLANCE_SECONDS`; only then is it worth a task to listen for the hang-up.
    """
    loop = asyncio.get_running_loop()
    listening: list[asyncio.Task[None]] = []

    def listen() -> None:
        listening.append(loop.create_task(_hang_up(request)))
        listening[0].add_done_callback(lambda _: give_up(ClientGoneError()))

    def give_up(reason: Exception) -> None:
        if not job.future.done():
            job.future.set_exception(reason)

    timers = (
        loop.call_later(GLANCE_SECONDS, listen),
        loop.call_later(max(0.0, job.deadline - monotonic()), give_up, TimeoutError()),
    )
    try:
        return await job.future
    finally:
        for timer in timers:
            timer.cancel()
        for task in listening:
            task.cancel()


async def _hang_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
