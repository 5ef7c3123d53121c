"""Networks that learn nothing share one accuracy, and predictions meet it."""

import numpy as np
import pytest

from model.calibration import snap
from training.fitting.chance_level import cross_fit_chance_level, fit_chance_level, residuals_outside_interval
from training.metrics import tau

LEVEL, EPOCHS = 0.1128, 3


@pytest.fixture
def accuracies() -> tuple[np.ndarray, np.ndarray]:
    """Measured and predicted [200, 3]: 60 networks that learn nothing, predicted a little too high, and 140 others."""
    rng = np.random.default_rng(0)
    measured = np.vstack([np.full((60, EPOCHS), LEVEL), rng.uniform(0.4, 0.98, (140, EPOCHS))])
    predicted = measured + np.vstack([rng.uniform(-0.03, 0.08, (60, EPOCHS)), rng.normal(0, 0.03, (140, EPOCHS))])
    return measured, predicted


def test_what_is_as_good_as_hopeless_is_met_exactly(accuracies: tuple[np.ndarray, np.ndarray]) -> None:
    measured, predicted = accuracies
    snapped = snap(predicted, *fit_chance_level(measured, predicted))
    assert np.ptp(snapped[:60]) == 0
    np.testing.assert_allclose(snapped[:60], LEVEL, atol=1e-6)
    np.testing.assert_array_equal(snapped[60:], predicted[60:])
    assert tau(measured[:, -1], snapped[:, -1]) > tau(measured[:, -1], predicted[:, -1])


def test_the_map_is_increasing_and_at_most_twice_as_steep() -> None:
    slope = np.diff(snap(np.linspace(0, 1, 10_001), LEVEL, 0.25)) / 1e-4
    assert slope.min() >= 0
    assert slope.max() <= 2 + 1e-6


def test_where_accuracies_do_not_tie_there_is_no_floor(accuracies: tuple[np.ndarray, np.ndarray]) -> None:
    measured, predicted = (part[60:] for part in accuracies)
    chance_level = fit_chance_level(measured, predicted)
    assert not chance_level.thresholds.any()
    np.testing.assert_array_equal(snap(predicted, *chance_level), predicted)


def test_a_shared_best_accuracy_is_no_floor(accuracies: tuple[np.ndarray, np.ndarray]) -> None:
    """A task that many networks solve ties at the top; to put everybody there would help nobody."""
    measured, predicted = accuracies
    assert not fit_chance_level(np.where(measured > 0.9, 1.0, measured)[60:], predicted[60:]).thresholds.any()


def test_each_fold_has_the_floor_of_the_others(accuracies: tuple[np.ndarray, np.ndarray]) -> None:
    """With all that learnt nothing in one fold, the others know no chance level, and theirs is not asked of itself."""
    measured, predicted = accuracies
    fold = np.where(np.arange(200) < 60, 0, 1 + np.arange(200) % 4)
    np.testing.assert_array_equal(cross_fit_chance_level(measured, predicted, fold)[:60], predicted[:60])


def test_epochs_not_measured_do_not_count(accuracies: tuple[np.ndarray, np.ndarray]) -> None:
    measured, predicted = accuracies
    measured[:, -1] = np.nan
    assert fit_chance_level(measured, predicted).thresholds.astype(bool).tolist() == [True, True, False]


def test_an_interval_around_both_predictions_misses_nothing_between_them() -> None:
    measured, predicted, snapped = np.array([[0.1128, 0.15, 0.3]]), np.full((1, 3), 0.2), np.array([[0.1128, 0.2, 0.2]])
    residuals = measured - predicted
    np.testing.assert_allclose(
        residuals_outside_interval(residuals, measured, predicted, snapped), [[0, -0.05, 0.1]], atol=1e-9
    )
