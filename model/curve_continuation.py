"""How a curve goes on after the epochs seen: linear models and support vectors, by epochs seen.

On the logit scale, an epoch is predicted from the accuracies seen and from what was predicted before training: the last
accuracy seen plus a ridge regression of the rest. Staying where it is, or following the curve predicted before
training, are special cases. Radial support vectors on the same numbers and their differences have a share in the final
accuracy; what they change grows evenly from the last epoch seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from .calibration import logit, snap

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

GAMMA = 0.01
MOST_MILESTONES = 32


@dataclass(frozen=True, slots=True)
class Continued:
    """Continued curves: accuracy and its interval [batch, epochs]; probability of ending at or below `best` [batch].

    Epochs that were seen are returned as they were seen, with an interval of no width.
    """

    accuracy: NDArray[np.float32]
    lower: NDArray[np.float32]
    upper: NDArray[np.float32]
    below: NDArray[np.float32]


def milestones(epochs: int, most: int = MOST_MILESTONES) -> NDArray[np.intp]:
    """Return the epochs, from 1, that stand for a curve: all when they are few, else at growing distances.

    Regressions for every pair of epochs grow with the square of a curve's length: 200 epochs would be tens of megabytes
    and many minutes of fitting, to tell apart epochs that say the same. Milestones stand close together at first, where
    a curve bends and where a run is best stopped, and include the last epoch.
    """
    if epochs <= most:
        return np.arange(1, epochs + 1)
    growing = np.ceil(epochs * (np.arange(2, most + 1) / most) ** 2).astype(np.intp)
    return np.unique([1, *growing])


def kernel_features(logits: Floats, prior: Floats, seen: Ints) -> Floats:
    """Return logits, first and second differences, and the prior at the last epoch seen and at the end.

    Float [networks, 3 * epochs - 1]; what is not yet measured after `seen` epochs [networks] is 0.
    """
    parts = []
    for lag in range(3):
        part = np.diff(logits, n=lag, axis=1)
        parts.append(np.where(np.arange(part.shape[1]) + lag < seen[:, None], part, 0))
    return np.hstack([*parts, prior[np.arange(len(prior)), seen - 1, None], prior[:, -1:]])


@dataclass(frozen=True)
class CurveContinuation:
    """A fitted continuation.

    Arrays are about m milestones and are indexed by whether there is a prior (0, 1) and by milestones seen (0 to m).

    Attributes:
        milestones: see `milestones` [m].
        weights: for each predicted epoch, of the logits seen, of the prior at the last epoch seen, of the prior at the
            predicted epoch, and the constant [2, m + 1, m, m + 3].
        margins: half widths of the intervals, in logits [2, m + 1, m].
        residuals: quantiles, at equal steps, of measured minus predicted final logits [2, m + 1, steps].
        points: logits of the networks behind the support vectors [points, m].
        point_priors: their logits as predicted before training [points, m].
        scale: factors of `kernel_features` [2, m + 1, 3 * m - 1].
        coefficients: of each point [2, m + 1, points].
        constant: of the support vectors [2, m + 1].
        share: of the support vectors in the final accuracy [2, m + 1].
        levels: the chance level [2, m + 1, m]; 0 where there is none.
        thresholds: accuracies below which it is predicted [2, m + 1, m].
    """

    milestones: Ints
    weights: Floats
    margins: Floats
    residuals: Floats
    points: Floats
    point_priors: Floats
    scale: Floats
    coefficients: Floats
    constant: Floats
    share: Floats
    levels: Floats
    thresholds: Floats

    @property
    def epochs(self) -> int:
        """Number of epochs of a curve."""
        return int(self.milestones[-1])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the fitted numbers as named arrays."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "CurveContinuation":
        """Undo `arrays`.

        Raises:
            KeyError: when one is missing.
        """
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})

    def run(self, observed: Floats, seen: Ints, prior: Floats, best: Floats) -> Continued:
        """Continue curves.

        What was seen after the last milestone that was passed waits for the next one: regressions that take it for the
        milestone's own are far off where a learning rate drops. What lies between two milestones is on the line that
        joins them, as uncertain as the later one.

        Args:
            observed: accuracies seen [batch, epochs]; what lies behind them does not matter.
            seen: number of epochs [batch].
            prior: accuracies predicted before training [batch, epochs]; negative where there is no prediction.
            best: final accuracies to compare with [batch].
        """
        passed = (self.milestones <= seen[:, None]).sum(1)
        at = self.milestones - 1
        middle, low, high, below = self._at_milestones(observed[:, at], passed, prior[:, at], best)
        every = np.arange(1, self.epochs + 1)
        between = np.stack([np.interp(every, self.milestones, one) for one in np.eye(len(at))])
        later = np.searchsorted(self.milestones, every)
        along = middle @ between
        curves = along, along - (middle - low)[:, later], along + (high - middle)[:, later]
        was_seen = every <= seen[:, None]
        accuracy, lower, upper = (np.where(was_seen, observed, np.clip(curve, 0, 1)) for curve in curves)
        return Continued(*(part.astype(np.float32) for part in (accuracy, lower, upper, below)))

    def _at_milestones(
        self, observed: Floats, seen: Ints, prior: Floats, best: Floats
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """Return accuracies, lower and upper ends of their intervals [batch, m], and probabilities [batch]."""
        count = observed.shape[1]
        was_seen = np.arange(count) < seen[:, None]
        has_prior = prior[:, 0] >= 0
        row = has_prior.astype(np.intp), seen
        logits = np.where(was_seen, logit(observed), 0)
        before = np.where(has_prior[:, None], logit(prior), 0)
        last = logits[np.arange(len(seen)), seen - 1]
        before_at_last = before[np.arange(len(seen)), seen - 1, None]
        weights = self.weights[row]
        change = np.einsum("bes,bs->be", weights[:, :, :count], logits) + weights[:, :, count] * before_at_last
        middle = last[:, None] + change + weights[:, :, count + 1] * before + weights[:, :, count + 2]
        correction = self.share[row] * (self._final(row, logits, before) + last - middle[:, -1])
        ahead = (np.arange(1, count + 1) - seen[:, None]) / np.maximum(count - seen, 1)[:, None]
        middle += correction[:, None] * np.maximum(ahead, 0)
        margin = self.margins[row]
        accuracy = snap(expit(middle), self.levels[row], self.thresholds[row])
        lower, upper = np.minimum(expit(middle - margin), accuracy), np.maximum(expit(middle + margin), accuracy)
        residuals = self.residuals[row]
        room = logit(best) - middle[:, -1]
        estimated = (residuals <= room[:, None]).sum(1) / (residuals.shape[1] + 1)
        below = np.where(was_seen[:, -1], observed[:, -1] <= best, estimated)
        accuracy, lower, upper = (np.where(was_seen, observed, part) for part in (accuracy, lower, upper))
        return accuracy, lower, upper, below

    def _final(self, row: tuple[Ints, Ints], logits: Floats, before: Floats) -> Floats:
        """Return the change to the final logit that the support vectors predict [batch].

        Squared distances are expanded, so that no [batch, points, features] is held.
        """
        every = np.full(len(self.points), self.points.shape[1])
        scale = self.scale[row]  # 0 for what is not seen yet
        features = scale * kernel_features(logits, before, row[1])
        points = kernel_features(self.points, self.point_priors, every)
        # The prior at the last epoch seen is another column for each number of epochs seen.
        points[:, -2] = 0
        squares = (features**2).sum(1, keepdims=True) + scale**2 @ (points**2).T - 2 * (features * scale) @ points.T
        known = self.point_priors[:, row[1] - 1].T * scale[:, -2:-1]
        squares += known**2 - 2 * features[:, -2:-1] * known
        return np.asarray((np.exp(-GAMMA * squares) * self.coefficients[row]).sum(1) + self.constant[row])
