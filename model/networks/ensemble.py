"""The predictor that ships: neural members blended with a Gaussian process."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model.networks.fused_members import FusedMembers
from model.networks.gaussian_process import GaussianProcess
from model.networks.layer_conv import LayerConv
from model.networks.layer_features import LayerQuantities
from model.networks.network_features import network_features
from model.networks.predictor import CurvePredictor, LogitScale, Raw
from model.shapes import Shape

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
    low: torch.Tensor
    high: torch.Tensor
    spread: torch.Tensor

    def __init__(self, image: Shape, features: Floats, relevance: Floats, keep: int) -> None:
        super().__init__()
        self.image = image
        self.quantities = LayerQuantities(image)
        spread = np.maximum(features.std(axis=0), SMALLEST_SPREAD)
        chosen = np.sort(np.argsort(-relevance, kind="stable")[:keep])
        self.register_buffer("chosen", torch.from_numpy(chosen))
        values = {
            "mean": features.mean(axis=0)[chosen],
            "std": spread[chosen],
            "stretch": np.sqrt(relevance[chosen] * len(chosen)),
            "low": features.min(axis=0),
            "high": features.max(axis=0),
            "spread": spread,
        }
        for name, value in values.items():
            self.register_buffer(name, torch.from_numpy(value.astype(np.float32)))

    def scaled(self, features: torch.Tensor) -> torch.Tensor:
        """Return the chosen ones of hand features [batch, all features], standardised and stretched."""
        whole = (torch.index_select(features, 1, self.chosen) - self.mean) / self.std
        return torch.clamp(whole, -LARGEST_FEATURE, LARGEST_FEATURE) * self.stretch

    def forward(self, codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return features of the layers and of the network, and how far the network lies outside what was seen.

        float32 [batch, layers, features], [batch, features] and [batch]. The last is the mean square, over all features
        in standard deviations, of what lies beyond the training networks' range.
        """
        quantities = self.quantities(codes)
        features = network_features(quantities)
        beyond = torch.clamp(torch.maximum(self.low - features, features - self.high), min=0) / self.spread
        outside = (torch.clamp(beyond - RANGE_TOLERANCE, 0.0, LARGEST_FEATURE) ** 2).mean(1)
        return quantities.features, self.scaled(features), outside


class Ensemble(CurvePredictor):
    """Mean of neural members, blended with a Gaussian process on whole-network features.

    Args:
        inputs: features of the extended code.
        scale: of the curves.
        members: networks along the layers.
        process: the Gaussian process.
        process_weight: its share of the blend.
    """

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
        self.process_weight = process_weight

    def raw(self, codes: torch.Tensor, lengths: torch.Tensor, index: torch.Tensor) -> Raw:
        per_layer, whole, outside = self.inputs(codes)
        process, distance = self.process(whole)
        curves = self.members(codes, lengths, per_layer, whole)
        blended = (1 - self.process_weight) * curves.mean(0) + self.process_weight * process
        everyone = torch.cat([curves, process.unsqueeze(0)])
        variance = ((everyone - blended) ** 2).mean(0)
        curve, spread = (torch.index_select(values, 1, index) for values in (blended, variance))
        return Raw(curve, spread, torch.sqrt(distance**2 + outside))
