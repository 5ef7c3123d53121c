"""The torch module is the network that the layer list describes."""

import pytest
import torch
from hypothesis import given, settings

from model.network.shapes import Shape, cost, trace
from model.torch_modules import build
from tests.strategies import extended_layers

IMAGE = Shape(2, 9, 9)


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 2), (4, 4), (5, 2), (1, 4)])
@pytest.mark.parametrize("kind", ["conv", "max_pool", "avg_pool"])
def test_odd_even_and_rectangular_kernels_keep_the_resolution(kind, kernel):
    if kind == "conv":
        layer = {"type": "conv", "kernel_size": kernel, "out_channels": 4}
    else:
        layer = {"type": kind, "kernel_size": kernel, "stride": (1, 1)}
    body = build([layer], IMAGE, 10)[:-3]
    assert body(torch.randn(3, 2, 9, 9)).shape[2:] == (9, 9)


@settings(max_examples=50, deadline=None)
@given(extended_layers)
def test_every_layer_gives_the_traced_shape(layers):
    network = build(layers, IMAGE, 10).eval()
    maps = torch.randn(2, 2, 9, 9)
    shapes = [shape for _, _, shape in trace(layers, IMAGE)]
    for name, module in network.named_children():
        maps = module(maps)
        if name.startswith("layer"):
            shape = shapes[int(name.removeprefix("layer"))]
            assert maps.shape[1] == shape.channels
            assert maps.shape[2:] in {(shape.height, shape.width), ()}
    assert maps.shape == (2, 10)


@settings(max_examples=30, deadline=None)
@given(extended_layers)
def test_the_traced_cost_counts_the_modules_parameters(layers):
    network = build(layers, IMAGE, 10)
    head = sum(parameter.numel() for parameter in network.get_submodule("head").parameters())
    assert cost(layers, IMAGE)[0] == sum(parameter.numel() for parameter in network.parameters()) - head


def test_padding_is_not_averaged():
    network = build([{"type": "avg_pool", "kernel_size": (4, 4), "stride": (1, 1)}], IMAGE, 10)
    ones = torch.ones(1, 2, 9, 9)
    torch.testing.assert_close(network.get_submodule("layer0")(ones), ones)
