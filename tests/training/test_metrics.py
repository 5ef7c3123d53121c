"""Metrics and the ceiling are what they say."""

import numpy as np
import pytest

from training.curves.ridges import CrossFitted, margins
from training.fitting.calibrate import conformal_margins
from training.metrics import ceiling, score
from training.observations.observation import Observation


def test_a_perfect_prediction():
    curves = np.array([[0.1, 0.2], [0.1, 0.4], [0.2, 0.3]])
    metrics = score(curves, curves)
    assert (metrics.tau, metrics.r2, metrics.mse, metrics.curve_mae) == (1, 1, 0, 0)


def test_the_last_measured_epoch_is_final():
    measured = np.array([[0.1, 0.5], [0.3, np.nan], [0.2, 0.4]])
    predicted = np.array([[0.0, 0.5], [0.3, 9.0], [0.0, 0.4]])
    assert score(measured, predicted).mse == 0
    assert score(measured, predicted).curve_mae == pytest.approx(0.3 / 5)


def runs(finals):
    return [
        Observation(
            task="t",
            layers=[{"type": "conv", "kernel_size": (3, 3), "out_channels": width + 1}],
            accuracy=[final],
            seed=seed,
        )
        for width, network in enumerate(finals)
        for seed, final in enumerate(network)
    ]


def test_without_noise_the_ceiling_is_one():
    found = ceiling(runs([[0.1] * 3, [0.5] * 3, [0.9] * 3, [0.7] * 3]))
    assert found.tau == pytest.approx(1)
    assert found.r2 == 1
    assert found.noise == pytest.approx(0, abs=1e-12)


def test_noise_lowers_the_ceiling():
    rng = np.random.default_rng(0)
    finals = rng.normal(0.5, 0.1, (200, 1)) + rng.normal(0, 0.05, (200, 3))
    found = ceiling(runs(np.clip(finals, 0, 1)))
    correlation = np.sqrt(0.1**2 / (0.1**2 + 0.05**2) * 0.1**2 / (0.1**2 + 0.05**2 / 2))
    assert found.tau == pytest.approx(2 / np.pi * np.arcsin(correlation), abs=0.05)
    assert found.noise == pytest.approx(0.05, rel=0.1)


def test_a_single_seed_has_no_ceiling():
    assert ceiling(runs([[0.1], [0.2], [0.3]])) is None


def test_conformal_margins_cover_fresh_residuals():
    rng = np.random.default_rng(0)
    widths = conformal_margins(rng.normal(size=(2000, 3)), np.ones((2000, 3)), level=0.9)
    assert (np.abs(rng.normal(size=(20_000, 3))) <= widths).mean(axis=0) == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("measured", [0, 1, 2, 4, 8, 9, 20])
def test_margins_cover_where_few_curves_reach(measured):
    rng = np.random.default_rng(measured)
    covered = []
    for _ in range(1000):
        residuals = np.full((100, 2), np.nan)
        residuals[:, 0] = rng.normal(size=100)
        residuals[:measured, 1] = rng.normal(size=measured)
        margin = conformal_margins(residuals, np.ones_like(residuals), level=0.9)[1]
        covered.append(abs(rng.normal()) <= margin)
    assert np.mean(covered) > 0.87


def test_margins_of_a_continuation_cover_where_few_curves_reach():
    """All curves reach epoch 2, two go on to epoch 4; after three epochs nothing but those two was measured."""
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(1000):
        residuals = np.full((5, 60, 4), np.nan)
        for seen in (1, 2, 3):
            residuals[seen, :2, seen:] = rng.normal(size=(2, 4 - seen))
        residuals[1, :, 1] = rng.normal(size=60)
        crossed = CrossFitted(residuals, residuals, np.zeros(60, dtype=np.intp))
        widths = margins(crossed, np.ones(60, dtype=bool))
        covered.append(np.abs(rng.normal(size=2)) <= widths[[1, 3], 3])
    assert (np.mean(covered, axis=0) > 0.87).all()


def test_margins_ignore_epochs_that_were_not_measured():
    residuals = np.array([[1.0, np.nan], [1.0, np.nan]])
    assert conformal_margins(residuals, np.ones((2, 2))).tolist() == [1.0, 1.0]
