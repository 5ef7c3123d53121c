"""Support vectors that predict where curves end, beside the ridges, from the same logits and prior."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import NuSVR

from model.curve_continuation import GAMMA, kernel_features
from training.curves.ridges import CrossFitted, Mask

Floats = NDArray[np.floating]
SHARES = (0.0, 0.5, 1.0)
MIN_WHOLE_CURVES = 40


def _features(logits: Floats, prior: Floats | None, seen: int) -> Floats:
    known = np.zeros_like(logits) if prior is None else prior
    return kernel_features(logits, known, np.full(len(logits), seen))


@dataclass(frozen=True)
class Kernels:
    """Radial support vectors for each number of epochs seen; the last accuracy seen is added to their output.

    Attributes:
        points: logits of the networks fitted to [points, epochs], not measured ones 0.
        prior: their logits predicted before training, 0 where there is none, same shape.
        scale: what features are multiplied with, float [epochs + 1, 3 * epochs - 1].
        coefficients: of each point, float [epochs + 1, points].
        constant: float [epochs + 1].
        share: of the support vectors in the final accuracy, float [epochs + 1]; the rest is the ridges'.
    """

    points: Floats
    prior: Floats
    scale: Floats
    coefficients: Floats
    constant: Floats
    share: Floats

    def predict(self, logits: Floats, prior: Floats | None, seen: int) -> Floats:
        """Return final logits [networks]."""
        query = _features(logits, prior, seen) * self.scale[seen]
        points = _features(self.points, self.prior, seen) * self.scale[seen]
        squared = (query**2).sum(1)[:, None] + (points**2).sum(1) - 2 * query @ points.T
        final: Floats = np.exp(-GAMMA * squared) @ self.coefficients[seen] + self.constant[seen] + logits[:, seen - 1]
        return final


def fit_kernels(logits: Floats, prior: Floats | None) -> Kernels:
    """Fit to the curves that go to the last epoch; where they are too few the last accuracy seen stands.

    Args:
        logits: of the measured accuracies [networks, epochs], NaN where not measured.
        prior: of the curves predicted before training, by predictors not fitted to these networks; same shape.
    """
    whole: Mask = np.asarray(~np.isnan(logits).any(axis=1))
    epochs = logits.shape[1]
    points = np.where(whole[:, None], logits, 0)
    scale, constant = np.zeros((epochs + 1, 3 * epochs - 1)), np.zeros(epochs + 1)
    coefficients = np.zeros((epochs + 1, len(points)))
    for seen in range(1, epochs if whole.sum() >= MIN_WHOLE_CURVES else 1):
        change = (logits[:, -1] - logits[:, seen - 1])[whole]
        spread = float(change.std())
        if spread == 0:
            continue
        features = _features(points, prior, seen)[whole]
        pipeline = make_pipeline(StandardScaler(), NuSVR(nu=0.5, C=10.0, gamma=GAMMA, max_iter=200_000))
        scaler, machine = (step for _, step in pipeline.fit(features, change / spread).steps)
        scale[seen] = np.where(scaler.var_ > 0, 1 / scaler.scale_, 0)
        coefficients[seen, np.flatnonzero(whole)[machine.support_]] = machine.dual_coef_[0] * spread
        constant[seen] = machine.intercept_[0] * spread
    known = np.zeros_like(points) if prior is None else prior
    return Kernels(points, known, scale, coefficients, constant, np.zeros(epochs + 1))


def _best_share(final: Floats, ridge: Floats, kernel: Floats) -> float:
    """Return which share of the kernel's answer has the least squared error in accuracy."""

    def error(share: float) -> float:
        predicted = 1 / (1 + np.exp(-(ridge + share * (kernel - ridge))))
        return float(np.nanmean((1 / (1 + np.exp(-final)) - predicted) ** 2))

    return min(SHARES, key=error)


def ramp(epochs: int, seen: int) -> Floats:
    """How much of a correction of the final accuracy each epoch to come gets [epochs - seen], growing evenly to 1."""
    return np.arange(1, epochs - seen + 1) / (epochs - seen)


def add_kernels(
    crossed: CrossFitted, logits: Floats, prior: Floats | None, fold: NDArray[np.intp]
) -> tuple[CrossFitted, Kernels]:
    """Blend support vectors into continuations; each fold's share is the best one of the other folds.

    Args:
        crossed: out-of-fold continuations by ridges.
        logits: of the measured accuracies [networks, epochs], NaN where not measured.
        prior: of the curves predicted before training, same shape.
        fold: of the cross-validation [networks].

    Returns:
        The blended continuations, and support vectors fitted to all networks.
    """
    epochs = logits.shape[1]
    final = np.full((epochs + 1, len(logits)), np.nan)
    for number in np.unique(fold):
        out, rest = fold == number, fold != number
        fitted = fit_kernels(logits[rest], None if prior is None else prior[rest])
        for seen in range(1, epochs):
            final[seen, out] = fitted.predict(logits[out], None if prior is None else prior[out], seen)
    predicted, share = crossed.predicted.copy(), np.zeros(epochs + 1)
    enough = (~np.isnan(logits).any(axis=1)).sum() >= 2 * MIN_WHOLE_CURVES
    for seen in range(1, epochs if enough else 1):
        ridge = crossed.predicted[seen, :, -1]
        for number in np.unique(fold):
            out, rest = fold == number, fold != number
            chosen = _best_share(logits[rest, -1], ridge[rest], final[seen, rest])
            correction = np.nan_to_num(chosen * (final[seen, out] - ridge[out]))
            predicted[seen, out, seen:] += correction[:, None] * ramp(epochs, seen)
        share[seen] = _best_share(logits[:, -1], ridge, final[seen])
    return CrossFitted(predicted, logits - predicted, fold), replace(fit_kernels(logits, prior), share=share)
