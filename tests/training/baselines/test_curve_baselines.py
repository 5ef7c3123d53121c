"""Published methods: what each is made of, on real curves."""

import numpy as np
import pytest

from tests.slices import Curves
from training.baselines import FinalPredictor
from training.baselines.curves import (
    BakerSVR,
    LastValue,
    time_series_features,
)


def test_features_are_the_curve_and_its_differences() -> None:
    seen = np.array([[0.1, 0.4, 0.6]])
    np.testing.assert_allclose(time_series_features(seen), [[0.1, 0.4, 0.6, 0.3, 0.2, -0.1]])


@pytest.mark.parametrize("method", [BakerSVR(0), LastValue()], ids=lambda method: type(method).__name__)
def test_final_accuracies_are_foretold_from_half_of_the_curve(method: FinalPredictor, curves: Curves) -> None:
    """On 20 real networks that it was not fitted to, no method is off by more than 0.05 on average."""
    features = np.zeros((len(curves.fold), 1))
    method.fit(curves.measured[:100], features[:100])
    predicted = method.predict(curves.measured[100:, :10], features[100:])
    assert predicted.shape == (20,)
    assert np.abs(predicted - curves.measured[100:, -1]).mean() < 0.05


def test_lc_net_learns_from_configurations(curves: Curves) -> None:
    """A feature that tells the final accuracy is found, with no more than one epoch seen."""
    pytest.importorskip("pyro")
    from training.baselines.lc_net import LCNet

    features = np.column_stack([curves.measured[:, -1], np.random.default_rng(0).normal(size=120)])
    method = LCNet(steps=300)
    method.fit(curves.measured[:100, ::4], features[:100])
    predicted = method.predict(curves.measured[100:, :1], features[100:])
    assert np.corrcoef(predicted, curves.measured[100:, -1])[0, 1] > 0.6
