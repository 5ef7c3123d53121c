"""Fit a Gaussian process whose predictions use few of its networks: their cost does not grow with tables.

Subset of regressors (Quiñonero-Candela and Rasmussen, JMLR 6, 2005): the mean is a sum of kernels at inducing points
alone, with the weights that fit all networks best. The points are networks of the table, chosen by pivoted Cholesky
decomposition: each is the one that those before it predict worst (Fine and Scheinberg, JMLR 2, 2001).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Kernel, Matern, WhiteKernel

JITTER = 1e-10  # of a variance, against rounding
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class SparseGaussianProcess:
    """A fitted Gaussian process.

    Attributes:
        chosen: the inducing points' places among the networks it was fitted to, [points].
        kernel: without noise.
        weights: of the kernel at each point, float64 [points, epochs].
    """

    chosen: NDArray[np.intp]
    kernel: Kernel
    weights: Floats


def pivots(covariance: Floats, most: int) -> NDArray[np.intp]:
    """Return the order in which a pivoted Cholesky decomposition takes rows of a covariance matrix, `most` of them."""
    left = np.diag(covariance).copy()
    factor = np.zeros((len(covariance), most))
    order: list[int] = []
    for column in range(most):
        row = int(np.argmax(left))
        order.append(row)
        rest = covariance[:, row] - factor[:, :column] @ factor[row, :column]
        factor[:, column] = rest / np.sqrt(max(left[row], JITTER))
        left -= factor[:, column] ** 2
        left[order] = -np.inf  # each is taken once
    return np.array(order, dtype=np.intp)


def fit_sparse_gaussian_process(
    features: Floats, targets: Floats, *, points: int, least_noise: float, part: NDArray[np.intp]
) -> SparseGaussianProcess:
    """Fit a Gaussian process with a Matérn-3/2 kernel.

    Args:
        features: float64 [networks, features].
        targets: float64 [networks, epochs], of about unit variance.
        points: inducing points at most; where there are no more networks, the Gaussian process is exact.
        least_noise: smallest variance that the fit may give the targets' noise.
        part: networks that the kernel's amplitude and scale, and the noise, are fitted to: time grows with their cube.
    """
    kernel = ConstantKernel(1.0, (1e-2, 1e3)) * Matern(8.0, (1.0, 1e3), nu=1.5) + WhiteKernel(0.2, (least_noise, 10.0))
    fitted = GaussianProcessRegressor(kernel, random_state=0).fit(features[part], targets[part]).kernel_
    smooth, noise = fitted.k1, fitted.k2.noise_level
    covariance = smooth(features)
    chosen = np.sort(pivots(covariance, min(points, len(features))))
    across = covariance[chosen]
    # Least squares on the targets and, as noise times the weights' norm in the process's own space, on zeros: solving
    # the normal equations would square their condition.
    own = across[:, chosen] + JITTER * smooth.diag(features[:1])[0] * np.eye(len(chosen))
    rows = np.vstack([across.T, np.sqrt(noise) * np.linalg.cholesky(own).T])
    aims = np.vstack([targets, np.zeros((len(chosen), targets.shape[1]))])
    return SparseGaussianProcess(chosen, smooth, np.linalg.lstsq(rows, aims, rcond=None)[0])
