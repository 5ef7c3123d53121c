"""A layer list as a torch module."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from model.network.schema import AvgPool, Conv, Layer, MaxPool, dropout_of, pair, stride_of
from model.network.shapes import Shape, trace

Call = tuple[type[nn.Module], tuple[Any, ...]]
"""A class of modules and the arguments that one is made with."""
_ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


class AvgPoolSame(nn.Module):
    """Average pooling of maps of one size, padded (left, right, top, bottom); the padding is not averaged in."""

    divisor: torch.Tensor

    def __init__(
        self, size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], pads: tuple[int, int, int, int]
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.pads = kernel, stride, pads
        inside = F.pad(torch.ones(1, 1, *size), pads)
        self.register_buffer("divisor", F.avg_pool2d(inside, kernel, stride), persistent=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Pool maps [batch, channels, height, width]."""
        return F.avg_pool2d(F.pad(maps, self.pads), self.kernel, self.stride) / self.divisor


def initialise(network: nn.Module) -> None:
    """Initialise weights after He et al. (the paper's choice): variance 2 / fan-in, biases zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def calls(layers: Sequence[Layer], image: Shape, classes: int) -> dict[str, Call]:
    """Return how each module of a network is made, by name.

    The head is an average over all positions and a linear classifier. Every spatial layer has "same" padding, so that
    odd, even and rectangular kernels of stride 1 keep the resolution. Parameters are named after the layer's index
    (`layer3.weight`).
    """
    found: dict[str, Call] = {}
    last = image
    for index, (layer, before, last) in enumerate(trace(layers, image)):
        for place, call in _calls(layer, before, last).items():
            found[f"{place}{index}"] = call
    return found | {
        "pool": (nn.AdaptiveAvgPool2d, (1,)),
        "flatten": (nn.Flatten, ()),
        "head": (nn.Linear, (last.channels, classes)),
    }


def build(layers: Sequence[Layer], image: Shape, classes: int) -> nn.Sequential:
    """Return the network with its head; it maps images [batch, channels, height, width] to logits [batch, classes]."""
    made = ((name, module(*arguments)) for name, (module, arguments) in calls(layers, image, classes).items())
    network = nn.Sequential(OrderedDict(made))
    initialise(network)
    return network


def _calls(layer: Layer, before: Shape, after: Shape) -> dict[str, Call]:
    """Return a layer as a module, with what must come before and after it."""
    if layer["type"] == "conv" or layer["type"] == "max_pool" or layer["type"] == "avg_pool":
        return _spatial(layer, before, after)
    if layer["type"] == "batch_norm":
        return {"layer": (nn.BatchNorm2d, (after.channels,))}
    if layer["type"] == "dropout":
        return {"layer": (nn.Dropout, (dropout_of(layer),))}
    if layer["type"] == "global_avg_pool":
        return {"layer": (nn.AdaptiveAvgPool2d, (1,))}
    if layer["type"] == "linear":
        features = before.channels * before.height * before.width
        return {
            "before": (nn.Flatten, ()),
            "layer": (nn.Linear, (features, after.channels)),
            "after": (nn.Unflatten, (1, (after.channels, 1, 1))),
        }
    return {"layer": (_ACTIVATIONS[layer["type"]], ())}


def _spatial(layer: Conv | MaxPool | AvgPool, before: Shape, after: Shape) -> dict[str, Call]:
    """Return a convolution or a pool; padding is a module of its own where the layer's cannot do it."""
    kernel, stride = pair(layer["kernel_size"]), stride_of(layer)
    top, bottom = _same(before.height, kernel[0], stride[0])
    left, right = _same(before.width, kernel[1], stride[1])
    pads = (left, right, top, bottom)  # in the order of `torch.nn.functional.pad`
    if layer["type"] == "avg_pool":
        return {"layer": (AvgPoolSame, ((before.height, before.width), kernel, stride, pads))}
    if layer["type"] == "max_pool":
        return {"before": (nn.ConstantPad2d, (pads, -torch.inf)), "layer": (nn.MaxPool2d, (kernel, stride))}
    channels = before.channels, after.channels
    if left == right and top == bottom:
        return {"layer": (nn.Conv2d, (*channels, kernel, stride, (top, left)))}
    return {"before": (nn.ZeroPad2d, (pads,)), "layer": (nn.Conv2d, (*channels, kernel, stride))}


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Padding before and after, so that ceil(size / stride) positions come out; the odd one goes after."""
    total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return total // 2, total - total // 2
