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
    whole = inference.curves
    rows = list(observed)
    continued = model.continuation.run([observed[row] for row in rows], prior=whole.accuracy[rows])
    columns = np.asarray(epochs) - 1

    def merge(before: Floats, after: Floats) -> Floats:
        curves = before.copy()
        curves[rows] = after
        return curves[:, columns]

    curves = Curves(
        merge(whole.accuracy, continued.accuracy),
        merge(whole.lower, continued.lower),
        merge(whole.upper, continued.upper),
        whole.distance,
    )
    return replace(inference, curves=curves)
