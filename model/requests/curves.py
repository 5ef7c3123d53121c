"""The curves of encoded networks, in process; and curves that go on from what was observed."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..encoding.layer_code import pad
from ..loaded import Model
from ..runtime import Curves, Floats
from .networks import Ints, Networks

BATCH = 256


def predict_curves(model: Model, networks: Networks, epochs: tuple[int, ...]) -> Curves:
    """Return the curves of a request's networks at 1-based epochs; those that were observed are continued."""
    if not networks.observed:
        return untrained_curves(model, networks.codes, epochs)
    whole = untrained_curves(model, networks.codes, every_epoch(model))
    return continue_curves(model, whole, networks.observed, epochs)


def every_epoch(model: Model) -> tuple[int, ...]:
    """Return all epochs of the task."""
    return tuple(range(1, model.card.epochs + 1))


def untrained_curves(model: Model, codes: Sequence[Ints], epochs: tuple[int, ...]) -> Curves:
    """Predict networks in batches of similar length.

    Args:
        model: the predictor.
        codes: int32 [layers, columns] of each network.
        epochs: 1-based.
    """
    by_length = sorted(range(len(codes)), key=lambda index: len(codes[index]))
    accuracy, lower, upper = (np.empty((len(codes), len(epochs)), dtype=np.float32) for _ in range(3))
    distance = np.empty(len(codes), dtype=np.float32)
    for start in range(0, len(codes), BATCH):
        chosen = by_length[start : start + BATCH]
        curves = model.predictor.run(*pad([codes[index] for index in chosen]), epochs)
        accuracy[chosen], lower[chosen], upper[chosen] = curves.accuracy, curves.lower, curves.upper
        distance[chosen] = curves.distance
    return Curves(accuracy, lower, upper, distance)


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
