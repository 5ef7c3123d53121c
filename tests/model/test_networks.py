"""The shipped predictor's parts: members fused for speed say what they said apart; features mean what they claim."""

import numpy as np
import pytest
import torch

from model.encoding.layer_code import EXTENDED, encode, pad
from model.network.schema import LAYERS
from model.network.shapes import Shape, cost
from model.predictors.feature_list import FEATURES, SIGNAL
from model.predictors.fused_members import FusedMembers
from model.predictors.layer_conv import LayerConv
from model.predictors.layer_features import COUNTS, LAYER_FEATURES, SUMMED, LayerQuantities
from model.predictors.layer_flags import ID, SIZES, TABLE_1, from_steps
from model.predictors.layer_masks import AREAS, FIRST_POOLS, LAST_CONVS, STAGES, LayerMasks
from model.predictors.network_features import NetworkFeatures
from model.predictors.operators import running_maximum, sum_of_squares
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


def codes_of(*layers):
    return encode(LAYERS.validate_python(list(layers)), EXTENDED, IMAGE).codes


def features_of(*encodings):
    """Named features, each [networks]."""
    with torch.no_grad():
        found = NetworkFeatures(IMAGE)(torch.from_numpy(pad(encodings)[0]))[1].numpy()
    return dict(zip(FEATURES, found.T, strict=True))


def sampled(count):
    networks = [assemble(block, IMAGE, 8) for block in sample_blocks(count, seed=5)]
    return networks, [encode(network, EXTENDED, IMAGE, clamp=True).codes for network in networks]


@torch.no_grad()
def test_fused_members_say_what_the_members_say():
    torch.manual_seed(0)
    members = [LayerConv(epochs=6, features=20).eval() for _ in range(3)]
    odd = codes_of(CONV | {"kernel_size": [2, 7], "stride": 3}, {"type": "dropout", "p": 0.3}, POOL, {"type": "tanh"})
    codes, lengths = (torch.from_numpy(array) for array in pad([*sampled(12)[1], odd]))
    q, whole = LayerQuantities(IMAGE)(codes), torch.randn(len(codes), 20) * 3
    assert q.features().shape == (len(codes), LAYER_FEATURES, codes.shape[1])
    expected = torch.stack([member(codes, lengths, q.features(), whole) for member in members])
    assert expected.std() > 0.01
    torch.testing.assert_close(FusedMembers(members)(q, lengths, whole), expected, atol=1e-5, rtol=1e-5)


def test_members_read_rows_by_the_sixteen():
    """ONNX Runtime leaves its fast layout for another number, and one network takes a tenth longer."""
    assert FusedMembers([LayerConv(epochs=2, features=3)]).mix.in_channels % 16 == 0


def test_a_running_maximum_looks_back_no_further_than_its_window():
    values = torch.tensor([[[1.0, 3.0, 2.0, 0.0, -5.0, -4.0]]])
    found = running_maximum(values, 3)
    assert found.tolist() == [[[1.0, 3.0, 3.0, 3.0, 2.0, 0.0]]]
    torch.library.opcheck(running_maximum, (values, 3), test_utils=("test_schema", "test_faketensor"))


@pytest.mark.parametrize(("dim", "keepdim", "expected"), [(0, False, [10.0, 20.0]), (1, True, [[5.0], [25.0]])])
def test_a_sum_of_squares_is_taken_along_a_dimension(dim: int, keepdim: bool, expected: list[object]):
    values = torch.tensor([[1.0, 2.0], [3.0, -4.0]])
    assert sum_of_squares(values, dim, keepdim).tolist() == expected
    torch.library.opcheck(sum_of_squares, (values, dim, keepdim), test_utils=("test_schema", "test_faketensor"))


def test_images_too_large_to_be_counted_exactly_are_refused():
    with pytest.raises(ValueError, match="2048x2048 pixels are too large"):
        LayerMasks(Shape(3, 2048, 2048))


def test_parameters_and_operations_come_first():
    networks, encodings = sampled(8)
    assert FEATURES[:2] == ("log params: present", "log flops: present")
    weights, flops = (np.expm1(values / 0.1) for values in list(features_of(*encodings).values())[:2])
    expected = np.array([cost(network, IMAGE) for network in networks]).T
    assert (weights <= expected[0] * 1.001).all()
    assert (weights > 0.8 * expected[0]).all(), "biases and batch normalisation are a small part"
    assert np.allclose(2 * flops, expected[1], rtol=0.1)


def test_features_do_not_depend_on_the_batch():
    encodings = [*sampled(10)[1], codes_of(RELU), codes_of(*MADE)]
    together = features_of(*encodings)
    for index, one in enumerate(encodings):
        alone = features_of(one)
        for name in FEATURES:
            assert np.allclose(together[name][index], alone[name], atol=1e-5, rtol=1e-5), name


def test_a_run_of_sigmoids_ends_at_a_normalisation():
    broken, mended = codes_of(*[CONV, SIGMOID] * 4), codes_of(*[CONV, SIGMOID, CONV, SIGMOID, NORM] * 2)
    longest = np.expm1(features_of(broken, mended)["log longest run of sigmoid"] * 10)
    assert np.allclose(longest, [4, 2], atol=1e-4)


def test_a_signal_survives_relu_and_not_sigmoids():
    kept, lost = features_of(*(codes_of(*[CONV, kind] * 5) for kind in (RELU, SIGMOID)))["fall of the signal"]
    assert abs(kept) < 1e-5
    assert lost > 10


def test_flags_and_masks_say_what_comparisons_would():
    """Kinds, sizes, what follows what, places, stages and areas, on drawn networks and one more."""
    drawn = codes_of(CONV, RELU, NORM, *[POOL] * 3, CONV | {"kernel_size": [5, 2]})
    codes = torch.from_numpy(
        pad([*sampled(20)[1], drawn, codes_of(*MADE), codes_of(CONV, {"type": "global_avg_pool"})])[0]
    )
    masks = LayerMasks(IMAGE)
    q = LayerQuantities(IMAGE)(codes)
    kind, width, height, ratio = (codes[:, :, column] for column in range(4))
    whole = IMAGE.height * IMAGE.width
    positions = codes[:, :, -2] * codes[:, :, -1]
    before = torch.cat([torch.full_like(positions[:, :1], whole), positions[:, :-1]], dim=1) / whole
    earlier = torch.cat([torch.zeros_like(kind[:, :1]), kind[:, :-1]], dim=1)
    conv, pool = kind == ID["conv"], (kind == ID["max_pool"]) | (kind == ID["avg_pool"])
    activation = (kind == ID["relu"]) | (kind == ID["sigmoid"]) | (kind == ID["tanh"])
    expected = {name: kind == number for name, number in ID.items()}
    expected |= {"present": kind > 0, "pool": pool, "activation": activation, "weighted": conv | (kind == ID["linear"])}
    expected |= {"after relu": earlier == ID["relu"], "after batch_norm": earlier == ID["batch_norm"]}
    for number, (low, high) in enumerate(STAGES):
        expected[f"stage {number}"] = conv & (before > low) & (before <= high)
    expected["any stage"] = conv
    for number, (low, high) in enumerate(AREAS):
        expected[f"area {number}"] = (positions > low) & (positions <= high)
    convs, pools = conv.cumsum(1), pool.cumsum(1)
    expected |= {f"pool {place}": pool & (pools == place) for place in FIRST_POOLS}
    from_end = {f"conv from the end {place}": conv & (convs[:, -1:] - convs + 1 == place) for place in LAST_CONVS}
    layer = torch.arange(codes.shape[1])
    expected |= from_end | {"last": layer == (kind > 0).sum(1, keepdim=True) - 1}
    found = dict(zip(masks.names, masks(q)[0].unbind(1), strict=True))
    for name, mask in expected.items():
        torch.testing.assert_close(found[name], mask.float(), msg=name)
        assert mask.any() or name == "area 4", name

    sizes = dict(zip(SIZES, q.flags.sizes.unbind(1), strict=True))
    torch.testing.assert_close(sizes["kernel 3"], (width == 3).float())
    torch.testing.assert_close(sizes["larger"], (width + height > 2).float())
    torch.testing.assert_close(sizes["large"], (width + height >= 8).float())
    of_table_1 = from_steps([flag] for flag in TABLE_1.values())
    steps = torch.cat([q.flags.steps, q.flags.more_steps], dim=1)[:, : of_table_1.shape[1]]
    table_1 = dict(zip(TABLE_1, (of_table_1 @ steps).unbind(1), strict=True))
    torch.testing.assert_close(table_1["kernel_height 5"], (height == 5).float())
    torch.testing.assert_close(table_1["channel_ratio 1"], (ratio == 1).float())
    norms = (kind == ID["batch_norm"]).cumsum(1)
    torch.testing.assert_close(q.so_far[:, SUMMED.index("batch_norm")], norms.float())


def test_the_receptive_field_grows_with_kernels_and_strides():
    field = features_of(codes_of(CONV, POOL, CONV))["receptive field"]
    assert np.allclose(np.expm1(field * 10), 2 + 1 + 2 * 2), "a pixel more is seen than this"


def test_features_of_a_network_made_by_hand():
    def log(number):
        return np.log1p(number) * 0.1

    into, out = np.array([3, 8, 16, 4, 4]), np.array([8, 16, 4, 4, 12])  # channels of the convolutions
    walk = [0.35, -0.65, -0.3, -3.3, -3.3, -2.95, 0, 0.35, 0.7, 0.7, 0.7, 0.7]
    expected = {
        "wider: conv": np.maximum(log(out) - log(into), 0).sum(),
        "narrower: conv": log(16) - log(4),
        "conv so far: pool 1": 0.1 * 2,
        "conv so far: pool 2": 0.1 * 5,
        "kernel: conv 1": 0.2 * 5,
        "kernel: conv from the end 1": 0.2 * 4,
        "log area: conv 2": log(16 * 8),
        "log channels: conv from the end 3": log(4),
        "margin: stage 1": 0.05 * (2 + 0 + 2 + 3),
        "mean kernel_width: conv of conv": 0.2 * (7 + 3 + 1 + 3 + 3) / 5,
        "mean kernel_height: conv of conv": 0.2 * (3 + 3 + 1 + 3 + 5) / 5,
        "mean log channels: weighted of weighted": (log(out).sum() + log(10)) / 6,
        "mean present: sigmoid of activation": 0.5,
        "mean dropout: dropout of dropout": 0.3,
        "dropout: last": 0,
        "variance of log channels": 10 * log(out).var(),
        "widest conv": log(16),
        "widest stage 0": log(8),
        "widest stage 1": log(16),
        "narrowest stage 1": log(4),
        "narrowest stage 2": 0,
        "log present: conv": log(5),
        "log kernel 3: conv": log(3),
        "log kernel 2: pool": log(2),
        "log present: stage 1": log(4),
        "log larger: stage 1": log(3),
        "log large: stage 1": log(1),
        "log conv: area 3": log(2),
        "log conv: area 1": log(3),
        "log params: linear": log(12 * 4 * 2 * 10),
        "log sigmoid: after conv": log(1),
        "log batch_norm: after conv": log(1),
        "log batch_norm: after tanh": 0,
        "log conv: unnormalised": log(3),
        "log longest run of conv": log(3),
        "log longest run of linear conv": log(3),
        "log run of conv: last": log(2),
        "log run of linear conv: last": log(3),
        "walk: last": 0.7,
        "mean walk: present of present": np.mean(walk),
        "rise of the signal": 0.7,
        "fall of the signal": 3.3,
        "dropout": 0.3,
    }
    found = features_of(codes_of(*MADE))
    for name, value in expected.items():
        assert np.allclose(found[name], value, atol=1e-5), f"{name}: {found[name]}, not {value}"


def test_what_members_read_of_a_layer():
    features = LayerQuantities(IMAGE)(torch.from_numpy(codes_of(*MADE)[None])).features()[0].T
    params = 3 * 8 * 21
    counts = {
        **{"channels_in": 3, "channels": 8, "area_in": 256, "window": 21, "area": 128, "volume": 1024},
        **{"params": params, "flops": params * 128, "reach": 4, "position": 1},
        **{"params so far": params, "flops so far": params * 128},
    }
    logs = [np.log1p(counts[name]) * 0.1 for name in COUNTS]
    expected = [*logs, 3 * 0.1 * (np.log1p(8) - np.log1p(3)), 0.0, 0.5, 0.02]
    assert np.allclose(features[0], expected, atol=1e-5)
    dropout, stride, position = features[10, -3:].tolist()
    assert np.allclose([dropout, stride, position], [0.3, 0.0, 0.02 * 11], atol=1e-6)


def test_which_features_tell_whether_a_signal_survives():
    named = {FEATURES[place] for place in SIGNAL}
    assert len(named) == 27
    assert {"walk: last", "log longest run of conv", "log batch_norm: after tanh", "fall of the signal"} <= named
