"""The Gaussian process against scikit-learn's, which keeps every network."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel

from model.gaussian_process import GaussianProcess, Scales, most_likely

NETWORKS, FEATURES = 120, 3
SCALES = Scales(amplitude=1.3, length_scale=4.0, linear=0.4, noise=0.02)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2 * NETWORKS, FEATURES))
    targets = np.stack([np.sin(features[:, 0]), np.cos(features[:, 1]) + features[:, 2]], axis=1)
    targets += rng.normal(0, 0.1, targets.shape)
    return features, targets


@pytest.fixture(scope="module")
def exact(data):
    features, targets = data
    smooth = ConstantKernel(SCALES.amplitude) * Matern(SCALES.length_scale, nu=1.5)
    line = ConstantKernel(SCALES.linear) * DotProduct(sigma_0=0, sigma_0_bounds="fixed")
    kernel = smooth + line + WhiteKernel(SCALES.noise)
    return GaussianProcessRegressor(kernel, optimizer=None).fit(features[:NETWORKS], targets[:NETWORKS])


def fitted(data, points):
    features, targets = data
    return GaussianProcess.fit(features[:NETWORKS], targets[:NETWORKS], points=points, scales=SCALES)


def predict(process, data):
    return process.predict(data[0][NETWORKS:])[0]


def test_with_a_point_for_each_network_it_is_the_exact_process(data, exact):
    process = fitted(data, None)
    np.testing.assert_array_equal(process.points, data[0][:NETWORKS])
    np.testing.assert_allclose(predict(process, data), exact.predict(data[0][NETWORKS:]), atol=1e-5)


def test_few_points_that_learn_from_all_beat_a_process_on_those_few(data, exact):
    features, targets = data
    process = fitted(data, 20)
    assert len(process.points) == 20
    chosen = [int(np.flatnonzero((features == point).all(axis=1))[0]) for point in process.points]
    few = GaussianProcessRegressor(exact.kernel_, optimizer=None).fit(features[chosen], targets[chosen])
    full = exact.predict(features[NETWORKS:])
    alone = few.predict(features[NETWORKS:])
    assert np.abs(predict(process, data) - full).mean() < 0.8 * np.abs(alone - full).mean()


def test_the_likely_scales_predict_better_than_others(data):
    features, targets = data
    scales, likely = most_likely(features[:NETWORKS], targets[:NETWORKS])
    process = GaussianProcess.fit(features[:NETWORKS], targets[:NETWORKS])
    assert (process.amplitude, process.length_scale) == (scales.amplitude, scales.length_scale)
    other = GaussianProcess.fit(features[:NETWORKS], targets[:NETWORKS], scales=Scales(1.0, 0.2, 0.01, 1.0))
    errors = [np.abs(predict(one, data) - targets[NETWORKS:]).mean() for one in (process, other)]
    assert errors[0] < 0.5 * errors[1]
    noise = np.random.default_rng(1).normal(size=(NETWORKS, 2))
    assert most_likely(features[:NETWORKS], noise)[1] < likely


def test_a_straight_line_goes_on_where_no_network_was():
    features = np.linspace(-1, 1, 30)[:, None]
    process = GaussianProcess.fit(features, 2 * features)
    assert process.predict(np.array([[3.0]]))[0][0, 0] == pytest.approx(6, rel=0.1)


def test_each_point_is_far_from_those_before_it():
    features = np.array([[0.0], [0.01], [5.0]])
    process = GaussianProcess.fit(features, np.array([[0.0], [0.0], [1.0]]), points=2)
    assert sorted(process.points[:, 0].tolist()) in ([0.0, 5.0], [0.01, 5.0])


def test_networks_with_equal_features_are_no_obstacle():
    rng = np.random.default_rng(1)
    features = np.repeat(rng.normal(size=(10, FEATURES)), 3, axis=0)
    targets = np.repeat(rng.normal(size=(10, 2)), 3, axis=0)
    process = GaussianProcess.fit(features, targets)
    assert np.isfinite(process.weights).all()
    np.testing.assert_allclose(process.predict(features)[0], targets, atol=0.2)


def test_the_distance_is_to_the_nearest_point(data):
    process = fitted(data, 20)
    assert process.predict(process.points)[1] == pytest.approx(0, abs=1e-12)
    far = np.full((1, FEATURES), 10.0)
    assert process.predict(far)[1] == pytest.approx(((process.points - far) ** 2).mean(axis=1).min())
