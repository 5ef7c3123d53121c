"""A layer list as a torch module."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from model.network.schema import AvgPool, Conv, Layer, MaxPool, dropout_of, pair, stride_of
from model.network.shapes import Shape, trace

_ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Padding before and after, so that ceil(size / stride) positions come out; the odd one goes after."""
    total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return total // 2, total - total // 2


def _pads(shape: Shape, kernel: tuple[int, int], stride: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, right, top and bottom padding, in the order of `torch.nn.functional.pad`."""
    return (*_same(shape.width, kernel[1], stride[1]), *_same(shape.height, kernel[0], stride[0]))


class AvgPoolSame(nn.Module):
    """Average pooling with "same" padding that does not count the padding."""

    divisor: torch.Tensor

    def __init__(self, shape: Shape, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
        super().__init__()
        self.height, self.width = shape.height, shape.width
        self.kernel, self.stride, self.pads = kernel, stride, _pads(shape, kernel, stride)
        inside = F.pad(torch.ones(1, 1, shape.height, shape.width), self.pads)
        self.register_buffer("divisor", F.avg_pool2d(inside, kernel, stride), persistent=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Pool maps [batch, channels, height, width]."""
        return F.avg_pool2d(F.pad(maps, self.pads), self.kernel, self.stride) / self.divisor


def _spatial(layer: Conv | MaxPool | AvgPool, before: Shape, shape: Shape) -> tuple[nn.Module | None, nn.Module]:
    """Return the padding, where the module cannot do it itself, and the module."""
    kernel, stride = pair(layer["kernel_size"]), stride_of(layer)
    if layer["type"] == "avg_pool":
        return None, AvgPoolSame(before, kernel, stride)
    left, right, top, bottom = pads = _pads(before, kernel, stride)
    if layer["type"] == "max_pool":
        return nn.ConstantPad2d(pads, -torch.inf), nn.MaxPool2d(kernel, stride)
    if left == right and top == bottom:
        return None, nn.Conv2d(before.channels, shape.channels, kernel, stride, (top, left))
    return nn.ZeroPad2d(pads), nn.Conv2d(before.channels, shape.channels, kernel, stride)


def _modules(layer: Layer, before: Shape, shape: Shape) -> tuple[nn.Module | None, nn.Module]:
    """Return what must come before the layer, if anything, and the layer."""
    if layer["type"] == "conv" or layer["type"] == "max_pool" or layer["type"] == "avg_pool":
        return _spatial(layer, before, shape)
    if layer["type"] == "batch_norm":
        return None, nn.BatchNorm2d(shape.channels)
    if layer["type"] == "dropout":
        return None, nn.Dropout(dropout_of(layer))
    if layer["type"] == "global_avg_pool":
        return None, nn.AdaptiveAvgPool2d(1)
    if layer["type"] == "linear":
        features = before.channels * before.height * before.width
        return nn.Flatten(), nn.Linear(features, shape.channels)
    return None, _ACTIVATIONS[layer["type"]]()


def initialise(network: nn.Module) -> None:
    """Initialise weights after He et al. (the paper's choice): variance 2 / fan-in, biases zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def build(layers: Sequence[Layer], image: Shape, classes: int) -> nn.Sequential:
    """Return the network with its head: average over all positions, then a linear classifier.

    Every spatial layer has "same" padding, so that odd, even and rectangular kernels of stride 1 keep the resolution.
    Parameters are named after the layer's index (`layer3.weight`). The module maps images [batch, channels, height,
    width] to logits [batch, classes].
    """
    modules: dict[str, nn.Module] = {}
    last = image
    for index, (layer, before, shape) in enumerate(trace(layers, image)):
        before_layer, module = _modules(layer, before, shape)
        if before_layer is not None:
            modules[f"before{index}"] = before_layer
        modules[f"layer{index}"] = module
        if layer["type"] == "linear":
            modules[f"after{index}"] = nn.Unflatten(1, (shape.channels, 1, 1))
        last = shape
    modules |= {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "head": nn.Linear(last.channels, classes)}
    network = nn.Sequential(OrderedDict(modules))
    initialise(network)
    return network
