"""Find the accuracy of networks that learn nothing, and below which predictions a network is one of them."""

import numpy as np
import torch
from numpy.typing import NDArray

from model.predictors.floor import Floor

Floats = NDArray[np.floating]
SHARE = 0.05
FEWEST = 5
STEPS = np.geomspace(0.002, 0.4, 16)  # of accuracy, between the level and the threshold
TIE = 1e-6
DECIMALS = 9


def _level(measured: Floats) -> float | None:
    """Return the accuracy that most networks share; `None` when no twentieth of them share one."""
    values, counts = np.unique(measured.round(DECIMALS), return_counts=True)
    if counts.max(initial=0) < max(FEWEST, SHARE * len(measured)):
        return None
    return float(values[counts.argmax()])


def _threshold(measured: Floats, predicted: Floats, level: float) -> float | None:
    """Return the threshold of least absolute error among those that do not raise the squared error."""
    error = predicted - measured
    least, chosen = float(np.abs(error).mean()), None
    for step in STEPS:
        floor = Floor(np.array([level]), np.array([level + step]))
        moved = apply_floor(floor, predicted[:, None], np.zeros(1, dtype=np.intp))[:, 0] - measured
        absolute = float(np.abs(moved).mean())
        if absolute < least and (moved**2).mean() <= (error**2).mean():
            least, chosen = absolute, float(level + step)
    return chosen


def fit_floor(measured: Floats, predicted: Floats) -> Floor:
    """Fit to out-of-fold predictions.

    Args:
        measured: accuracies [networks, epochs], NaN where not measured.
        predicted: same shape, by predictors not fitted to these networks; NaN where there is no prediction.

    Returns:
        A floor with a level and a threshold for each epoch; both 0 without an atom, or where none helps.
    """
    levels, thresholds = np.zeros((2, measured.shape[1]))
    for epoch in range(measured.shape[1]):
        known = ~np.isnan(measured[:, epoch] + predicted[:, epoch])
        level = _level(measured[known, epoch])
        threshold = None if level is None else _threshold(measured[known, epoch], predicted[known, epoch], level)
        if level is not None and threshold is not None:
            levels[epoch], thresholds[epoch] = level, threshold
    return Floor(levels, thresholds)


def apply_floor(floor: Floor, predicted: Floats, index: NDArray[np.intp] | None = None) -> Floats:
    """Return predictions [networks, epochs] with a floor under them, of all epochs or of those at `index`."""
    epochs = np.arange(predicted.shape[1]) if index is None else index
    return np.asarray(floor(torch.from_numpy(predicted), torch.from_numpy(epochs)).numpy())


def cross_floor(measured: Floats, predicted: Floats, fold: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return out-of-fold predictions [networks, epochs] with a floor that comes from the other folds alone."""
    floored = np.empty_like(predicted, dtype=np.float64)
    for number in np.unique(fold):
        out = fold == number
        floored[out] = apply_floor(fit_floor(measured[~out], predicted[~out]), predicted[out])
    return floored


def missed(residuals: Floats, measured: Floats, predicted: Floats, floored: Floats) -> NDArray[np.float64]:
    """Return residuals as an interval around both predictions sees them: 0 for what lies between the two."""
    low, high = np.minimum(predicted, floored) - TIE, np.maximum(predicted, floored) + TIE
    moved = np.abs(predicted - floored) > TIE
    return np.where(moved & (measured >= low) & (measured <= high), 0.0, residuals)
