"""Methods that continue a curve from the epochs seen: its last value, ν-SVR, parametric families."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import NuSVR

from training.baselines import Floats

GRID = [
    {"nusvr__kernel": ["linear"], "nusvr__C": [0.01, 0.1, 1.0]},
    {"nusvr__kernel": ["rbf"], "nusvr__C": [0.1, 1.0, 10.0], "nusvr__gamma": ["scale", 0.01]},
]
INNER_FOLDS = 3
MAX_EVALUATIONS = 40  # of a fit by least squares


class LastValue:
    """The accuracy stays where it is: hard to beat at ranking."""

    def fit(self, curves: Floats, features: Floats) -> None:
        """Learn nothing."""

    def predict(self, seen: Floats, features: Floats) -> Floats:
        """Return the last column of what was seen."""
        del features
        return seen[:, -1]


def time_series_features(seen: Floats) -> Floats:
    """Return the accuracies with their first and second differences [networks, features]."""
    return np.hstack([seen, np.diff(seen, axis=1), np.diff(seen, n=2, axis=1)] if seen.shape[1] > 1 else [seen])


class BakerSVR:
    """ν-SVR on the curve and its differences (Baker et al., arXiv 1705.10823, section 3.2).

    One regression for each number of epochs seen, its settings by grid search as in the paper.

    Args:
        architecture_features: how many of the features, from the first, to add to the curve; the paper adds the number
            of weights and of layers.
    """

    def __init__(self, architecture_features: int = 3) -> None:
        self.architecture_features = architecture_features

    def fit(self, curves: Floats, features: Floats) -> None:
        """Keep the curves; the regression is fitted when it is known how many epochs were seen."""
        self.curves, self.features = curves, features[:, : self.architecture_features]

    def predict(self, seen: Floats, features: Floats) -> Floats:
        """Fit to the same number of epochs of the known curves and predict."""
        count = seen.shape[1]
        pipeline = make_pipeline(StandardScaler(), NuSVR(nu=0.5, cache_size=100, max_iter=200_000))
        search = GridSearchCV(pipeline, GRID, cv=INNER_FOLDS, scoring="neg_mean_squared_error")
        known = np.hstack([time_series_features(self.curves[:, :count]), self.features])
        search.fit(known, self.curves[:, -1])
        inputs = np.hstack([time_series_features(seen), features[:, : self.architecture_features]])
        predicted: Floats = np.clip(search.predict(inputs), 0, 1)
        return predicted


@dataclass(frozen=True)
class Family:
    """A family of curves over epochs 1, 2, ...: its formula, where to start, and bounds."""

    curve: Callable[[Floats, Floats], Floats]
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

        fitted = least_squares(residual, family.start, bounds=(family.lower, family.upper), max_nfev=MAX_EVALUATIONS)
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
    """A mixture of parametric curves, each fitted to the epochs seen (Domhan et al., IJCAI 2015).

    The families are the paper's; they are fitted by least squares and weighted by the Bayesian information criterion,
    where the paper samples their parameters. Nothing is learnt from other networks.
    """

    def fit(self, curves: Floats, features: Floats) -> None:
        """Remember how long a curve is."""
        del features
        self.epochs = curves.shape[1]

    def predict(self, seen: Floats, features: Floats) -> Floats:
        """Extrapolate to the last epoch."""
        del features
        return np.array([extrapolate(row, self.epochs) for row in seen])
