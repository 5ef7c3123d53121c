"""The posterior mean of a Gaussian process on whole-network features, and the distance to what it has seen."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from .operators import sum_of_squares

SQRT3 = 3**0.5


class GaussianProcess(nn.Module):
    """A fitted Gaussian process with a Matérn-3/2 kernel, shared by all epochs of the curve.

    Args:
        points: standardised features of inducing points, which are training networks, float [points, features].
        weights: of the kernel at each, float [points, epochs].
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
        self.scale = SQRT3 / length_scale
        # rounded as features are, so that a point's own distance is zero
        scaled = (torch.from_numpy(points.astype(np.float32)) * self.scale).double()
        self.register_buffer("points", -2 * scaled)
        self.register_buffer("norms", (scaled**2).sum(1))
        self.register_buffer("weights", torch.from_numpy(weights.astype(np.float64) * amplitude).unsqueeze(0))

    def forward(self, whole: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return predictions [1, batch, epochs] and how far the nearest inducing point is [batch].

        The latter is the mean square difference of the standardised features.
        """
        # Distances are small differences of large squares, and so are predictions of large weights: both are summed in
        # double precision.
        exact = (whole * self.scale).double()
        squared = sum_of_squares(exact, 1, True) + F.linear(exact, self.points, self.norms)
        squared = torch.relu(squared.float())
        distance = torch.sqrt(squared)
        kernel = (1 + distance) / torch.exp(distance)
        return (kernel.double() @ self.weights).float(), squared.amin(1) / (whole.shape[1] * self.scale**2)
