"""Regressions of the final accuracy on a description of the network: hand features, or statistics of its weights."""

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor, VotingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model.gaussian_process import GaussianProcess
from training.baselines import Floats

PARAMETERS, FLOPS = 0, 1  # columns of model.encoding.features, on a log scale
TREES = 300


class FeatureRegression:
    """A regression of scikit-learn, fitted to the last epoch; what was seen of a curve is not used."""

    def __init__(self, regressor: Any) -> None:
        self.regressor = regressor

    def fit(self, curves: Floats, features: Floats) -> None:
        """Fit to the last epoch."""
        self.regressor.fit(features, curves[:, -1])

    def predict(self, seen: Floats, features: Floats) -> Floats:
        """Return what the regression gives."""
        del seen
        predicted: Floats = np.clip(self.regressor.predict(features), 0, 1)
        return predicted


class OneFeature(FeatureRegression):
    """Bigger is better: a straight line through one column of the hand features."""

    def __init__(self, column: int) -> None:
        chosen = ColumnTransformer([("chosen", "passthrough", [column])])
        super().__init__(make_pipeline(chosen, LinearRegression()))


class BoostedTrees(FeatureRegression):
    """300 small trees, each on a random half of the networks and of the features; `seed` is of the halves."""

    def __init__(self, seed: int = 0) -> None:
        trees = GradientBoostingRegressor(
            n_estimators=TREES, learning_rate=0.05, max_depth=4, subsample=0.5, max_features=0.5, random_state=seed
        )
        super().__init__(trees)


class FeatureGaussianProcess:
    """The process of the shipped predictor (`model.gaussian_process`) over the standardised features."""

    def fit(self, curves: Floats, features: Floats) -> None:
        """Fit to the last epoch."""
        self.scaler, self.target = StandardScaler().fit(features), StandardScaler().fit(curves[:, -1:])
        self.process = GaussianProcess.fit(self.scaler.transform(features), self.target.transform(curves[:, -1:]))

    def predict(self, seen: Floats, features: Floats) -> Floats:
        """Return the posterior mean; `seen` is not used."""
        del seen
        mean, _ = self.process.predict(self.scaler.transform(features))
        predicted: Floats = np.clip(self.target.inverse_transform(mean)[:, 0], 0, 1)
        return predicted


def weight_trees() -> VotingRegressor:
    """Return trees on summaries of weights, unfitted, as Unterthiner et al. (arXiv 2002.11448) read them.

    The mean of boosted and of extremely randomised trees, which err differently.
    """
    boosted = GradientBoostingRegressor(
        n_estimators=TREES,
        max_depth=5,
        min_samples_leaf=3,
        learning_rate=0.05,
        subsample=0.7,
        max_features=0.1,
        random_state=0,
    )
    extra = ExtraTreesRegressor(n_estimators=TREES // 2, min_samples_leaf=2, max_features=0.3, random_state=0)
    return VotingRegressor([("boosted", boosted), ("extra", extra)])
