"""The posterior mean of a Gaussian process on whole-network features, and the distance to what it has seen."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

SQRT3 = 3**0.5


class GaussianProcess(nn.Module):
    """A fitted Gaussian process with a Matérn-3/2 kernel, shared by all epochs of the curve.

    Args:
        points: standardised features of the training networks, float [networks, features].
        weights: dual coefficients, float [networks, epochs].
        amplitude: the kernel's variance.
        length_scale: the kernel's length scale.
    """

    points: torch.Tensor
    norms: torch.Tensor
    weights: torch.Tensor

    def __init__(
        self, points: NDArray[np.floating], weights: NDArray[np.floating], amplitude: float, length_scale: float
    ) -> None:
        super().__init__()
        stored = torch.from_numpy(points.astype(np.float64))
        self.register_buffer("points", stored.T.contiguous())
        self.register_buffer("norms", (stored**2).sum(1).unsqueeze(0))
        self.register_buffer("weights", torch.from_numpy((weights * amplitude).astype(np.float32)))
        self.scale = SQRT3 / length_scale

    def forward(self, whole: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return predictions [batch, epochs] and the distance [batch] to the nearest training network.

        The distance is the root mean square difference of the standardised features.
        """
        whole = whole.double()  # small differences of large squares
        squared = (whole**2).sum(1, keepdim=True) + self.norms - 2 * whole @ self.points
        squared = torch.clamp(squared, min=0.0).float()
        scaled = torch.sqrt(squared) * self.scale
        distance = torch.sqrt(squared.amin(1) / whole.shape[1])
        return ((1 + scaled) * torch.exp(-scaled)) @ self.weights, distance
