"""Ridge regressions that continue curves: one for each number of epochs seen and each epoch to come."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from training.fitting.calibrate import LEVEL, conformal_margins
from training.fitting.chance_level import cross_fit_chance_level, residuals_outside_interval

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]
STRENGTHS = np.logspace(-3, 3, 13)
QUANTILES = 199
NEVER = 1e6  # a logit that no accuracy reaches: the tail that too few residuals cannot tell
MIN_CURVES = 8


@dataclass(frozen=True)
class Ridges:
    """Weights for each number of epochs seen, float [epochs + 1, epochs, epochs + 3] (`model.curve_continuation`)."""

    weights: Floats

    def predict(self, logits: Floats, prior: Floats | None, seen: int) -> Floats:
        """Continue curves [networks, epochs], all on the logit scale, of which `seen` epochs are known."""
        epochs = logits.shape[1]
        weights = self.weights[seen]
        middle: Floats = logits[:, seen - 1 : seen] + logits[:, :seen] @ weights[:, :seen].T + weights[:, epochs + 2]
        if prior is not None:
            middle = middle + prior[:, seen - 1 : seen] * weights[:, epochs] + prior * weights[:, epochs + 1]
        return middle


def _fit_one(features: Floats, changes: Floats) -> tuple[Floats, Floats]:
    """Return coefficients [targets, features] and constants [targets] on the features as they are.

    Args:
        features: [networks, features].
        changes: [networks, targets]; each has a strength of its own.
    """
    scaler = StandardScaler().fit(features)
    fitted = RidgeCV(STRENGTHS, alpha_per_target=True).fit(scaler.transform(features), changes)
    coefficients = np.atleast_2d(fitted.coef_) / scaler.scale_
    return coefficients, fitted.intercept_ - coefficients @ scaler.mean_


def fit_ridges(logits: Floats, prior: Floats | None) -> Ridges:
    """Fit to whole curves.

    Args:
        logits: of the measured accuracies [networks, epochs], NaN where not measured.
        prior: of the curves predicted before training, by predictors not fitted to these networks; same shape.
    """
    epochs = logits.shape[1]
    weights = np.zeros((epochs + 1, epochs, epochs + 3))
    for seen in range(1, epochs):
        for targets in _alike(logits, seen) if prior is None else [[target] for target in range(seen, epochs)]:
            known = ~np.isnan(logits[:, [*range(seen), targets[0]]]).any(axis=1)
            if known.sum() < MIN_CURVES:
                continue  # stays at the last accuracy seen
            columns = [logits[known, :seen]]
            if prior is not None:
                columns.append(prior[known][:, [seen - 1, *targets]])
            changes = logits[known][:, targets] - logits[known, seen - 1 : seen]
            coefficients, constants = _fit_one(np.hstack(columns), changes)
            weights[seen, targets, :seen] = coefficients[:, :seen]
            weights[seen, targets, epochs : epochs + coefficients.shape[1] - seen] = coefficients[:, seen:]
            weights[seen, targets, epochs + 2] = constants
    return Ridges(weights)


def _alike(logits: Floats, seen: int) -> list[list[int]]:
    """Return the epochs to come, those together that the same networks reached: one regression fits them all."""
    groups: dict[bytes, list[int]] = {}
    for target in range(seen, logits.shape[1]):
        groups.setdefault(np.isnan(logits[:, target]).tobytes(), []).append(target)
    return list(groups.values())


@dataclass(frozen=True)
class CrossFitted:
    """Continuations of networks by regressions not fitted to them, on the logit scale.

    Attributes:
        predicted: [epochs + 1, networks, epochs]; NaN at 0 and `epochs` epochs seen.
        residuals: measured minus predicted, same shape, NaN where not measured or already seen.
        fold: which fold continued each network [networks].
    """

    predicted: Floats
    residuals: Floats
    fold: NDArray[np.intp]

    @property
    def raw(self) -> Floats:
        """Predicted accuracies, same shape as `predicted`."""
        return np.asarray(expit(self.predicted))

    @cached_property
    def snapped(self) -> Floats:
        """Predicted accuracies, snapped to chance levels that the other folds gave; same shape as `predicted`."""
        each = zip(self.measured, self.raw, strict=True)
        return np.stack([cross_fit_chance_level(measured, predicted, self.fold) for measured, predicted in each])

    @property
    def measured(self) -> Floats:
        """Measured accuracies to come, same shape as `predicted`; NaN where not measured or already seen."""
        return np.asarray(expit(self.predicted + self.residuals))

    @cached_property
    def residuals_outside_interval(self) -> Floats:
        """Residuals as the intervals see them, which reach to the snapped predictions too."""
        return residuals_outside_interval(self.residuals, self.measured, self.raw, self.snapped)


def cross_fit(logits: Floats, prior: Floats | None, fold: NDArray[np.intp]) -> CrossFitted:
    """Fit to all folds but one and continue that one, in turn."""
    networks, epochs = logits.shape
    predicted = np.full((epochs + 1, networks, epochs), np.nan)
    for number in np.unique(fold):
        out, rest = fold == number, fold != number
        ridges = fit_ridges(logits[rest], None if prior is None else prior[rest])
        for seen in range(1, epochs):
            continued = ridges.predict(logits[out], None if prior is None else prior[out], seen)
            predicted[seen, out, seen:] = continued[:, seen:]
    return CrossFitted(predicted, logits - predicted, fold)


def replace_if_worse_than_baseline(ridges: Ridges, crossed: CrossFitted, logits: Floats, prior: Floats | None) -> int:
    """Replace regressions that lose, out of fold, to the last accuracy seen or to the prior; return how many.

    The replaced entries of `crossed` are replaced as well, so that intervals follow.
    """
    epochs = logits.shape[1]
    replaced = 0
    for seen in range(1, epochs):
        for target in range(seen, epochs):
            if np.isnan(crossed.residuals[seen, :, target]).all():
                continue  # no curve goes that far
            baselines = {"last": logits[:, seen - 1]}
            if prior is not None:
                baselines["prior"] = prior[:, target]
            errors = {name: np.nanmean((logits[:, target] - baseline) ** 2) for name, baseline in baselines.items()}
            best = min(errors, key=lambda name: errors[name])
            if errors[best] >= np.nanmean(crossed.residuals[seen, :, target] ** 2):
                continue
            replaced += 1
            row = ridges.weights[seen, target]
            row[:] = 0
            if best == "prior":
                row[seen - 1], row[epochs + 1] = -1, 1
            crossed.predicted[seen, :, target] = baselines[best]
            crossed.residuals[seen, :, target] = logits[:, target] - baselines[best]
    return replaced


def margins(crossed: CrossFitted, chosen: Mask, level: float = LEVEL) -> Floats:
    """Return half widths [epochs + 1, epochs] that cover `level` of the chosen networks' residuals, split conformal.

    Epochs that few curves reach borrow the widest margin, whatever was seen (`conformal_margins`).
    """
    count, _, epochs = crossed.residuals.shape
    widths = np.zeros((count, epochs))
    seen, target = np.triu_indices(count, m=epochs)
    seen, target = seen[seen > 0], target[seen > 0]
    residuals = crossed.residuals_outside_interval[:, chosen][seen, :, target].T
    if residuals.size:
        widths[seen, target] = conformal_margins(residuals, np.ones_like(residuals), level)
    for after in range(1, epochs):
        if np.isnan(crossed.residuals[after, chosen]).all():
            widths[after, after:] = NEVER  # nothing was measured after this epoch: anything may come
    return widths


def final_quantiles(crossed: CrossFitted, chosen: Mask, count: int = QUANTILES) -> Floats:
    """Return quantiles [epochs + 1, count] of the chosen networks' final residuals, rounded up to the next residual.

    Too few residuals to know a tail make it endless, so that nothing is stopped for lack of evidence.
    """
    table = np.full((len(crossed.residuals), count), NEVER)
    for seen in range(1, crossed.residuals.shape[2]):
        final = crossed.residuals[seen, chosen, -1]
        final = np.sort(final[~np.isnan(final)])
        ranks = np.ceil((len(final) + 1) * np.arange(1, count + 1) / (count + 1)).astype(int) - 1
        inside = ranks < len(final)
        table[seen, inside] = final[ranks[inside]]
    return table
