"""Regressions that predict before training, on networks that they were not fitted to."""

import numpy as np
import pytest

from model.encoding.layer_code import PAPER, encode, pad
from model.network.shapes import Shape
from training.baselines.features import BoostedTrees, FeatureGaussianProcess, OneFeature
from training.baselines.peephole_lstm import PlainPeephole
from training.metrics import tau


@pytest.fixture(scope="module")
def data():
    """Curves and features of 160 networks: size tells a little of the final accuracy, two others much."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(160, 6))
    final = 0.5 + 0.1 * np.tanh(0.3 * features[:, 0] + np.abs(features[:, 2]) + features[:, 3])
    return final[:, None] * np.array([0.5, 0.8, 1.0]), features


@pytest.mark.parametrize("method", [BoostedTrees(), FeatureGaussianProcess()], ids=lambda method: type(method).__name__)
def test_features_rank_held_out_networks_better_than_size(method, data):
    curves, features = data
    ranks = []
    for one in (OneFeature(0), method):
        one.fit(curves[:120], features[:120])
        predicted = one.predict(np.empty((40, 0)), features[120:])
        assert predicted.shape == (40,)
        ranks.append(tau(curves[120:, -1], predicted))
    assert 0 < ranks[0] < ranks[1] - 0.2
    assert ranks[1] > 0.6


def test_one_feature_is_a_straight_line_inside_the_accuracies(data):
    _, features = data
    line = OneFeature(1)
    line.fit((0.5 + 0.1 * features[:, 1])[:, None], features)
    assert line.predict(features[:, :0], features) == pytest.approx(np.clip(0.5 + 0.1 * features[:, 1], 0, 1))
    assert line.predict(features[:1, :0], np.full((1, 6), 99.0)) == 1


@pytest.mark.parametrize("final_epoch_only", [False, True])
def test_the_plain_lstm_reads_codes(final_epoch_only):
    """Accuracy that falls with every ReLU before a convolution is found from codes alone."""
    rng = np.random.default_rng(0)
    image = Shape(3, 8, 8)
    encodings, finals = [], []
    for _ in range(96):
        relus = rng.integers(0, 5)
        layers = [
            {"type": "conv", "kernel_size": (3, 3), "out_channels": 8},
            *[{"type": "relu"}] * relus,
            {"type": "conv", "kernel_size": (1, 1), "channel_ratio": 1.0},
        ]
        encodings.append(encode(layers, PAPER, image).codes)
        finals.append(0.9 - 0.15 * relus)
    codes, _ = pad(encodings)
    curves = np.array(finals)[:, None] * np.array([0.5, 0.8, 1.0])
    method = PlainPeephole(PAPER, final_epoch_only=final_epoch_only, passes=10)
    method.fit(curves[:64], codes[:64])
    predicted = method.predict(np.empty((32, 0)), codes[64:])
    assert tau(curves[64:, -1], predicted) > 0.7
