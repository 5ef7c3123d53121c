"""Gradient-boosted trees on hand features: the usual tabular rival."""

import numpy as np
from sklearn.ensemble import GradientBoostingRegressor

from training.baselines import Floats


class BoostedTrees:
    """300 small trees, each on a random half of the networks and of the features.

    Args:
        seed: of the halves.
    """

    def __init__(self, seed: int = 0) -> None:
        self.trees = GradientBoostingRegressor(
            n_estimators=300, learning_rate=0.05, max_depth=4, subsample=0.5, max_features=0.5, random_state=seed
        )

    def fit(self, curves: Floats, features: Floats) -> None:
        """Fit to the last epoch."""
        self.trees.fit(features, curves[:, -1])

    def predict(self, seen: Floats, features: Floats) -> Floats:
        """Return the prediction of the trees; `seen` is not used."""
        del seen
        predicted: Floats = np.clip(self.trees.predict(features), 0, 1)
        return predicted
