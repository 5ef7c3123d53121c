"""The sparse Gaussian process against scikit-learn's, which keeps every network."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from training.fitting.sparse_gaussian_process import SparseGaussianProcess, fit_sparse_gaussian_process, pivots

NETWORKS, FEATURES = 120, 3
LEAST_NOISE = 1e-3


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2 * NETWORKS, FEATURES))
    targets = np.stack([np.sin(features[:, 0]), np.cos(features[:, 1])], axis=1)
    targets += rng.normal(0, 0.1, targets.shape)
    return features, targets


@pytest.fixture(scope="module")
def exact(data):
    features, targets = data
    kernel = ConstantKernel(1.0, (1e-2, 1e3)) * Matern(8.0, (1.0, 1e3), nu=1.5) + WhiteKernel(0.2, (LEAST_NOISE, 10))
    return GaussianProcessRegressor(kernel, random_state=0).fit(features[:NETWORKS], targets[:NETWORKS])


def sparse(data, points: int) -> SparseGaussianProcess:
    features, targets = data
    part = np.arange(NETWORKS)
    return fit_sparse_gaussian_process(
        features[:NETWORKS], targets[:NETWORKS], points=points, least_noise=LEAST_NOISE, part=part
    )


def predict(process: SparseGaussianProcess, data):
    features, _ = data
    return process.kernel(features[NETWORKS:], features[:NETWORKS][process.chosen]) @ process.weights


def test_with_a_point_for_each_network_it_is_the_exact_process(data, exact) -> None:
    process = sparse(data, NETWORKS)
    assert process.chosen.tolist() == list(range(NETWORKS))
    np.testing.assert_allclose(predict(process, data), exact.predict(data[0][NETWORKS:]), atol=1e-6)


def test_few_points_that_learn_from_all_beat_a_process_on_those_few(data, exact) -> None:
    features, targets = data
    process = sparse(data, 20)
    assert len(process.chosen) == 20
    few = GaussianProcessRegressor(exact.kernel_, optimizer=None)
    few.fit(features[:NETWORKS][process.chosen], targets[:NETWORKS][process.chosen])
    full = exact.predict(features[NETWORKS:])
    alone = few.predict(features[NETWORKS:])
    assert np.abs(predict(process, data) - full).mean() < 0.6 * np.abs(alone - full).mean()


def test_networks_with_equal_features_are_no_obstacle() -> None:
    rng = np.random.default_rng(1)
    features = np.repeat(rng.normal(size=(10, FEATURES)), 3, axis=0)
    targets = np.repeat(rng.normal(size=(10, 2)), 3, axis=0)
    process = fit_sparse_gaussian_process(features, targets, points=30, least_noise=LEAST_NOISE, part=np.arange(30))
    assert np.isfinite(process.weights).all()
    np.testing.assert_allclose(process.kernel(features, features[process.chosen]) @ process.weights, targets, atol=0.2)


def test_pivots_take_the_rows_that_those_before_say_least_about() -> None:
    covariance = np.array([[1.0, 0.99, 0.0], [0.99, 1.0, 0.0], [0.0, 0.0, 0.5]])
    assert pivots(covariance, 3).tolist() == [0, 2, 1]
