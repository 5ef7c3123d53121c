"""A random forest on features of the graph: GRAF (Kadlecová et al., ICML 2024) is the same on its own features.

GRAF's features of a cell are counts of its operations, shortest and longest paths over sets of operations, and degrees
of the nodes; `model.encoding.graph_features` has the same kinds for whole networks, and sizes beside them. Its authors
add zero-cost scores as further columns.
"""

from sklearn.ensemble import RandomForestRegressor

from training.baselines.features import FeatureRegression


class RandomForest(FeatureRegression):
    """A hundred trees, as scikit-learn sets them; `seed` is of their samples."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(RandomForestRegressor(random_state=seed))
