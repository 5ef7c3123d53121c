"""Bigger is better: the final accuracy from one number, the parameters or the floating-point operations."""

import numpy as np
from sklearn.linear_model import LinearRegression

from training.baselines import Floats

PARAMETERS, FLOPS = 0, 1  # columns of model.encoding.features, on a log scale


class OneFeature:
    """A straight line through one column of the hand features.

    Args:
        column: which.
    """

    def __init__(self, column: int) -> None:
        self.column = column

    def fit(self, curves: Floats, features: Floats) -> None:
        """Fit the line to the last epoch."""
        self.line = LinearRegression().fit(features[:, [self.column]], curves[:, -1])

    def predict(self, seen: Floats, features: Floats) -> Floats:
        """Read off the line."""
        del seen
        predicted: Floats = np.clip(self.line.predict(features[:, [self.column]]), 0, 1)
        return predicted
