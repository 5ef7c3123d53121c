"""Predict curves, and refine those of which scores or some epochs are known."""

import asyncio
from dataclasses import replace

from model.loaded import Model
from model.requests.curves import every_epoch, refine_curves
from model.requests.networks import Networks
from service.inference.engine import Engine, Inference


async def predict_or_refine(
    engine: Engine,
    model: Model,
    networks: Networks,
    epochs: tuple[int, ...],
    deadline: float,
) -> Inference:
    """Return the curves of a request's networks at 1-based epochs.

    Raises:
        Problem, TimeoutError: as `Engine.predict`.
    """
    if not (networks.observed or networks.proxies):
        return await engine.predict(model, networks.codes, epochs, deadline)
    inference = await engine.predict(model, networks.codes, every_epoch(model), deadline)
    if networks.proxies:
        curves = await asyncio.to_thread(refine_curves, model, inference.curves, networks, epochs)
    else:
        curves = refine_curves(model, inference.curves, networks, epochs)
    return replace(inference, curves=curves)
