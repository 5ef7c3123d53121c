"""Predict curves, and continue those of which some epochs were observed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from model.runtime import Curves, Floats
from service.inference.batching import Ints
from service.inference.engine import Engine, Inference
from service.inference.registry import Model


async def predict_or_continue(
    engine: Engine,
    model: Model,
    networks: Sequence[Ints],
    observed: Mapping[int, Sequence[float]],
    epochs: tuple[int, ...],
    deadline: float,
) -> Inference:
    """Return the curves of networks; `observed` holds the accuracies seen so far by index of the network.

    Raises:
        Problem, TimeoutError: as `Engine.predict`.
    """
    if not observed or model.continuation is None:
        return await engine.predict(model, networks, epochs, deadline)
    inference = await engine.predict(model, networks, tuple(range(1, model.card.epochs + 1)), deadline)
    return replace(inference, curves=continue_curves(model, inference.curves, observed, epochs))


def continue_curves(
    model: Model, whole: Curves, observed: Mapping[int, Sequence[float]], epochs: tuple[int, ...]
) -> Curves:
    """Return curves at some epochs; those of networks that were observed are continued.

    Args:
        model: with a continuation.
        whole: as predicted before training, at every epoch of the task.
        observed: accuracies seen so far, by index of the network; at least one.
        epochs: 1-based.
    """
    assert model.continuation is not None  # noqa: S101 - without one, `observed` is rejected
    rows = list(observed)
    continued = model.continuation.run([observed[row] for row in rows], prior=whole.accuracy[rows])
    columns = np.asarray(epochs) - 1

    def merge(before: Floats, after: Floats) -> Floats:
        curves = before.copy()
        curves[rows] = after
        return curves[:, columns]

    return Curves(
        merge(whole.accuracy, continued.accuracy),
        merge(whole.lower, continued.lower),
        merge(whole.upper, continued.upper),
        whole.distance,
    )
