"""The posterior mean of a Gaussian process on whole-network features, and the distance to what it has seen."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

NEAR = 0.1  # a distance between standardised features; networks differ by tens


def kernel(squared: torch.Tensor, length_scale: float) -> torch.Tensor:
    """Return the kernel, 1 at no distance, of squared distances.

    It is the exponential one (Matérn-1/2), flat at distances below `NEAR`: its cusp would make much of the rounding of
    a known network's features. As the exponential of a Bernstein function of the squared distance it is positive
    definite.
    """
    return torch.exp((NEAR - torch.sqrt(squared + NEAR**2)) / length_scale)


class GaussianProcess(nn.Module):
    """A fitted Gaussian process, shared by all epochs of the curve.

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
        self.length_scale = length_scale

    def forward(self, whole: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return predictions [batch, epochs] and the distance [batch] to the nearest training network.

        The distance is the root mean square difference of the standardised features.
        """
        whole = whole.double()  # small differences of large squares
        squared = (whole**2).sum(1, keepdim=True) + self.norms - 2 * whole @ self.points
        squared = torch.clamp(squared, min=0.0).float()
        distance = torch.sqrt(squared.amin(1) / whole.shape[1])
        return kernel(squared, self.length_scale) @ self.weights, distance
