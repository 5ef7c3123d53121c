"""The shipped predictor's parts: members fused for speed say what they said apart; features mean what they claim."""

import numpy as np
import torch

from model.architecture import Architecture
from model.networks.fused_members import FusedMembers
from model.networks.layer_conv import LayerConv
from model.networks.layer_features import LAYER_FEATURES, LayerQuantities
from model.networks.layer_tables import AREA_MASKS, AREAS, GAINS, ID, PAIRS, STAGE_MASKS, STAGES, TRAITS
from model.networks.network_features import network_features
from model.networks.signal_propagation import signal_features
from model.shapes import Shape, cost
from model.ulc import EXTENDED, encode, pad
from training.blocks import sample_blocks
from training.skeleton import assemble

IMAGE = Shape(3, 16, 16)
CONV = {"type": "conv", "kernel_size": 3, "out_channels": 8}
NORM, RELU, SIGMOID = {"type": "batch_norm"}, {"type": "relu"}, {"type": "sigmoid"}
POOL = {"type": "max_pool", "kernel_size": 2}


def codes_of(*layers):
    architecture = Architecture.model_validate({"layers": list(layers)})
    return encode(architecture.layers, EXTENDED, IMAGE).codes


def quantities(*encodings):
    codes, _ = pad(encodings)
    return LayerQuantities(IMAGE)(torch.from_numpy(codes))


def sampled(count):
    networks = [assemble(block, IMAGE, 8) for block in sample_blocks(count, seed=5)]
    return networks, [encode(network, EXTENDED, IMAGE, clamp=True).codes for network in networks]


@torch.no_grad()
def test_fused_members_say_what_the_members_say():
    torch.manual_seed(0)
    members = [LayerConv(epochs=6, features=20).eval() for _ in range(3)]
    codes, lengths = (torch.from_numpy(array) for array in pad(sampled(12)[1]))
    per_layer, whole = torch.rand(*codes.shape[:2], LAYER_FEATURES), torch.randn(len(codes), 20) * 3
    expected = torch.stack([member(codes, lengths, per_layer, whole) for member in members])
    assert expected.std() > 0.01
    torch.testing.assert_close(FusedMembers(members)(codes, lengths, per_layer, whole), expected, atol=1e-5, rtol=1e-5)


def test_parameters_and_operations_come_first():
    networks, encodings = sampled(8)
    features = network_features(quantities(*encodings)).numpy()
    weights, flops = np.expm1(features[:, :2].T / 0.1)
    expected = np.array([cost(network, IMAGE) for network in networks]).T
    assert (weights <= expected[0] * 1.001).all()
    assert (weights > 0.8 * expected[0]).all(), "biases and batch normalisation are a small part"
    assert np.allclose(2 * flops, expected[1], rtol=0.1)


def test_features_do_not_depend_on_the_batch():
    encodings = sampled(10)[1]
    together = network_features(quantities(*encodings))
    alone = torch.cat([network_features(quantities(one)) for one in encodings])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_a_run_of_sigmoids_ends_at_a_normalisation():
    broken = quantities(codes_of(*[CONV, SIGMOID] * 4))
    mended = quantities(codes_of(*[CONV, SIGMOID, CONV, SIGMOID, NORM] * 2))
    sigmoids_in_a_run = 1  # column: the second count of `COUNTED`
    longest = [float(torch.expm1(signal_features(q)[0, sigmoids_in_a_run] * 10)) for q in (broken, mended)]
    assert np.allclose(longest, [4, 2], atol=1e-4)


def test_a_signal_survives_relu_and_not_sigmoids():
    fall = -4  # column: how deep the walk falls
    kept, lost = (float(signal_features(quantities(codes_of(*[CONV, kind] * 5)))[0, fall]) for kind in (RELU, SIGMOID))
    assert abs(kept) < 1e-5
    assert lost > 10


def test_tables_say_what_comparisons_would():
    """Stages, areas, kinds, kernels and what follows them, looked up, on drawn networks and one more."""
    codes = torch.from_numpy(pad([*sampled(20)[1], codes_of(CONV, RELU, NORM, *[POOL] * 3, CONV)])[0])
    q = LayerQuantities(IMAGE)(codes)
    kind, width, height = codes[:, :, 0], codes[:, :, 1], codes[:, :, 2]
    positions = codes[:, :, -2] * codes[:, :, -1]
    first = torch.full_like(positions[:, :1], IMAGE.height * IMAGE.width)
    before = torch.cat([first, positions[:, :-1]], dim=1) / (IMAGE.height * IMAGE.width)
    after = torch.cat([kind[:, 1:], torch.zeros_like(kind[:, :1])], dim=1)
    conv, pool = kind == ID["conv"], (kind == ID["max_pool"]) | (kind == ID["avg_pool"])
    expected = {"conv of kernel 3": conv & (width == 3), "pool of kernel 2": pool & (width == 2), "present": kind > 0}
    expected |= {"relu": kind == ID["relu"], "gain": conv * 0.35 + (kind == ID["relu"]) * -0.35}
    for name in ("sigmoid", "tanh"):
        expected["gain"] = expected["gain"] + (kind == ID[name]) * GAINS[name]
    found = {name: q.traits[:, :, TRAITS.index(name)] for name in expected}
    expected["pool then tanh"] = pool & (after == ID["tanh"])
    expected["relu then normalised"] = (kind == ID["relu"]) & (after == ID["batch_norm"])
    found |= {name: q.pairs[:, :, PAIRS.index(name)] for name in ("pool then tanh", "relu then normalised")}
    for number, (low, high) in enumerate(STAGES):
        stage = conv & (before > low) & (before <= high)
        sizes = {"": stage, " larger": stage & (width + height > 2), " large": stage & (width + height >= 8)}
        expected |= {f"stage {number}{size}": mask for size, mask in sizes.items()}
    for number, (low, high) in enumerate(AREAS):
        area = (positions > low) & (positions <= high)
        expected |= {f"area {number}": area, f"conv on area {number}": conv & area}
    found |= {name: q.stages[:, :, at] for at, name in enumerate(STAGE_MASKS)}
    found |= {name: q.areas[:, :, at] for at, name in enumerate(AREA_MASKS)}
    assert found.keys() == expected.keys()
    for name, mask in expected.items():
        torch.testing.assert_close(found[name], mask.float(), msg=name)
        assert mask.any() or name in {"area 4", "conv on area 4", "stage 3 large"}, name
