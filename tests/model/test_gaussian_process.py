"""The Gaussian process against scikit-learn's, which keeps every network."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from model.gaussian_process import GaussianProcess

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


def fitted(data, points):
    features, targets = data
    return GaussianProcess.fit(features[:NETWORKS], targets[:NETWORKS], points=points, least_noise=LEAST_NOISE)


def predict(process, data):
    return process.predict(data[0][NETWORKS:])[0]


def test_with_a_point_for_each_network_it_is_the_exact_process(data, exact):
    process = fitted(data, None)
    np.testing.assert_array_equal(process.points, data[0][:NETWORKS])
    assert process.amplitude == pytest.approx(exact.kernel_.k1.k1.constant_value, rel=1e-3)
    assert process.length_scale == pytest.approx(exact.kernel_.k1.k2.length_scale, rel=1e-3)
    np.testing.assert_allclose(predict(process, data), exact.predict(data[0][NETWORKS:]), atol=1e-5)


def test_few_points_that_learn_from_all_beat_a_process_on_those_few(data, exact):
    features, targets = data
    process = fitted(data, 20)
    assert len(process.points) == 20
    chosen = [int(np.flatnonzero((features == point).all(axis=1))[0]) for point in process.points]
    few = GaussianProcessRegressor(exact.kernel_, optimizer=None).fit(features[chosen], targets[chosen])
    full = exact.predict(features[NETWORKS:])
    alone = few.predict(features[NETWORKS:])
    assert np.abs(predict(process, data) - full).mean() < 0.6 * np.abs(alone - full).mean()


def test_each_point_is_far_from_those_before_it():
    features = np.array([[0.0], [0.01], [5.0]])
    process = GaussianProcess.fit(features, np.array([[0.0], [0.0], [1.0]]), points=2)
    assert sorted(process.points[:, 0].tolist()) in ([0.0, 5.0], [0.01, 5.0])


def test_networks_with_equal_features_are_no_obstacle():
    rng = np.random.default_rng(1)
    features = np.repeat(rng.normal(size=(10, FEATURES)), 3, axis=0)
    targets = np.repeat(rng.normal(size=(10, 2)), 3, axis=0)
    process = GaussianProcess.fit(features, targets, least_noise=LEAST_NOISE)
    assert np.isfinite(process.weights).all()
    np.testing.assert_allclose(process.predict(features)[0], targets, atol=0.2)


def test_the_distance_is_to_the_nearest_point(data):
    process = fitted(data, 20)
    assert process.predict(process.points)[1] == pytest.approx(0, abs=1e-12)
    far = np.full((1, FEATURES), 10.0)
    assert process.predict(far)[1] == pytest.approx(((process.points - far) ** 2).mean(axis=1).min())


def test_the_scales_may_be_fitted_to_a_part(data):
    features, targets = data
    part = np.arange(0, NETWORKS, 2)
    whole = GaussianProcess.fit(features[:NETWORKS], targets[:NETWORKS], part=part)
    half = GaussianProcess.fit(features[part], targets[part])
    assert (whole.amplitude, whole.length_scale) == (half.amplitude, half.length_scale)
    assert len(whole.points) == NETWORKS
