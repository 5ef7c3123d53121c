"""The predictor that ships: neural members blended with a Gaussian process."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..network.shapes import Shape
from .fused_members import FusedMembers
from .gaussian_process import GaussianProcess
from .layer_conv import LayerConv
from .layer_features import Quantities
from .network_features import NetworkFeatures
from .operators import sum_of_squares
from .predictor import CurvePredictor, LogitScale, Raw

LARGEST_FEATURE = 8.0
RANGE_TOLERANCE = 1e-3  # standard deviations; rounding is not a distance
SMALLEST_SPREAD = 0.01  # a feature that hardly varies is not blown up to unit variance
Floats = NDArray[np.floating]


class Inputs(nn.Module):
    """Features of networks: the most telling ones, standardised and stretched by their relevance.

    Args:
        image: shape of the task's images.
        features: hand features of the training networks, float [networks, features].
        relevance: of each feature, summing to 1, float [features].
        keep: how many features to keep.
    """

    chosen: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor
    stretch: torch.Tensor
    per_spread: torch.Tensor
    middle: torch.Tensor
    reach: torch.Tensor
    from_mean: torch.Tensor

    def __init__(self, image: Shape, features: Floats, relevance: Floats, keep: int) -> None:
        super().__init__()
        self.image = image
        self.features = NetworkFeatures(image)
        spread = np.maximum(features.std(axis=0), SMALLEST_SPREAD)
        low, high, mean = features.min(axis=0), features.max(axis=0), features.mean(axis=0)
        chosen = np.sort(np.argsort(-relevance, kind="stable")[:keep])
        self.register_buffer("chosen", torch.from_numpy(chosen))
        values = {
            "mean": mean[chosen],
            "std": spread[chosen],
            "stretch": np.sqrt(relevance[chosen] * len(chosen)),
            # In standard deviations: what a feature as it is summed is multiplied with, the range and the mean.
            "per_spread": self.features.factors.numpy() / spread,
            "middle": (low + high) / 2 / spread,
            "reach": (high - low) / 2 / spread + RANGE_TOLERANCE,
            "from_mean": (((low + high) / 2 - mean) / spread)[chosen],
        }
        for name, value in values.items():
            self.register_buffer(name, torch.from_numpy(value.astype(np.float32)))

    def scaled(self, features: torch.Tensor) -> torch.Tensor:
        """Return the chosen ones of hand features [batch, all features], standardised and stretched."""
        whole = (torch.index_select(features, 1, self.chosen) - self.mean) / self.std
        return torch.clamp(whole, -LARGEST_FEATURE, LARGEST_FEATURE) * self.stretch

    def forward(self, codes: torch.Tensor) -> tuple[Quantities, torch.Tensor, torch.Tensor]:
        """Return quantities of the layers, features of the network, and how far it lies outside what was seen.

        The features are those of `scaled`, float32 [batch, features]. The distance is the mean square, over all
        features in standard deviations, of what lies beyond the training networks' range, float32 [batch].
        """
        quantities, features = self.features.unscaled(codes)
        off = features * self.per_spread - self.middle
        outside = torch.clamp(off.abs() - self.reach, 0.0, LARGEST_FEATURE)
        whole = torch.index_select(off, 1, self.chosen) + self.from_mean
        whole = torch.clamp(whole, -LARGEST_FEATURE, LARGEST_FEATURE) * self.stretch
        return quantities, whole, sum_of_squares(outside, 1, False) / outside.shape[1]


class Ensemble(CurvePredictor):
    """Mean of neural members, blended with a Gaussian process on whole-network features.

    Args:
        inputs: features of the extended code.
        scale: of the curves.
        members: networks along the layers.
        process: the Gaussian process.
        process_weight: its share of the blend.
    """

    shares: torch.Tensor

    def __init__(
        self,
        inputs: Inputs,
        scale: LogitScale,
        members: Sequence[LayerConv],
        process: GaussianProcess,
        *,
        process_weight: float,
    ) -> None:
        super().__init__(scale, len(scale.mean))
        self.inputs, self.process = inputs, process
        self.members = FusedMembers(members)
        share = (1 - process_weight) / len(members)
        self.register_buffer("shares", torch.tensor([*(share for _ in members), process_weight]).reshape(-1, 1, 1))

    def raw(self, codes: torch.Tensor, lengths: torch.Tensor, index: torch.Tensor) -> Raw:
        quantities, whole, outside = self.inputs(codes)
        process, nearest = self.process(whole)
        everyone = torch.cat([self.members(quantities, lengths, whole), process])
        everyone = torch.index_select(everyone, 2, index)
        blended = (everyone * self.shares).sum(0)
        variance = sum_of_squares(everyone - blended, 0, False) / len(everyone)
        return Raw(blended, variance, torch.sqrt(nearest + outside))
