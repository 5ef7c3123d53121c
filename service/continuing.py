"""Curves continued from the epochs seen so far (`"observed"`)."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from starlette.requests import Request

from model.continuation import Continuation, Continued
from model.runtime import Curves, Floats
from service.aside import SHORT, aside
from service.faults import pointer
from service.models import Model
from service.population import Population
from service.predicting import predict_curves
from service.problems import Fault, invalid
from service.service import Service


def continuation_of(model: Model, at: str) -> Continuation:
    """Return what continues the task's curves.

    Raises:
        Problem: 422 that points `at` the observations, when the task has nothing to continue curves with.
    """
    task = model.card.task
    if model.continuation is None:
        detail = f"task {task} cannot predict during training; fit that with `peephole fit-during`"
        raise invalid([Fault(at, "unsupported", detail)])
    if model.continuation.card.predictor_sha256 != model.card.sha256:
        detail = (
            f"the mid-training part of task {task} belongs to another predictor; refit it with `peephole fit-during`"
        )
        raise invalid([Fault(at, "unsupported", detail)])
    return model.continuation


def check_observed(population: Population, model: Model) -> None:
    """Refuse observations that the task cannot use.

    Raises:
        Problem: 422 with a pointer to each curve that is longer than the task's.
    """
    if not population.observed:
        return
    continuation_of(model, pointer("architectures", next(iter(population.observed)), "observed"))
    most = model.card.epochs
    found = [
        Fault(pointer("architectures", index, "observed"), "too-long", f"{len(curve)} epochs; a curve has {most}")
        for index, curve in population.observed.items()
        if len(curve) > most
    ]
    if found:
        raise invalid(found)


async def continue_curves(
    service: Service,
    request: Request,
    model: Model,
    observed: Sequence[Sequence[float]],
    *,
    prior: Floats | None,
    best: float = 0.0,
) -> Continued:
    """Continue curves; many of them on a thread. See `Continuation.run` for the arguments.

    Raises:
        Problem: 504 when the request's deadline passes first.
    """
    run = partial(continuation_of(model, "/architectures").run, observed, prior=prior, best=best)
    if len(observed) <= SHORT:
        return run()
    return await aside(service.writers, request.scope["state"]["deadline"], run)


async def predict_population(
    service: Service, request: Request, model: Model, population: Population, epochs: tuple[int, ...]
) -> Curves:
    """Predict curves, continuing those of which some epochs were seen.

    Raises:
        Problem: as `predict_curves`.
    """
    if not population.observed:
        return await predict_curves(service, request, model, population.codes, epochs)
    whole = await predict_curves(service, request, model, population.codes, tuple(range(1, model.card.epochs + 1)))
    rows = list(population.observed)
    continued = await continue_curves(
        service, request, model, list(population.observed.values()), prior=whole.accuracy[rows]
    )
    columns = np.asarray(epochs) - 1

    def merged(before: Floats, after: Floats) -> Floats:
        curves = before.copy()
        curves[rows] = after
        return curves[:, columns]

    return Curves(
        merged(whole.accuracy, continued.accuracy),
        merged(whole.lower, continued.lower),
        merged(whole.upper, continued.upper),
        whole.distance,
    )
