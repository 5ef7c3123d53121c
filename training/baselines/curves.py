"""Methods that continue a curve from the epochs seen: its last value, and ν-SVR."""

import numpy as np
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
