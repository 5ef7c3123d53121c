"""Hand features mean what their names say, and stay what they were."""

from pathlib import Path

import numpy as np
import pytest

from model.encoding.features import (
    COUNTS,
    FEATURES,
    LAYER_FEATURES,
    SIGNAL,
    attributes,
    layer_features,
    network_features,
)
from model.encoding.layer_code import EXTENDED, encode, pad
from model.network.graph import costs, resolve
from model.network.schema import LAYERS
from model.network.shapes import Shape
from model.sampling.blocks import sample_blocks
from model.sampling.skeleton import assemble

IMAGE = Shape(3, 16, 16)
CONV = {"type": "conv", "kernel_size": 3, "out_channels": 8}
NORM, RELU, SIGMOID = {"type": "batch_norm"}, {"type": "relu"}, {"type": "sigmoid"}
POOL = {"type": "max_pool", "kernel_size": 2}
MADE = [
    CONV | {"kernel_size": [3, 7], "stride": [1, 2]},  # the next convolution sees half of the positions: stage 1
    {"type": "tanh"},
    CONV | {"out_channels": 16},
    SIGMOID,
    POOL,
    CONV | {"kernel_size": 1, "out_channels": 4},
    NORM,
    CONV | {"out_channels": 4},
    CONV | {"kernel_size": [5, 3], "out_channels": 12},
    {"type": "avg_pool", "kernel_size": 2},
    {"type": "dropout", "p": 0.3},
    {"type": "linear", "out_features": 10},
]
GOLDEN = np.load(Path(__file__).with_name("features.npz"))


def codes_of(*layers):
    return encode(LAYERS.validate_python(list(layers)), EXTENDED, IMAGE).codes


def features_of(*encodings):
    """Named features, each [networks]."""
    return dict(zip(FEATURES, network_features(attributes(*pad(encodings), IMAGE)).T, strict=True))


def log(count):
    return 0.1 * np.log1p(count)


@pytest.mark.parametrize("name", ["cifar10-mini", "mnist-mini", "mixed"])
def test_features_stay_what_predictors_were_fitted_to(name):
    codes, lengths = GOLDEN[f"{name}/codes"], GOLDEN[f"{name}/lengths"]
    layers = attributes(codes, lengths, Shape(*GOLDEN[f"{name}/image"].tolist()))
    expected = dict(zip(GOLDEN["names"].tolist(), GOLDEN[f"{name}/network"].T, strict=True))
    assert set(FEATURES) == set(expected)
    for feature, found in zip(FEATURES, network_features(layers).T, strict=True):
        np.testing.assert_allclose(found, expected[feature], atol=1e-5, rtol=1e-5, err_msg=feature)
    present = np.arange(codes.shape[1]) < lengths[:, None]
    found = layer_features(layers)[present]
    np.testing.assert_allclose(found, GOLDEN[f"{name}/layers"], atol=1e-5, rtol=1e-5)


def test_features_of_a_network_made_by_hand():
    into, out = np.array([3, 8, 16, 4, 4]), np.array([8, 16, 4, 4, 12])  # channels of the convolutions
    walk = [0.35, -0.65, -0.3, -3.3, -3.3, -2.95, 0, 0.35, 0.7, 0.7, 0.7, 0.7]
    expected = {
        "log params": log(3 * 8 * 21 + 8 * 16 * 9 + 16 * 4 + 4 * 4 * 9 + 4 * 12 * 15 + 12 * 8 * 10),
        "log layers": log(12),
        "widening": np.maximum(log(out) - log(into), 0).sum(),
        "narrowing": log(16) - log(4),
        "convs before: pool 1": 0.1 * 2,
        "convs before: pool 2": 0.1 * 5,
        "kernel: conv 1": 0.2 * 5,
        "kernel: conv 1 from the end": 0.2 * 4,
        "log area: conv 2": log(16 * 8),
        "log channels: conv 3 from the end": log(4),
        "margin: stage 1": 0.05 * (2 + 0 + 2 + 3),
        "mean kernel width": 0.2 * (7 + 3 + 1 + 3 + 3) / 5,
        "mean kernel height": 0.2 * (3 + 3 + 1 + 3 + 5) / 5,
        "mean log channels: conv and linear": (log(out).sum() + log(10)) / 6,
        "share of activations: sigmoid": 0.5,
        "share: conv": 5 / 12,
        "mean dropout": 0.3,
        "largest dropout": 0.3,
        "dropout: last": 0,
        "variance of log channels": 10 * log(out).var(),
        "widest conv": log(16),
        "narrowest conv": log(4),
        "widest: stage 0": log(8),
        "widest: stage 1": log(16),
        "narrowest: stage 1": log(4),
        "narrowest: stage 2": 0,
        "log count: conv": log(5),
        "log count: conv, kernel 3": log(3),
        "log count: pool, kernel 2": log(2),
        "log count: stage 1": log(4),
        "log count of larger kernels: stage 1": log(3),
        "log count of large kernels: stage 1": log(1),
        "log count of conv: area 3": log(2),
        "log count of conv: area 1": log(3),
        "log params: linear": log(12 * 4 * 2 * 10),
        "log count: sigmoid after conv": log(1),
        "log count: batch_norm after conv": log(1),
        "log count: batch_norm after tanh": 0,
        "share of conv before batch_norm": 1 / 5,
        "log count: conv before any normalisation": log(3),
        "log run of conv: longest": log(3),
        "log run of linear conv: longest": log(3),
        "log run of conv: last": log(2),
        "log run of linear conv: last": log(3),
        "walk: last": 0.7,
        "walk: mean": np.mean(walk),
        "rise of the signal": 0.7,
        "fall of the signal": 3.3,
    }
    found = features_of(codes_of(*MADE))
    for name, value in expected.items():
        assert np.allclose(found[name], value, atol=1e-6), f"{name}: {found[name]}, not {value}"


def test_what_is_known_of_each_layer():
    found = layer_features(attributes(*pad([codes_of(*MADE)]), IMAGE))[0]
    params = 3 * 8 * 21
    counts = {
        **{"channels_in": 3, "channels": 8, "area_in": 256, "window": 21, "area": 128, "volume": 1024},
        **{"params": params, "flops": params * 128, "reach": 4, "position": 1},
        **{"params_so_far": params, "flops_so_far": params * 128},
    }
    first = dict(zip(LAYER_FEATURES, found[0], strict=True))
    expected = {f"log {name}": log(counts[name]) for name in COUNTS}
    expected |= {"widening": 3 * (log(8) - log(3)), "dropout": 0, "stride": 0.5, "position": 0.02}
    assert first == pytest.approx(expected, abs=1e-6)
    assert found[10, -3:].tolist() == pytest.approx([0.3, 0.0, 0.02 * 11], abs=1e-6)


def test_parameters_and_operations_come_first():
    assert FEATURES[:2] == ("log params", "log flops")
    networks = [assemble(block, IMAGE, 8) for block in sample_blocks(8, seed=5)]
    found = features_of(*(encode(network, EXTENDED, IMAGE).codes for network in networks))
    weights, flops = (np.expm1(found[name] / 0.1) for name in FEATURES[:2])
    expected = [costs(resolve(network, IMAGE)) for network in networks]
    params = np.array([one.params for one in expected])
    assert (weights <= params * 1.001).all()
    assert (weights > 0.8 * params).all(), "biases and batch normalisation are a small part"
    np.testing.assert_allclose(2 * flops, [one.flops for one in expected], rtol=1e-3)


def test_features_do_not_depend_on_the_batch():
    encodings = [codes_of(RELU), codes_of(*MADE), codes_of(*[CONV, SIGMOID] * 25), codes_of(*MADE[:5])]
    together = features_of(*encodings)
    for index, one in enumerate(encodings):
        alone = features_of(one)
        for name in FEATURES:
            assert together[name][index] == pytest.approx(alone[name][0], abs=1e-6), name


def test_layers_behind_the_end_have_no_features():
    found = layer_features(attributes(*pad([codes_of(RELU), codes_of(*MADE)]), IMAGE))
    assert not found[0, 1:].any()


def test_a_run_of_sigmoids_ends_at_a_normalisation():
    broken, mended = codes_of(*[CONV, SIGMOID] * 4), codes_of(*[CONV, SIGMOID, CONV, SIGMOID, NORM] * 2)
    longest = features_of(broken, mended)["log run of sigmoid: longest"]
    assert longest.tolist() == pytest.approx([log(4), log(2)])


def test_a_signal_survives_relu_and_not_sigmoids():
    kept, lost = features_of(*(codes_of(*[CONV, kind] * 5) for kind in (RELU, SIGMOID)))["fall of the signal"]
    assert abs(kept) < 1e-6
    assert lost > 10


def test_the_receptive_field_grows_with_kernels_and_strides():
    assert features_of(codes_of(CONV, POOL, CONV))["log receptive field"] == pytest.approx(log(2 + 1 + 2 * 2))


def test_no_two_features_share_a_name():
    assert len(set(FEATURES)) == len(FEATURES)


def test_some_features_tell_whether_a_signal_survives():
    some = {"walk: last", "log run of conv: longest", "log count: batch_norm after tanh"}
    assert some <= set(SIGNAL) <= set(FEATURES)
