"""One accuracy a network is standardised by rank."""

import numpy as np
import pytest

from model.calibration import Calibration, CurveScale, QuantileScale, scale_of


@pytest.fixture(scope="module")
def accuracies():
    """A space in which a tenth of the networks fail."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(0.92, 0.01, 450), np.full(50, 0.1)])


def test_a_few_failures_do_not_stretch_the_scale(accuracies):
    values = QuantileScale.of(accuracies).standardise(accuracies)
    good = values[:450]
    assert good.std() > 5 * CurveScale.of_logits(accuracies[:, None]).standardise(accuracies[:, None])[:450].std()
    assert abs(values.mean()) < 0.1
    assert values.std() == pytest.approx(1, abs=0.1)


def test_accuracies_come_back(accuracies):
    scale = QuantileScale.of(accuracies)
    np.testing.assert_allclose(scale.to_accuracy(scale.standardise(accuracies)), accuracies, atol=2e-3)
    assert np.isnan(scale.standardise(np.array([np.nan]))).all()


def test_order_is_kept_beyond_the_best_and_the_worst(accuracies):
    values = np.linspace(-5, 5, 50)
    found = QuantileScale.of(accuracies).to_accuracy(values)
    assert (np.diff(found) >= 0).all()
    assert found[0] < 0.1
    assert found[-1] > accuracies.max()
    assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_networks_and_equal_accuracies_have_a_scale(count):
    scale = QuantileScale.of(np.full(count, 0.5))
    assert np.isfinite(scale.standardise(np.array([0.1, 0.5, 0.9]))).all()
    assert scale.to_accuracy(np.zeros(1))[0] == pytest.approx(0.5, abs=0.01)


def test_curves_keep_the_scale_of_log_odds(accuracies):
    assert isinstance(scale_of(accuracies[:, None]), QuantileScale)
    assert isinstance(scale_of(np.stack([accuracies, accuracies], axis=1)), CurveScale)


def test_a_scale_is_stored_and_read(accuracies):
    scale = QuantileScale.of(accuracies)
    read = Calibration.from_arrays(Calibration.without(scale).arrays(), np.inf).scale
    np.testing.assert_array_equal(read.standardise(accuracies), scale.standardise(accuracies))
