"""Boosted trees in numpy against those of scikit-learn."""

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingRegressor

from model.boosted_trees import BoostedTrees
from training.fitting import fit_proxies


def test_trees_predict_what_they_were_fitted_as(monkeypatch: pytest.MonkeyPatch):
    """Also where branches end early, and after a round trip through named arrays."""
    monkeypatch.setattr(fit_proxies, "TREES", 20)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(100, 5)).astype(np.float32)
    targets = np.stack([features[:, 0] * features[:, 1], (features[:, 2] > 1.2) * 1.0], axis=1)
    trees = fit_proxies.fit_trees(features, targets)
    found = BoostedTrees.from_arrays(trees.arrays()).predict(features)
    for output, target in enumerate(targets.T):
        known = GradientBoostingRegressor(
            n_estimators=20,
            max_depth=fit_proxies.DEPTH,
            learning_rate=fit_proxies.RATE,
            subsample=fit_proxies.SAMPLED,
            max_features=fit_proxies.FEATURES_TRIED,
            random_state=0,
            init="zero",
        ).fit(features, target - target.mean())
        np.testing.assert_allclose(found[:, output], known.predict(features) + target.mean(), rtol=1e-5, atol=1e-6)
    assert (trees.threshold == np.inf).any()
