"""The torch module is the network that the layers describe: shapes, parameters and FLOPs are PyTorch's own."""

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch.utils.flop_counter import FlopCounterMode

from model.network.graph import costs, resolve
from model.network.layer_types import LAYER_TYPES
from model.network.schema import LAYERS
from model.network.shapes import Shape
from model.torch_modules import build
from tests import strategies
from tests.strategies import extended_layers, graphs

IMAGE = Shape(4, 9, 7)
TYPES: list[tuple[list[dict[str, Any]], tuple[int, int, int], int, int]] = [
    # layers on images of 4x9x7, the output's shape, parameters, FLOPs
    ([{"type": "conv", "kernel_size": [3, 2], "out_channels": 6}], (6, 9, 7), 150, 2 * 4 * 6 * 6 * 63),
    ([{"type": "conv", "kernel_size": 3, "channel_ratio": 2, "bias": False}], (8, 9, 7), 288, 2 * 288 * 63),
    ([{"type": "conv", "kernel_size": 3, "out_channels": 8, "groups": 2}], (8, 9, 7), 152, 2 * 144 * 63),
    ([{"type": "conv", "kernel_size": 3, "out_channels": 8, "groups": "depthwise"}], (8, 9, 7), 80, 2 * 72 * 63),
    ([{"type": "conv", "kernel_size": 3, "out_channels": 2, "dilation": 2}], (2, 9, 7), 74, 2 * 72 * 63),
    ([{"type": "conv", "kernel_size": 3, "out_channels": 2, "dilation": 2, "padding": 0}], (2, 5, 3), 74, 2160),
    ([{"type": "conv", "kernel_size": 2, "out_channels": 2, "stride": 2}], (2, 5, 4), 34, 2 * 32 * 20),
    ([{"type": "conv", "kernel_size": 2, "out_channels": 2, "stride": [1, 3], "padding": [0, 1]}], (2, 8, 3), 34, 1536),
    ([{"type": "linear", "out_features": 5}], (5, 1, 1), 252 * 5 + 5, 2 * 252 * 5),
    ([{"type": "linear", "out_features": 5, "bias": False}], (5, 1, 1), 252 * 5, 2 * 252 * 5),
    ([{"type": "max_pool", "kernel_size": 2}], (4, 5, 4), 0, 0),
    ([{"type": "max_pool", "kernel_size": 3, "stride": 2, "padding": 0}], (4, 4, 3), 0, 0),
    ([{"type": "max_pool", "kernel_size": 2, "padding": 0, "ceil_mode": True}], (4, 5, 4), 0, 0),
    ([{"type": "avg_pool", "kernel_size": [4, 2], "stride": 3}], (4, 3, 3), 0, 0),
    ([{"type": "avg_pool", "kernel_size": 3, "padding": 1, "count_include_pad": True}], (4, 3, 3), 0, 0),
    ([{"type": "adaptive_avg_pool", "output_size": [2, 3]}], (4, 2, 3), 0, 0),
    ([{"type": "global_avg_pool"}], (4, 1, 1), 0, 0),
    ([{"type": "flatten"}], (252, 1, 1), 0, 0),
    ([{"type": "dropout", "p": 0.3}], (4, 9, 7), 0, 0),
    ([{"type": "batch_norm"}], (4, 9, 7), 8, 0),
    ([{"type": "layer_norm"}], (4, 9, 7), 8, 0),
    ([{"type": "group_norm", "num_groups": 2}], (4, 9, 7), 8, 0),
    ([{"type": "scale"}], (4, 9, 7), 4, 0),
    ([{"type": "prelu"}], (4, 9, 7), 1, 0),
    ([{"type": "prelu", "per_channel": True}], (4, 9, 7), 4, 0),
    *[([{"type": kind}], (4, 9, 7), 0, 0) for kind in ("relu", "relu6", "leaky_relu", "elu", "gelu", "silu")],
    *[([{"type": kind}], (4, 9, 7), 0, 0) for kind in ("hard_swish", "hard_sigmoid", "sigmoid", "tanh", "softmax")],
    ([{"type": "identity"}], (4, 9, 7), 0, 0),
    ([{"type": "zero"}], (4, 9, 7), 0, 0),
    ([{"type": "channel_shuffle", "groups": 2}], (4, 9, 7), 0, 0),
    ([{"type": "slice", "start": 1, "end": 4}], (3, 9, 7), 0, 0),
    ([{"type": "pad", "padding": [1, 2, 3, 0]}], (4, 12, 10), 0, 0),
    ([{"type": "upsample", "scale_factor": 2}], (4, 18, 14), 0, 0),
    ([{"type": "relu", "name": "a"}, {"type": "add", "inputs": ["a", "input", "a"]}], (4, 9, 7), 0, 0),
    ([{"type": "global_avg_pool", "name": "a"}, {"type": "mul", "inputs": ["a", "input"]}], (4, 9, 7), 0, 0),
    ([{"type": "concat", "inputs": ["input", "input"]}], (8, 9, 7), 0, 0),
]


def measured(layers: Any, image: Shape) -> tuple[tuple[int, ...], int, int]:
    """Return the shape of the last layer's output, parameters and FLOPs as PyTorch counts them, without the head."""
    network = build(layers, image, 10).eval()
    outputs: list[torch.Tensor] = []
    network.layers[-1].register_forward_hook(lambda _, __, output: outputs.append(output))
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        logits = network(torch.zeros(1, image.channels, image.height, image.width))
    assert logits.shape == (1, 10)
    head = sum(weights.numel() for weights in network.head.parameters())
    params = sum(weights.numel() for weights in network.parameters()) - head
    (output,) = outputs
    return tuple(output.shape[1:]), params, counter.get_total_flops() - 2 * network.head.in_features * 10


@pytest.mark.parametrize(("layers", "shape", "params", "flops"), TYPES, ids=[str(case[0]) for case in TYPES])
def test_each_type_has_its_shape_and_costs(layers: Any, shape: Any, params: int, flops: int) -> None:
    """The figures are written down by hand; the table and PyTorch agree with them."""
    layers = LAYERS.validate_python(layers)
    nodes = resolve(layers, IMAGE)
    after, cost = nodes[-1].after, costs(nodes)
    assert ((after.channels, after.height, after.width), cost.params, cost.flops) == (shape, params, flops)
    assert measured(layers, IMAGE) == (shape, params, flops)


def test_the_cases_cover_the_table() -> None:
    assert {layers[-1]["type"] for layers, *_ in TYPES} == set(LAYER_TYPES)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graphs())
def test_costs_of_any_graph_are_those_of_its_module(layers: Any) -> None:
    """Whatever the combination of types: biases that a normalisation makes useless, ceil mode, padding, broadcasts."""
    nodes = resolve(layers, strategies.IMAGE)
    after, cost = nodes[-1].after, costs(nodes)
    expected = (after.channels, after.height, after.width), cost.params, cost.flops
    assert measured(layers, strategies.IMAGE) == expected


@settings(max_examples=15, deadline=None)
@given(extended_layers)
def test_costs_of_any_chain_are_those_of_its_module(layers: Any) -> None:
    nodes = resolve(layers, IMAGE)
    after, cost = nodes[-1].after, costs(nodes)
    assert measured(layers, IMAGE) == ((after.channels, after.height, after.width), cost.params, cost.flops)


def test_the_memory_of_activations_is_that_of_the_layer_with_most() -> None:
    """float32, inputs and output together: the concatenation reads two maps of 4x9x7 and makes one of 8x9x7."""
    layers: Any = [{"type": "relu", "name": "a"}, {"type": "concat", "inputs": ["a", "input"]}, {"type": "relu"}]
    assert costs(resolve(layers[:1], IMAGE)).activation_bytes == 4 * 2 * 252
    assert costs(resolve(layers[:2], IMAGE)).activation_bytes == 4 * 4 * 252
    assert costs(resolve(layers, IMAGE)).activation_bytes == 4 * 4 * 252


CONV: Any = {"type": "conv", "kernel_size": 1, "out_channels": 4}
NORM: Any = {"type": "batch_norm"}
TWO_NORMS = [CONV | {"name": "c"}, NORM | {"name": "m"}, NORM | {"inputs": ["c"], "name": "n"}]


@pytest.mark.parametrize(
    ("layers", "has_bias"),
    [
        ([CONV, NORM], False),
        ([CONV, {"type": "relu"}, NORM], True),
        ([CONV | {"bias": True}, NORM], True),
        ([CONV | {"bias": False}, {"type": "relu"}], False),
        ([CONV | {"name": "c"}, NORM | {"name": "n"}, {"type": "add", "inputs": ["c", "n"]}], True),
        ([*TWO_NORMS, {"type": "add", "inputs": ["m", "n"]}], False),
    ],
)
def test_a_convolution_that_only_batch_norm_reads_has_no_bias(layers: Any, has_bias: bool) -> None:
    """Unless it says otherwise; it has one where something else reads it too."""
    network = build(layers, IMAGE, 10)
    assert (network.get_submodule("layer0").bias is not None) == has_bias
    assert measured(layers, IMAGE)[1] == costs(resolve(layers, IMAGE)).params


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 2), (4, 4), (5, 2), (1, 4)])
@pytest.mark.parametrize("kind", ["conv", "max_pool", "avg_pool"])
def test_odd_even_and_rectangular_kernels_keep_the_resolution(kind: str, kernel: tuple[int, int]) -> None:
    fields = {"out_channels": 4} if kind == "conv" else {"stride": (1, 1)}
    assert measured([{"type": kind, "kernel_size": kernel, **fields}], IMAGE)[0] == (4, 9, 7)


@pytest.mark.parametrize(("counts", "corner"), [(False, 1.0), (True, 4 / 9)])
def test_same_padding_is_averaged_in_only_when_asked_for(counts: bool, corner: float) -> None:
    """As with explicit padding of the same size."""
    ones = torch.ones(1, 4, 9, 7)
    for padding in ("same", 1):
        layer: Any = {"type": "avg_pool", "kernel_size": 3, "stride": 1, "padding": padding}
        pool = build([layer | {"count_include_pad": counts}], IMAGE, 10).get_submodule("layer0")
        assert pool(ones)[0, 0, 0, 0].item() == pytest.approx(corner)
        assert pool(ones)[0, 0, 4, 4].item() == pytest.approx(1)


def test_a_residual_block_adds_what_it_read() -> None:
    layers: Any = [{"type": "relu", "name": "r"}, {"type": "tanh", "name": "t"}, {"type": "add", "inputs": ["t", "r"]}]
    network, images = build(layers, IMAGE, 10).eval(), torch.randn(2, 4, 9, 7)
    expected = torch.relu(images).tanh() + torch.relu(images)
    torch.testing.assert_close(network.features(images), expected.mean((2, 3)))


def test_channels_are_sliced_joined_and_shuffled_in_order() -> None:
    layers: Any = [
        {"type": "slice", "start": 0, "end": 2, "name": "low"},
        {"type": "slice", "start": 2, "end": 4, "name": "high", "inputs": ["input"]},
        {"type": "concat", "inputs": ["high", "low"]},
        {"type": "channel_shuffle", "groups": 2},
    ]
    images = torch.randn(2, 4, 9, 7)
    torch.testing.assert_close(build(layers, IMAGE, 10).features(images), images.mean((2, 3))[:, [2, 0, 3, 1]])
