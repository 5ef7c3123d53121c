"""What a prediction for a stored task starts from."""

from collections.abc import Sequence
from dataclasses import replace

from pydantic import TypeAdapter

from model.network.schema import MAX_CONTEXT, MIN_CONTEXT
from model.requests.schema import Measured, PredictRequest
from service.api.admission import run
from service.errors import Problem
from service.state import Service
from store import Context, Key, Observation

MEASURED = TypeAdapter(list[Measured])


async def with_stored_context(
    document: PredictRequest, service: Service, owner: str, deadline: float
) -> PredictRequest:
    """Return a request for a stored task as one that brings the task's observations itself.

    Args:
        document: that names a task which is not loaded.
        service: of the application.
        owner: of the request's key.
        deadline: on the monotonic clock.

    Raises:
        Problem: as `stored_context`; 422 where there is no such task.
        TimeoutError: when the deadline passes.
    """
    name = document.get("task")
    assert name is not None  # noqa: S101 - the caller looked it up
    try:
        context = await stored_context(service, owner, name, deadline)
    except Problem as problem:
        if problem.slug == "not-found":
            service.registry.choose(name)  # raises with the names of the tasks
        raise
    return await run(service, deadline, _joined, document, context, inline=False)


def _joined(document: PredictRequest, context: Context) -> PredictRequest:
    image = context.task.image
    found = document.copy()
    del found["task"]
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
