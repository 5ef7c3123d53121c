"""Find the accuracy of networks that learn nothing, and below which predictions a network is one of them."""

import numpy as np
from numpy.typing import NDArray

from model.calibration import ChanceLevel, snap

Floats = NDArray[np.floating]
SHARE = 0.05
MIN_TIED = 5
STEPS = np.geomspace(0.002, 0.4, 16)  # of accuracy, between the level and the threshold
TIE = 1e-6
DECIMALS = 9


def _level(measured: Floats) -> float | None:
    """Return the accuracy that most networks share; `None` when no twentieth of them share one."""
    values, counts = np.unique(measured.round(DECIMALS), return_counts=True)
    if counts.max(initial=0) < max(MIN_TIED, SHARE * len(measured)):
        return None
    return float(values[counts.argmax()])


def _threshold(measured: Floats, predicted: Floats, level: float) -> float | None:
    """Return the threshold of least absolute error among those that do not raise the squared error."""
    error = predicted - measured
    least, chosen = float(np.abs(error).mean()), None
    for step in STEPS:
        moved = snap(predicted, level, level + step) - measured
        absolute = float(np.abs(moved).mean())
        if absolute < least and (moved**2).mean() <= (error**2).mean():
            least, chosen = absolute, float(level + step)
    return chosen


def fit_chance_level(measured: Floats, predicted: Floats) -> ChanceLevel:
    """Fit to out-of-fold predictions.

    Args:
        measured: accuracies [networks, epochs], NaN where not measured.
        predicted: same shape, by predictors not fitted to these networks; NaN where there is no prediction.

    Returns:
        A chance level with a level and a threshold for each epoch; both 0 without an atom, or where none helps.
    """
    levels, thresholds = np.zeros((2, measured.shape[1]))
    for epoch in range(measured.shape[1]):
        known = ~np.isnan(measured[:, epoch] + predicted[:, epoch])
        level = _level(measured[known, epoch])
        threshold = None if level is None else _threshold(measured[known, epoch], predicted[known, epoch], level)
        if level is not None and threshold is not None:
            levels[epoch], thresholds[epoch] = level, threshold
    return ChanceLevel(levels, thresholds)


def cross_fit_chance_level(measured: Floats, predicted: Floats, fold: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return out-of-fold predictions [networks, epochs], each snapped to the chance level of the other folds."""
    snapped = np.empty_like(predicted, dtype=np.float64)
    for number in np.unique(fold):
        out = fold == number
        snapped[out] = snap(predicted[out], *fit_chance_level(measured[~out], predicted[~out]))
    return snapped


def residuals_outside_interval(
    residuals: Floats, measured: Floats, predicted: Floats, snapped: Floats
) -> NDArray[np.float64]:
    """Return residuals as an interval around both predictions sees them: 0 for what lies between the two."""
    low, high = np.minimum(predicted, snapped) - TIE, np.maximum(predicted, snapped) + TIE
    moved = np.abs(predicted - snapped) > TIE
    return np.where(moved & (measured >= low) & (measured <= high), 0.0, residuals)
