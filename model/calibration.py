"""From standardised predictions to accuracies: the scale of curves, the chance level and the intervals."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

MIN_ACCURACY, MAX_ACCURACY = 0.01, 0.995  # accuracies are clipped to this range before the logit
ENOUGH_NETWORKS = 5  # that reached an epoch, to give it a mean and a spread
SMALLEST_SPREAD = 1e-3
QUANTILES = 65  # of a table's accuracies, at most
# Errors grow with the distance from what a predictor was fitted to: an uncertainty is widened beyond `FAR_FROM` of the
# threshold, by `MOST_FAR` at most. The study's experiment `extrapolation` measures what that covers.
FAR_FROM, FAR_SLOPE, MOST_FAR = 0.5, 2.0, 2.5
BEYOND = 3.0  # standard deviations beyond the best and the worst network that a prediction may lie


class StandardisedPrediction(NamedTuple):
    """A prediction on the scale that curves are standardised to.

    Attributes:
        curve: [batch, epochs].
        variance: of the ensemble members around it [batch, epochs].
        distance: from what the predictor was fitted to [batch].
    """

    curve: Floats
    variance: Floats
    distance: Floats


@dataclass(frozen=True, slots=True)
class Curves:
    """Predictions for a batch: accuracy and its interval [batch, epochs], out-of-distribution score [batch]."""

    accuracy: NDArray[np.float32]
    lower: NDArray[np.float32]
    upper: NDArray[np.float32]
    distance: NDArray[np.float32]


def logit(accuracy: Floats) -> Floats:
    """Return log-odds of accuracies clipped to `MIN_ACCURACY` and `MAX_ACCURACY`."""
    clipped = np.clip(accuracy, MIN_ACCURACY, MAX_ACCURACY)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


class ChanceLevel(NamedTuple):
    """The accuracy of networks that learn nothing, and the threshold below which it is predicted.

    Many networks end at exactly this accuracy, as those do that name one class for every image; a prediction of such a
    network can meet it exactly. Both are 0 where there is no such accuracy.
    """

    levels: Floats
    thresholds: Floats


def snap(accuracy: Floats, level: Floats | float, threshold: Floats | float) -> Floats:
    """Move accuracies below a threshold to the chance level.

    Above the threshold they rise twice as fast until they are as they were. The map is continuous and increasing.
    """
    return np.asarray(np.maximum(np.minimum(accuracy, 2 * (accuracy - threshold) + level), level))


def widened(distance: Floats) -> Floats:
    """Return the factor on the uncertainty of networks at a distance, in thresholds [batch]."""
    far = np.maximum(distance - FAR_FROM, 0)
    return np.asarray(np.minimum(1 + FAR_SLOPE * far, MOST_FAR))


def _stretched(lower: Floats, upper: Floats, least: Floats) -> tuple[Floats, Floats]:
    """Return intervals of accuracies that are at least so wide, about their middle as far as 0 and 1 allow."""
    lower = np.minimum(lower, np.maximum((lower + upper - least) / 2, 0))
    upper = np.maximum(upper, np.minimum(lower + least, 1))
    return np.minimum(lower, np.maximum(upper - least, 0)), upper


@dataclass(frozen=True)
class CurveScale:
    """How curves are standardised: by epoch, as they are or as log-odds.

    Attributes:
        mean: [epochs].
        std: [epochs].
        is_logit: whether log-odds are standardised.
    """

    mean: Floats
    std: Floats
    is_logit: bool

    @property
    def epochs(self) -> int:
        """Number of epochs of a curve."""
        return len(self.mean)

    @classmethod
    def unchanged(cls, epochs: int) -> "CurveScale":
        """Return the scale of accuracies as they are."""
        return cls(np.zeros(epochs), np.ones(epochs), is_logit=False)

    @classmethod
    def of_logits(cls, curves: Floats) -> "CurveScale":
        """Return the scale of log-odds with the mean and spread of curves [networks, epochs], NaN where not measured.

        Epochs that fewer than `ENOUGH_NETWORKS` reached are standardised as the last one before that enough reached,
        or else as the first such one.
        """
        values = logit(curves)
        enough = (~np.isnan(values)).sum(axis=0) >= ENOUGH_NETWORKS
        values = values[:, np.maximum.accumulate(np.where(enough, np.arange(len(enough)), enough.argmax()))]
        return cls(np.nanmean(values, axis=0), np.maximum(np.nanstd(values, axis=0), SMALLEST_SPREAD), is_logit=True)

    def standardise(self, curves: Floats) -> Floats:
        """Standardise measured accuracies [networks, epochs]; NaN stays NaN."""
        return np.asarray(((logit(curves) if self.is_logit else curves) - self.mean) / self.std)

    def to_accuracy(self, values: Floats, index: Ints | slice = slice(None)) -> Floats:
        """Return the accuracies of standardised values [..., epochs], of all epochs or those at the 0-based index."""
        values = values * self.std[index] + self.mean[index]
        return np.asarray(expit(values) if self.is_logit else np.clip(values, 0, 1))

    def arrays(self) -> dict[str, Floats]:
        """Return the numbers as named arrays."""
        return {"curve_mean": self.mean, "curve_std": self.std, "curve_is_logit": np.array(float(self.is_logit))}


@dataclass(frozen=True)
class QuantileScale:
    """How the one accuracy of a network is standardised: as the normal quantile of its rank.

    A few networks that failed do not stretch the scale, as they do that of log-odds.

    Attributes:
        logits: log-odds of accuracies, increasing [knots].
        normal: the normal quantiles that they are at, increasing [knots].
    """

    logits: Floats
    normal: Floats

    @property
    def epochs(self) -> int:
        """Number of epochs of a curve."""
        return 1

    @classmethod
    def of(cls, accuracies: Floats) -> "QuantileScale":
        """Return the scale of accuracies [networks]; equal ones share the mean of their quantiles."""
        count = min(len(accuracies), QUANTILES)
        shares = (np.arange(count) + 0.5) / count
        logits, groups = np.unique(np.quantile(logit(accuracies), shares), return_inverse=True)
        normal = np.bincount(groups, weights=ndtri(shares)) / np.bincount(groups)
        spread = max(float(logits[-1] - logits[0]), SMALLEST_SPREAD) / max(float(normal[-1] - normal[0]), 1.0)
        ends = np.array([-BEYOND, BEYOND])
        low, high = (values[[0, -1]] + ends * by for values, by in ((normal, 1), (logits, spread)))
        return cls(np.array([high[0], *logits, high[1]]), np.array([low[0], *normal, low[1]]))

    def standardise(self, curves: Floats) -> Floats:
        """Standardise measured accuracies [networks, 1]; NaN stays NaN."""
        return np.asarray(np.interp(logit(curves), self.logits, self.normal))

    def to_accuracy(self, values: Floats, index: Ints | slice = slice(None)) -> Floats:
        """Return the accuracies of standardised values [..., 1]."""
        del index
        return np.asarray(expit(np.interp(values, self.normal, self.logits)))

    def arrays(self) -> dict[str, Floats]:
        """Return the numbers as named arrays."""
        return {"quantile_logits": self.logits, "quantile_normal": self.normal}


def scale_of(curves: Floats) -> CurveScale | QuantileScale:
    """Return the scale of curves [networks, epochs]: by rank where there is one value, else of log-odds."""
    return QuantileScale.of(curves[:, 0]) if curves.shape[1] == 1 else CurveScale.of_logits(curves)


@dataclass(frozen=True)
class Calibration:
    """A scale, and what cross-validation says of predictions on it.

    The interval is split conformal: a factor for each epoch, `margins`, times a network's uncertainty, which grows with
    the disagreement of the members and with its distance from the training set; where the chance level moves a
    prediction, the interval reaches there too.

    Attributes:
        scale: of the curves.
        margins: [epochs].
        base_uncertainty: a network's uncertainty where the members agree.
        chance_level: [epochs] each.
        threshold: the distance beyond which networks are unlike the training set.
    """

    scale: CurveScale | QuantileScale
    margins: Floats
    base_uncertainty: float
    chance_level: ChanceLevel
    threshold: float

    @classmethod
    def without(cls, scale: CurveScale | QuantileScale) -> "Calibration":
        """Return a scale without intervals and chance level."""
        nothing = np.zeros(scale.epochs)
        return cls(scale, nothing, 1.0, ChanceLevel(nothing, nothing), np.inf)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Floats], threshold: float) -> "Calibration":
        """Undo `arrays`; the threshold stands in the card.

        Raises:
            KeyError: when one is missing.
        """
        scale: CurveScale | QuantileScale
        if "quantile_logits" in arrays:
            scale = QuantileScale(arrays["quantile_logits"], arrays["quantile_normal"])
        else:
            scale = CurveScale(arrays["curve_mean"], arrays["curve_std"], is_logit=bool(arrays["curve_is_logit"]))
        chance_level = ChanceLevel(arrays["chance_level"], arrays["chance_threshold"])
        return cls(scale, arrays["margins"], float(arrays["base_uncertainty"]), chance_level, threshold)

    def arrays(self) -> dict[str, Floats]:
        """Return everything as named arrays."""
        return self.scale.arrays() | {
            "margins": self.margins,
            "base_uncertainty": np.array(self.base_uncertainty),
            "chance_level": self.chance_level.levels,
            "chance_threshold": self.chance_level.thresholds,
        }

    def uncertainty(self, variance: Floats, distance: Floats) -> Floats:
        """Return the uncertainty of networks [batch, epochs], on the scale of the curves.

        Args:
            variance: of the members [batch, epochs].
            distance: from the training set [batch].
        """
        factor = widened(distance / self.threshold)
        return np.asarray(np.sqrt(variance + self.base_uncertainty**2) * factor[:, None])

    def _least_widths(self, distance: Floats, index: Ints) -> Floats:
        """Return how wide the intervals of networks at a distance are at least [batch, epochs].

        Near the ends of the scale an interval is narrow, as few errors are possible; in a network that is unlike the
        training set that may be wrong. From the threshold on, its interval is as wide as in the middle of the scale.
        """
        margin = self.base_uncertainty * self.margins[index]
        lower, upper = self.scale.to_accuracy(np.stack([-margin, margin]), index)
        factor = widened(distance / self.threshold)
        return np.asarray((factor * np.minimum(factor - 1, 1))[:, None] * (upper - lower))

    def curves(self, prediction: StandardisedPrediction, index: Ints) -> Curves:
        """Return accuracies and intervals; lower <= accuracy <= upper.

        Args:
            prediction: of the epochs at `index`.
            index: 0-based.
        """
        margin = self.uncertainty(prediction.variance, prediction.distance) * self.margins[index]
        values = np.stack([prediction.curve, prediction.curve - margin, prediction.curve + margin])
        raw, lower, upper = self.scale.to_accuracy(values, index)
        accuracy = snap(raw, *(values[index] for values in self.chance_level))
        lower, upper = _stretched(lower, upper, self._least_widths(prediction.distance, index))
        found = accuracy, np.minimum(lower, accuracy), np.maximum(upper, accuracy), prediction.distance
        return Curves(*(values.astype(np.float32) for values in found))
