"""Methods that predict before training, on networks that they were not fitted to."""

from pathlib import Path

import numpy as np
import pytest

from model.encoding.layer_code import PAPER, encode, pad
from model.network.shapes import Shape
from training.baselines.gaussian_process import FeatureGaussianProcess
from training.baselines.one_feature import PARAMETERS, OneFeature
from training.baselines.peephole_lstm import PlainPeephole
from training.baselines.trees import BoostedTrees
from training.metrics import tau
from training.observations.read import read
from training.study.networks import Networks, Task, describe

TABLE = Path(__file__).parents[3] / "data" / "mnist-mini.parquet"


@pytest.fixture(scope="module")
def split() -> tuple[Networks, Networks]:
    rows = read(TABLE)
    networks = describe(rows)
    ((fitting, asked),) = Task("mnist-mini", rows, own=True).parts(networks)
    return networks.rows(fitting), networks.rows(asked)


@pytest.mark.parametrize("method", [BoostedTrees(), FeatureGaussianProcess()], ids=lambda method: type(method).__name__)
def test_hand_features_rank_held_out_networks_better_than_size(method, split):
    fitting, asked = split
    nothing = np.empty((len(asked), 0))
    size = OneFeature(PARAMETERS)
    ranks = []
    for one in (size, method):
        one.fit(fitting.curves, fitting.features)
        predicted = one.predict(nothing, asked.features)
        assert predicted.shape == (len(asked),)
        assert ((predicted >= 0) & (predicted <= 1)).all()
        ranks.append(tau(asked.final, predicted))
    assert ranks[1] > max(0.4, ranks[0] + 0.2)


@pytest.mark.parametrize("final_epoch_only", [False, True])
def test_the_plain_lstm_reads_codes(final_epoch_only):
    """Accuracy that falls with every ReLU before a convolution is found from codes alone."""
    rng = np.random.default_rng(0)
    image = Shape(3, 8, 8)
    encodings, finals = [], []
    for _ in range(160):
        relus = rng.integers(0, 5)
        layers = [
            {"type": "conv", "kernel_size": (3, 3), "out_channels": 8},
            *[{"type": "relu"}] * relus,
            {"type": "conv", "kernel_size": (1, 1), "channel_ratio": 1.0},
        ]
        encodings.append(encode(layers, PAPER, image, clamp=True).codes)
        finals.append(0.9 - 0.15 * relus)
    codes, _ = pad(encodings)
    curves = np.array(finals)[:, None] * np.array([0.5, 0.8, 1.0])
    method = PlainPeephole(PAPER, final_epoch_only=final_epoch_only)
    method.fit(curves[:120], codes[:120])
    predicted = method.predict(np.empty((40, 0)), codes[120:])
    assert tau(curves[120:, -1], predicted) > 0.7
