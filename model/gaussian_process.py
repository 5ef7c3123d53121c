"""A Gaussian process with a Matérn-3/2 kernel, in double precision.

The cost of a prediction stays the same as tables grow: the posterior mean is a sum of kernels at inducing points alone,
with the weights that fit all networks best (subset of regressors, Quiñonero-Candela and Rasmussen, JMLR 6, 2005). The
points are networks of the table; with one for each network the process is exact.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky
from scipy.optimize import minimize

Floats = NDArray[np.floating[Any]]
SQRT3 = 3**0.5
JITTER = 1e-10  # of a variance, against rounding
START = (1.0, 8.0, 0.2)  # amplitude, length scale and noise
AMPLITUDES, LENGTH_SCALES, MOST_NOISE = (1e-2, 1e3), (1.0, 1e3), 10.0


@dataclass(frozen=True)
class GaussianProcess:
    """A fitted process; its outputs, one for each epoch of a curve, share a kernel.

    Attributes:
        points: features of the inducing points [points, features].
        weights: of the kernel at each point [points, outputs].
        amplitude: the kernel's variance.
        length_scale: of the kernel.
    """

    points: Floats
    weights: Floats
    amplitude: float
    length_scale: float

    @classmethod
    def fit(
        cls,
        features: Floats,
        targets: Floats,
        *,
        points: int | None = None,
        least_noise: float = 1e-3,
        part: NDArray[np.intp] | None = None,
    ) -> "GaussianProcess":
        """Fit a process by the marginal likelihood.

        Args:
            features: [networks, features].
            targets: of about zero mean and unit variance [networks, outputs].
            points: inducing points at most; `None` takes all networks.
            least_noise: smallest variance of the targets' noise.
            part: networks that the kernel and the noise are fitted to, all by default: time grows with their cube.
        """
        chosen = slice(None) if part is None else part
        amplitude, length_scale, noise = _most_likely(features[chosen], targets[chosen], least_noise)
        kernel = cls(np.empty((0, features.shape[1])), np.empty((0, targets.shape[1])), amplitude, length_scale)
        pivots = kernel._pivots(features, min(points or len(features), len(features)))
        inducing = features[pivots]
        across = kernel._covariance(features, inducing)
        # Least squares on the targets and, as noise times the weights' norm in the space of the process, on zeros:
        # solving the normal equations would square their condition.
        own = across[pivots] + JITTER * amplitude * np.eye(len(pivots))
        rows = np.vstack([across, noise**0.5 * cholesky(own)])
        goals = np.vstack([targets, np.zeros((len(pivots), targets.shape[1]))])
        return cls(inducing, np.linalg.lstsq(rows, goals, rcond=None)[0], amplitude, length_scale)

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Return the posterior mean [batch, outputs], and how far the nearest point is [batch].

        The distance is the mean square difference of the features.
        """
        squares = squared_distances(features, self.points, self._norms)
        return self._kernel(squares) @ self.weights, squares.min(1) / features.shape[1]

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


def _most_likely(features: Floats, targets: Floats, least_noise: float) -> tuple[float, float, float]:
    """Return the amplitude, length scale and noise of the greatest marginal likelihood."""
    count, outputs = targets.shape
    distances = np.sqrt(squared_distances(features, features))
    np.fill_diagonal(distances, 0)

    def loss(logs: Floats) -> tuple[float, Floats]:
        """Return the negative log likelihood, but for a constant, and its gradient."""
        amplitude, length_scale, noise = np.exp(logs)
        scaled = distances * (SQRT3 / length_scale)
        decay = amplitude * np.exp(-scaled)
        smooth = (1 + scaled) * decay
        noisy = smooth + noise * np.eye(count)
        try:
            factor = cholesky(noisy, lower=True)
        except np.linalg.LinAlgError:
            return np.inf, np.zeros(3)
        solved = cho_solve((factor, True), targets)
        inner = solved @ solved.T - outputs * cho_solve((factor, True), np.eye(count))
        value = 0.5 * (targets * solved).sum() + outputs * np.log(np.diag(factor)).sum()
        gradient = [(inner * smooth).sum(), (inner * scaled**2 * decay).sum(), noise * np.trace(inner)]
        return float(value), -0.5 * np.array(gradient)

    bounds = np.log([AMPLITUDES, LENGTH_SCALES, (least_noise, MOST_NOISE)])
    start = np.clip(np.log(START), bounds[:, 0], bounds[:, 1])
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B")
    amplitude, length_scale, noise = np.exp(found.x)
    return float(amplitude), float(length_scale), float(noise)
