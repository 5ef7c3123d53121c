"""How unlike the networks of a training set a network is, as its weights show it; 1.0 is the threshold."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .gaussian_process import squared_distances
from .weight_features import FEATURES, KINDS, Floats

_SUMMARIES = ("mean", "min", "max")
_STATISTICS = ("log_deviation", "log_largest", "mean", "range", "peak", "log_fan_in")
COMPARED = (
    *(f"{kind}.tensors" for kind in KINDS),
    *(".".join(names) for names in product(KINDS, _SUMMARIES, _STATISTICS)),
)
"""Features that are compared: how many tensors of each kind there are, how large and how spread their values are."""
_COLUMNS = [FEATURES.index(name) for name in COMPARED]
_LEAST_DEVIATION = 0.01
_MOST_DEVIATIONS = 10.0  # a kind of tensor that is always there, or never, decides; by how much does not matter
_SHAPES = {"mean": (len(COMPARED),), "deviation": (len(COMPARED),), "threshold": ()}


class WeightsDistance:
    """Measures the distance to the nearest of the networks that a predictor was fitted to.

    Args:
        mean: of the networks' features [compared].
        deviation: their standard deviation [compared].
        known: the networks, standardised [networks, compared].
        threshold: root mean square difference from the nearest that stands for a distance of 1.
    """

    def __init__(
        self, mean: NDArray[Any], deviation: NDArray[Any], known: NDArray[Any], threshold: NDArray[Any]
    ) -> None:
        self._mean, self._deviation, self._threshold = mean, deviation, float(threshold)
        self._known = known.astype(np.float64)
        self._norms = (self._known**2).sum(1)

    @classmethod
    def fit(cls, summary: Floats, groups: NDArray[np.str_], share: float) -> "WeightsDistance":
        """Take some networks as known.

        Args:
            summary: `features` of each network [networks, features].
            groups: the architecture of each, of at least two.
            share: of the networks that is within the threshold of the nearest of another architecture.
        """
        values = summary[:, _COLUMNS]
        mean, deviation = values.mean(0), np.maximum(values.std(0), _LEAST_DEVIATION)
        known = _standardised(values, mean, deviation).astype(np.float16)  # what is stored
        squares = squared_distances(known.astype(float), known.astype(float))
        squares[groups[:, None] == groups] = np.inf
        threshold = np.quantile(np.sqrt(squares.min(1) / len(COMPARED)), share)
        return cls(mean, deviation, known, np.asarray(threshold))

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> "WeightsDistance":
        """Return what `arrays` gave.

        Raises:
            ValueError: when an array is missing, of another shape or not finite.
        """
        for name, shape in {**_SHAPES, "known": (len(arrays.get("known", ())), len(COMPARED))}.items():
            if name not in arrays or arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
                raise ValueError(f"its array {name} is missing or malformed")
        if not (len(arrays["known"]) and arrays["threshold"] > 0 and (arrays["deviation"] > 0).all()):
            raise ValueError("its arrays hold no networks, or scales that are not positive")
        return cls(**{name: arrays[name] for name in (*_SHAPES, "known")})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is stored."""
        known = self._known.astype(np.float16)
        return {
            "mean": self._mean,
            "deviation": self._deviation,
            "known": known,
            "threshold": np.array(self._threshold),
        }

    def __call__(self, summary: Floats) -> Floats:
        """Return the distances [networks] of networks with these `features` [networks, features]."""
        standardised = _standardised(summary[:, _COLUMNS], self._mean, self._deviation)
        nearest = squared_distances(standardised, self._known, self._norms).min(1)
        return np.asarray(np.sqrt(nearest / len(COMPARED)) / self._threshold)


def _standardised(values: Floats, mean: Floats, deviation: Floats) -> Floats:
    return np.clip((values - mean) / deviation, -_MOST_DEVIATIONS, _MOST_DEVIATIONS)
