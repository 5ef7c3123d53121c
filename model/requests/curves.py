"""The curves of encoded networks, in process; and curves that go on from what was observed."""

from collections.abc import Sequence

import numpy as np

from ..curve_continuation import Continued
from ..encoding.layer_code import pad
from ..loaded import Model
from ..runtime import Curves, Floats
from .networks import Ints, Networks

BATCH = 256


def predict_curves(model: Model, networks: Networks, epochs: tuple[int, ...]) -> Curves:
    """Return the curves of a request's networks at 1-based epochs; observed ones are continued, scores are read."""
    if not (networks.observed or networks.proxies):
        return untrained_curves(model, networks.codes, epochs)
    whole = untrained_curves(model, networks.codes, every_epoch(model))
    return refine_curves(model, whole, networks, epochs)


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


def refine_curves(model: Model, whole: Curves, networks: Networks, epochs: tuple[int, ...]) -> Curves:
    """Return curves at some epochs: what their scores and their observed epochs say of networks is taken in.

    Args:
        model: with a continuation if networks were observed, with a reader of scores if they have any.
        whole: as predicted from the layers, at every epoch of the task.
        networks: of the request.
        epochs: 1-based.
    """
    if networks.proxies:
        assert model.proxies is not None  # noqa: S101 - without a reader no scores are read
        rows = list(networks.proxies)
        before = Curves(whole.accuracy[rows], whole.lower[rows], whole.upper[rows], whole.distance[rows])
        codes = [networks.codes[row] for row in rows]
        whole = _replaced(whole, rows, model.proxies.run(codes, [networks.proxies[row] for row in rows], before))
    if networks.observed:
        assert model.continuation is not None  # noqa: S101 - without one, `observed` is rejected
        rows = list(networks.observed)
        observed = [networks.observed[row] for row in rows]
        whole = _replaced(whole, rows, model.continuation.run(observed, prior=whole.accuracy[rows]))
    columns = np.asarray(epochs) - 1
    return Curves(whole.accuracy[:, columns], whole.lower[:, columns], whole.upper[:, columns], whole.distance)


def _replaced(curves: Curves, rows: Sequence[int], by: Curves | Continued) -> Curves:
    """Return curves of which some rows are replaced by others; the distances stay."""

    def merge(before: Floats, after: Floats) -> Floats:
        merged = before.copy()
        merged[rows] = after
        return merged

    return Curves(
        merge(curves.accuracy, by.accuracy),
        merge(curves.lower, by.lower),
        merge(curves.upper, by.upper),
        curves.distance,
    )
