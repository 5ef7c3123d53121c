"""Trees on summaries of a network's weights, as Unterthiner et al. (arXiv 2002.11448) read them."""

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor, VotingRegressor

from model.weight_features import FEATURES, KINDS, STATISTICS

TREES = 300


def weight_trees() -> VotingRegressor:
    """Return the mean of boosted and of extremely randomised trees, unfitted; they err differently."""
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


def feature_groups() -> dict[str, NDArray[np.intp]]:
    """Return the columns of each statistic, of each kind of tensor, and of each end of the network."""
    names = np.array(FEATURES)
    found = {name: np.flatnonzero(np.char.endswith(names, f".{name}")) for name in STATISTICS}
    found |= {kind: np.flatnonzero(np.char.startswith(names, f"{kind}.")) for kind in KINDS}
    return found | {
        f"{part} tensors": np.flatnonzero(np.char.find(names, f".{part}_") >= 0) for part in ("first", "last")
    }
