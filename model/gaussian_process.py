"""A Gaussian process with a linear and a Matérn-3/2 kernel, in double precision.

The cost of a prediction stays the same as tables grow: the posterior mean is a linear function and a sum of kernels at
inducing points alone, with the weights that fit all networks best (subset of regressors, Quiñonero-Candela and
Rasmussen, JMLR 6, 2005). The points are networks of the table; with one for each network the process is exact.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, lstsq
from scipy.optimize import minimize

Floats = NDArray[np.floating[Any]]
SQRT3 = 3**0.5
JITTER = 1e-10  # of a variance, against rounding
# Amplitude, length scale by the root of the number of features, linear variance times that number, and noise: where the
# search starts and what is likely before any network is seen, with a factor e**`WIDTH` for a standard deviation.
START, WIDTH = (1.0, 1.4, 0.3, 0.1), 1.5
BOUNDS = ((1e-2, 1e3), (0.1, 1e2), (1e-4, 1e2), (1e-3, 10.0))


@dataclass(frozen=True)
class Scales:
    """The variance and length scale of the Matérn kernel, the variance of the linear one, and that of the noise."""

    amplitude: float
    length_scale: float
    linear: float
    noise: float


@dataclass(frozen=True)
class GaussianProcess:
    """A fitted process; its outputs, one for each epoch of a curve, share a kernel.

    Attributes:
        points: features of the inducing points [points, features].
        weights: of the kernel at each point [points, outputs].
        slopes: of the linear function [features, outputs].
        amplitude: the kernel's variance.
        length_scale: of the kernel.
    """

    points: Floats
    weights: Floats
    slopes: Floats
    amplitude: float
    length_scale: float

    @classmethod
    def fit(
        cls,
        features: Floats,
        targets: Floats,
        *,
        points: int | None = None,
        scales: Scales | None = None,
    ) -> "GaussianProcess":
        """Fit a process.

        Args:
            features: about standardised [networks, features].
            targets: of about zero mean and unit variance [networks, outputs].
            points: inducing points at most; `None` takes all networks.
            scales: the most likely ones by default; the time to find them grows with the cube of the networks.
        """
        scales = scales or most_likely(features, targets)[0]
        empty = np.empty((0, features.shape[1])), np.empty((0, targets.shape[1]))
        kernel = cls(*empty, np.zeros((features.shape[1], targets.shape[1])), scales.amplitude, scales.length_scale)
        pivots = kernel._pivots(features, min(points or len(features), len(features)))
        inducing = features[pivots]
        across = kernel._covariance(features, inducing)
        # Least squares on the targets and, as noise times the weights' norm in the space of the process, on zeros:
        # solving the normal equations would square their condition.
        own = across[pivots] + JITTER * scales.amplitude * np.eye(len(pivots))
        count, width = len(pivots), features.shape[1]
        rows = np.block(
            [
                [across, features],
                [scales.noise**0.5 * cholesky(own), np.zeros((count, width))],
                [np.zeros((width, count)), (scales.noise / scales.linear) ** 0.5 * np.eye(width)],
            ]
        )
        goals = np.vstack([targets, np.zeros((count + width, targets.shape[1]))])
        found = lstsq(rows, goals, lapack_driver="gelsy", check_finite=False)[0]
        return cls(inducing, found[:count], found[count:], scales.amplitude, scales.length_scale)

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Return the posterior mean [batch, outputs], and how far the nearest point is [batch].

        The distance is the mean square difference of the features.
        """
        squares = squared_distances(features, self.points, self._norms)
        return self._kernel(squares) @ self.weights + features @ self.slopes, squares.min(1) / features.shape[1]

    @cached_property
    def _norms(self) -> Floats:
        """Squared norms of the points."""
        return np.asarray((self.points**2).sum(1))

    def _kernel(self, squares: Floats) -> Floats:
        scaled = np.sqrt(squares) * (SQRT3 / self.length_scale)
        return np.asarray(self.amplitude * (1 + scaled) * np.exp(-scaled))

    def _covariance(self, one: Floats, other: Floats) -> Floats:
        return self._kernel(squared_distances(one, other))

    def _pivots(self, features: Floats, most: int) -> NDArray[np.intp]:
        """Choose networks by pivoted Cholesky decomposition: each is the one about which those before it say least.

        See Fine and Scheinberg, JMLR 2, 2001.
        """
        if most == len(features):
            return np.arange(most)
        left = np.full(len(features), self.amplitude)
        factor = np.zeros((len(features), most))
        order: list[int] = []
        for column in range(most):
            row = int(np.argmax(left))
            order.append(row)
            covariance = self._covariance(features, features[row : row + 1])[:, 0]
            rest = covariance - factor[:, :column] @ factor[row, :column]
            factor[:, column] = rest / np.sqrt(max(left[row], JITTER))
            left -= factor[:, column] ** 2
            left[order] = -np.inf  # each is chosen once
        return np.sort(order)


def squared_distances(one: Floats, other: Floats, norms: Floats | None = None) -> Floats:
    """Return squared distances of rows [one, other]; `norms` are the squared ones of the others, where known."""
    norms = (other**2).sum(1) if norms is None else norms
    found = (one**2).sum(1)[:, None] + norms - 2 * one @ other.T
    return np.asarray(np.maximum(found, 0))


def most_likely(features: Floats, targets: Floats) -> tuple[Scales, float]:
    """Return the most likely scales, and the log of their posterior density but for a constant.

    Args:
        features: [networks, features].
        targets: [networks, outputs].
    """
    (count, width), outputs = features.shape, targets.shape[1]
    distances = np.sqrt(squared_distances(features, features) / width)
    np.fill_diagonal(distances, 0)
    products = features @ features.T / width
    prior = np.log(START)

    def loss(logs: Floats) -> tuple[float, Floats]:
        """Return the negative log posterior, but for a constant, and its gradient."""
        amplitude, length_scale, linear, noise = np.exp(logs)
        scaled = distances * (SQRT3 / length_scale)
        decay = amplitude * np.exp(-scaled)
        smooth, line = (1 + scaled) * decay, linear * products
        try:
            factor = cholesky(smooth + line + noise * np.eye(count), lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            return np.inf, np.zeros(len(START))
        solved = cho_solve((factor, True), targets)
        inner = solved @ solved.T - outputs * cho_solve((factor, True), np.eye(count))
        apart = (logs - prior) / WIDTH
        value = 0.5 * ((targets * solved).sum() + apart @ apart) + outputs * np.log(np.diag(factor)).sum()
        parts = (smooth, scaled**2 * decay, line)
        gradient = [*((inner * part).sum() for part in parts), noise * np.trace(inner)]
        return float(value), -0.5 * np.array(gradient) + apart / WIDTH

    found = minimize(loss, prior, jac=True, bounds=np.log(BOUNDS), method="L-BFGS-B")
    amplitude, length_scale, linear, noise = np.exp(found.x).tolist()
    return Scales(amplitude, length_scale * width**0.5, linear / width, noise), -float(found.fun)
