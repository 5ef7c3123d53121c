"""A mixture of parametric curves, each fitted to the epochs seen (Domhan et al., IJCAI 2015).

The families are the paper's; they are fitted by least squares and weighted by the Bayesian information criterion, where
the paper samples their parameters.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from training.baselines import Floats

Curve = Callable[[Floats, Floats], Floats]
STEPS = 40


@dataclass(frozen=True)
class Family:
    """A family of curves over epochs 1, 2, ...: its formula, where to start, and bounds."""

    curve: Curve
    start: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]


FAMILIES = {
    "pow3": Family(lambda t, p: p[0] - p[1] * t ** -p[2], (0.7, 0.4, 0.5), (0, 0, 0.01), (1, 2, 5)),
    "pow4": Family(
        lambda t, p: p[0] - (p[1] * t + p[2]) ** -p[3], (0.7, 1, 1, 0.5), (0, 0.01, 0.01, 0.01), (1, 50, 50, 5)
    ),
    "exp4": Family(
        lambda t, p: p[0] - np.exp(-p[1] * t ** p[3] + p[2]), (0.7, 0.5, 0, 0.7), (0, 0.001, -5, 0.05), (1, 10, 3, 3)
    ),
    "log_power": Family(lambda t, p: p[0] / (1 + (t / np.exp(p[1])) ** -p[2]), (0.7, 0, 1), (0, -5, 0.05), (1, 5, 5)),
    "weibull": Family(
        lambda t, p: p[0] - (p[0] - p[1]) * np.exp(-((p[2] * t) ** p[3])),
        (0.7, 0.1, 0.5, 0.7),
        (0, 0, 0.001, 0.05),
        (1, 1, 10, 3),
    ),
    "janoschek": Family(
        lambda t, p: p[0] - (p[0] - p[1]) * np.exp(-p[2] * t ** p[3]),
        (0.7, 0.1, 0.5, 0.7),
        (0, 0, 0.001, 0.05),
        (1, 1, 10, 3),
    ),
    "mmf": Family(
        lambda t, p: p[0] - (p[0] - p[1]) / (1 + (p[2] * t) ** p[3]),
        (0.7, 0.1, 0.5, 1),
        (0, 0, 0.001, 0.05),
        (1, 1, 50, 5),
    ),
    "hill": Family(
        lambda t, p: p[0] * t ** p[2] / (p[1] ** p[2] + t ** p[2]), (0.7, 1, 1), (0, 0.01, 0.05), (1, 50, 5)
    ),
}


def extrapolate(seen: Floats, epochs: int) -> float:
    """Return the weighted mean of the families at the last epoch; the last value seen when too few were seen."""
    count = len(seen)
    ticks = np.arange(1, count + 1, dtype=float)
    values, criteria = [], []
    for family in FAMILIES.values():
        if len(family.start) >= count:
            continue  # a family with as many parameters as points fits anything

        def residual(parameters: Floats, family: Family = family) -> Floats:
            return family.curve(ticks, parameters) - seen

        fitted = least_squares(residual, family.start, bounds=(family.lower, family.upper), max_nfev=STEPS)
        final = float(family.curve(np.array([float(epochs)]), fitted.x)[0])
        if np.isfinite(final):
            values.append(min(max(final, 0.0), 1.0))
            error = max(2 * fitted.cost / count, 1e-8)
            criteria.append(count * np.log(error) + len(family.start) * np.log(count))
    if not values:
        return float(seen[-1])
    weights = np.exp(-0.5 * (np.array(criteria) - min(criteria)))
    return float(np.average(values, weights=weights))


class ParametricMixture:
    """Extrapolate each curve by itself; nothing is learnt from other networks."""

    def fit(self, curves: Floats, features: Floats) -> None:
        """Remember how long a curve is."""
        del features
        self.epochs = curves.shape[1]

    def predict(self, seen: Floats, features: Floats) -> Floats:
        """Extrapolate to the last epoch."""
        del features
        return np.array([extrapolate(row, self.epochs) for row in seen])
