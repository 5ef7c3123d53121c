"""The predictors that ship: a Gaussian process on hand features of networks, with or without neural members."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .calibration import StandardisedPrediction
from .encoding.edges import corrections
from .encoding.features import attributes, layer_features
from .encoding.hand_features import hand_features, places
from .encoding.layer_code import table_1
from .gaussian_process import GaussianProcess
from .network.shapes import Shape

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
RunNetwork = Callable[[Mapping[str, NDArray[Any]]], Sequence[NDArray[Any]]]  # from named inputs to outputs in order

LARGEST_FEATURE = 8.0  # standard deviations
SMALLEST_SPREAD = 0.01  # a feature that hardly varies is not blown up to unit variance
RANGE_TOLERANCE = 1e-3  # standard deviations; rounding is not a distance


def no_members(_: Mapping[str, NDArray[Any]]) -> Sequence[NDArray[Any]]:
    """Stand for the neural members where there are none."""
    return ()


@dataclass(frozen=True)
class FeatureScaler:
    """Scales hand features by the networks that a predictor is fitted to, and keeps those that tell most.

    Attributes:
        names: of the features that it scales (`model.encoding.hand_features`).
        spread: standard deviation of each feature [features].
        low: smallest value of each [features].
        high: largest value of each [features].
        kept: places of those that are read [kept].
        mean: of each of these [kept].
        stretch: factor that makes relevant features count more in distances [kept].
    """

    names: tuple[str, ...]
    spread: Floats
    low: Floats
    high: Floats
    kept: Ints
    mean: Floats
    stretch: Floats

    @classmethod
    def fit(cls, names: Sequence[str], features: Floats, relevance: Floats, keep: int) -> "FeatureScaler":
        """Fit to the features of networks.

        Args:
            names: of the features.
            features: [networks, features].
            relevance: share of what is to be predicted that each feature tells [features].
            keep: how many to keep, the most relevant ones.
        """
        kept = np.sort(np.argsort(-relevance, kind="stable")[:keep])
        spread = np.maximum(features.std(axis=0), SMALLEST_SPREAD)
        low, high, mean = features.min(axis=0), features.max(axis=0), features.mean(axis=0)[kept]
        return cls(tuple(names), spread, low, high, kept, mean, np.sqrt(relevance[kept] * len(kept)))

    def __call__(self, features: Floats) -> tuple[Floats, Floats]:
        """Scale features of these names [batch, features].

        Returns:
            The kept ones in standard deviations from the mean, stretched [batch, kept]; and the mean square, over all
            features in standard deviations, of what lies beyond the range of the fit [batch].
        """
        beyond = np.maximum(self.low - features, features - self.high) / self.spread - RANGE_TOLERANCE
        beyond = np.minimum(np.maximum(beyond, 0), LARGEST_FEATURE)
        values = (features[:, self.kept] - self.mean) / self._kept_spread
        values = np.minimum(np.maximum(values, -LARGEST_FEATURE), LARGEST_FEATURE)
        return values * self.stretch, np.einsum("bf,bf->b", beyond, beyond) / len(self.names)

    @cached_property
    def _kept_spread(self) -> Floats:
        return np.asarray(self.spread[self.kept])


@dataclass(frozen=True)
class Ensemble:
    """A Gaussian process, blended with the mean of neural members where there are any.

    Attributes:
        image: shape of the task's images.
        scaler: of the hand features.
        process: predicts standardised curves from scaled features.
        process_share: of the blend; 1 where there are no members.
    """

    image: Shape
    scaler: FeatureScaler
    process: GaussianProcess
    process_share: float

    # The network's inputs: Table 1's columns of the codes, the features of the layers, the layers of each network, and
    # the scaled features of the network, and its edges. Its output: standardised curves [members, batch, all epochs].
    INPUTS: ClassVar = ("codes", "layers", "lengths", "whole", "edges", "shares")
    OUTPUTS: ClassVar = ("members",)

    def predict(
        self, run: RunNetwork, codes: NDArray[np.int32], lengths: NDArray[np.int32], index: Ints
    ) -> StandardisedPrediction:
        """Predict the epochs at the 0-based index; codes and lengths are those of `model.runtime`."""
        layers = attributes(codes, lengths, self.image)
        features = hand_features(self.scaler.names, codes, lengths, self.image, layers)
        whole, outside = self.scaler(features)
        process, nearest = self.process.predict(whole)
        distance = np.sqrt(nearest + outside)
        if self.process_share == 1:
            alone = process[:, index]
            return StandardisedPrediction(alone, np.zeros_like(alone), distance)
        inputs = table_1(codes), layer_features(layers), lengths, whole.astype(np.float32), *corrections(codes)
        (members,) = run(dict(zip(self.INPUTS, inputs, strict=True)))
        curves = np.concatenate([members, process[None]])[:, :, index]
        blended = (1 - self.process_share) / len(members) * curves[:-1].sum(0) + self.process_share * curves[-1]
        apart = curves - blended
        return StandardisedPrediction(blended, (apart * apart).sum(0) / len(curves), distance)

    def arrays(self) -> dict[str, Floats]:
        """Return the fitted numbers as named arrays."""
        return {
            "feature_spread": self.scaler.spread,
            "feature_low": self.scaler.low,
            "feature_high": self.scaler.high,
            "kept": self.scaler.kept,
            "kept_mean": self.scaler.mean,
            "kept_stretch": self.scaler.stretch,
            "process_points": self.process.points,
            "process_weights": self.process.weights,
            "process_slopes": self.process.slopes,
            "process_kernel": np.array([self.process.amplitude, self.process.length_scale]),
            "process_share": np.array(self.process_share),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], names: tuple[str, ...], image: Shape) -> "Ensemble":
        """Undo `arrays`.

        Args:
            arrays: as `arrays` returns them.
            names: of the hand features.
            image: shape of the task's images.

        Raises:
            KeyError: when an array is missing.
            ValueError: when there is no hand feature of a name.
        """
        places(names)
        scaler = FeatureScaler(
            names=names,
            spread=arrays["feature_spread"],
            low=arrays["feature_low"],
            high=arrays["feature_high"],
            kept=arrays["kept"],
            mean=arrays["kept_mean"],
            stretch=arrays["kept_stretch"],
        )
        amplitude, length_scale = arrays["process_kernel"].tolist()
        points, weights = arrays["process_points"], arrays["process_weights"]
        slopes = arrays.get("process_slopes", np.zeros((points.shape[1], weights.shape[1])))  # 0.1.0 has none
        process = GaussianProcess(points, weights, slopes, amplitude, length_scale)
        return cls(image, scaler, process, float(arrays["process_share"]))
