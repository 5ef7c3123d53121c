"""What predicts a stored task: the version that its last fit published, or its observations as a context."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from time import monotonic

from pydantic import TypeAdapter

from model.network.schema import MAX_CONTEXT, MIN_CONTEXT
from model.requests.errors import InvalidRequestError
from model.requests.predict import Call, read_call
from model.requests.schema import Measured, PredictRequest
from service.api.admission import run
from service.errors import Problem
from service.state import Service
from store import CONTEXT, Context, Key, Observation

TAU_SECONDS = 5.0  # that a description of a task waits for its tau
MEASURED = TypeAdapter(list[Measured])


async def stored_call(document: PredictRequest, service: Service, owner: str, deadline: float) -> Call | PredictRequest:
    """Return a request for a stored task as a call of its version, or as one that brings its observations itself.

    Args:
        document: that names a task which is not loaded.
        service: of the application.
        owner: of the request's key.
        deadline: on the monotonic clock.

    Raises:
        Problem: as `stored_context`; 422 where there is no such task or version, 503 for one that cannot be loaded.
        InvalidRequestError: with a pointer to each fault.
        TimeoutError: when the deadline passes.
    """
    name = document.get("task")
    assert name is not None  # noqa: S101 - the caller looked it up
    try:
        key, named = Key(owner, name), document.get("version")
        served = await service.store_threads.run(deadline, service.store.versions.served, key, named)
        if served.version == CONTEXT:
            context = await stored_context(service, owner, name, deadline)
            return await run(service, deadline, _joined, document, context, inline=False)
    except Problem as problem:
        if problem.slug == "not-found":
            service.registry.choose(name)  # raises with the names of the tasks
        raise
    model = await service.fitted.find(served, deadline)
    limits = service.settings
    read = partial(read_call, max_architectures=limits.max_architectures, max_layers=limits.max_layers)
    return await run(service, deadline, read, document, model, inline=False)


async def leave_one_out_tau(service: Service, owner: str, name: str, deadline: float) -> float | None:
    """Return how well a stored task's observations rank each other; `None` when there are too few, or it takes long.

    It is what `model.tau` of a prediction in context says. The model is fitted all the same, and kept.
    """
    deadline = min(deadline, monotonic() + TAU_SECONDS)
    try:
        context = await stored_context(service, owner, name, deadline)
        asked = PredictRequest(architectures=[], task=name)
        document = await run(service, deadline, _joined, asked, context, inline=False)
        call = partial(service.in_context.tau, max_layers=service.settings.max_layers)
        async with asyncio.timeout(deadline - monotonic()):
            loop = asyncio.get_running_loop()
            tau = await loop.run_in_executor(service.context_thread, call, document, service.registry.models)
    except (Problem, InvalidRequestError, TimeoutError):
        return None
    service.figures.note_tau(owner, name, tau)
    return round(tau, 4)


def _joined(document: PredictRequest, context: Context) -> PredictRequest:
    image = context.task.image
    found = document.copy()
    del found["task"]
    found.pop("version", None)
    found.setdefault("input", (image.channels, image.height, image.width))
    found.setdefault("prior", context.task.prior)
    found["context"] = MEASURED.validate_python(
        [
            {"layers": one.layers, "accuracy": one.accuracy, **({"proxies": one.proxies} if one.proxies else {})}
            for one in _of_one_length(context.observations)
        ],
    )
    return found


def _of_one_length(observations: Sequence[Observation]) -> Sequence[Observation]:
    """Return the observations as they are where all have curves of one length, else with their final accuracies."""
    lengths = {len(one.accuracy) if isinstance(one.accuracy, list) else 1 for one in observations}
    if len(lengths) == 1:
        return observations
    return [replace(one, accuracy=one.accuracy[-1]) if isinstance(one.accuracy, list) else one for one in observations]


async def stored_context(service: Service, owner: str, name: str, deadline: float) -> Context:
    """Return a stored task's newest observations (1,000 at most), oldest first.

    Args:
        service: of the application.
        owner: of the request's key.
        name: of the task.
        deadline: on the monotonic clock.

    Raises:
        Problem: 404 when the owner has no such task, 409 when it has fewer than 3 networks, 429, 503.
        TimeoutError: when the deadline passes.
    """
    context = await service.store_threads.run(deadline, service.store.context, Key(owner, name), limit=MAX_CONTEXT)
    if context.networks < MIN_CONTEXT:
        detail = f"The task has {context.networks} networks; predictions need {MIN_CONTEXT}."
        raise Problem("conflict", detail, networks=context.networks)
    return context
