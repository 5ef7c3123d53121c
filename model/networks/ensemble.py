"""The predictor that ships: neural members blended with a Gaussian process."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model.networks.gaussian_process import GaussianProcess
from model.networks.layer_conv import LayerConv
from model.networks.layer_features import LayerQuantities, layer_features
from model.networks.network_features import network_features
from model.networks.predictor import CurvePredictor, LogitScale, Raw
from model.shapes import Shape

LARGEST_FEATURE = 8.0


class Inputs(nn.Module):
    """Features of networks, standardised with the statistics of the training networks."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, image: Shape, mean: NDArray[np.floating], std: NDArray[np.floating]) -> None:
        super().__init__()
        self.image = image
        self.quantities = LayerQuantities(image)
        self.register_buffer("mean", torch.from_numpy(mean.astype(np.float32)))
        self.register_buffer("std", torch.from_numpy(std.astype(np.float32)))

    def forward(self, codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return per-layer features [batch, layers, features] and whole-network features [batch, features]."""
        quantities = self.quantities(codes)
        whole = (network_features(quantities, self.image) - self.mean) / self.std
        return layer_features(quantities), torch.clamp(whole, -LARGEST_FEATURE, LARGEST_FEATURE)


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
        self.members = nn.ModuleList(members)
        self.process_weight = process_weight

    def raw(self, codes: torch.Tensor, lengths: torch.Tensor, index: torch.Tensor) -> Raw:
        per_layer, whole = self.inputs(codes)
        process, distance = self.process(whole)
        curves = torch.stack([member(codes, lengths, per_layer, whole) for member in self.members])
        blended = (1 - self.process_weight) * curves.mean(0) + self.process_weight * process
        everyone = torch.cat([curves, process.unsqueeze(0)])
        variance = ((everyone - blended) ** 2).mean(0)
        return Raw(blended[:, index], variance[:, index], distance)
