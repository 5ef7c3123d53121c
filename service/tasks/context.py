"""What a prediction for a stored task starts from."""

from service.errors import Problem
from service.state import Service
from store import Context, Key

MIN_NETWORKS = 3
MAX_OBSERVATIONS = 1000


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
    context = await service.store_threads.run(deadline, service.store.context, Key(owner, name), limit=MAX_OBSERVATIONS)
    if context.networks < MIN_NETWORKS:
        detail = f"The task has {context.networks} networks; predictions need {MIN_NETWORKS}."
        raise Problem("conflict", detail, networks=context.networks)
    return context
