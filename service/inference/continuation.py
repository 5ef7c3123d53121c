"""Predict curves, and continue those of which some epochs were observed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from model.loaded import Model
from model.requests.curves import continue_curves, every_epoch
from service.inference.batching import Ints
from service.inference.engine import Engine, Inference


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
    inference = await engine.predict(model, networks, every_epoch(model), deadline)
    return replace(inference, curves=continue_curves(model, inference.curves, observed, epochs))
