"""A network as a PyTorch module.

`build` returns an ordinary module with the classifier behind it. The module of the layer at index 3 is called `layer3`,
so its weights are `layer3.weight`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .network.graph import Node, normalised_convs, resolve
from .network.layer_types import groups_of, padding_of
from .network.schema import AvgPool, Conv, Layer, MaxPool, dropout_of, pair, stride_of
from .network.shapes import Shape

Pads = tuple[int, int, int, int]
"""Left, right, top, bottom, in the order of `torch.nn.functional.pad`."""


class Network(nn.Module):
    """A network with its classifier; maps images [batch, channels, height, width] to logits [batch, classes].

    Args:
        nodes: the layers in their places.
        modules: one for each layer.
        classes: of the classifier, a linear layer behind the mean over all positions.
    """

    def __init__(self, nodes: Sequence[Node], modules: Sequence[nn.Module], classes: int) -> None:
        super().__init__()
        for index, module in enumerate(modules):
            self.add_module(f"layer{index}", module)
        self.layers = tuple(modules)
        self.head = nn.Linear(nodes[-1].after.channels, classes)
        self._sources = [node.sources for node in nodes]
        last_reader = {source: index for index, sources in enumerate(self._sources) for source in sources}
        self._forgotten = [[one for one in set(read) if last_reader[one] == i] for i, read in enumerate(self._sources)]

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the mean over all positions of the last layer's output [batch, channels]."""
        made = {-1: images}
        for index, (layer, sources) in enumerate(zip(self.layers, self._sources, strict=True)):
            made[index] = layer(*[made[source] for source in sources])
            for source in self._forgotten[index]:
                del made[source]
        return made[len(self._sources) - 1].flatten(2).mean(2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits [batch, classes]."""
        logits: torch.Tensor = self.head(self.features(images))
        return logits


class Conv2dSame(nn.Conv2d):
    """A convolution with padding of its own on each side."""

    def __init__(self, *arguments: Any, pads: Pads, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.pads = pads

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Convolve maps [batch, channels, height, width]."""
        return super().forward(F.pad(maps, self.pads))


class MaxPoolSame(nn.Module):
    """Max pooling of maps that are padded (left, right, top, bottom)."""

    def __init__(self, kernel: tuple[int, int], stride: tuple[int, int], pads: Pads) -> None:
        super().__init__()
        self.kernel, self.stride, self.pads = kernel, stride, pads

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Pool maps [batch, channels, height, width]."""
        return F.max_pool2d(F.pad(maps, self.pads, value=-torch.inf), self.kernel, self.stride)


class AvgPoolSame(nn.Module):
    """Average pooling of maps of one size, padded (left, right, top, bottom); `counts_pad` averages the padding in."""

    divisor: torch.Tensor

    def __init__(
        self, size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], pads: Pads, *, counts_pad: bool
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.pads = kernel, stride, pads
        inside = F.pad(torch.ones(1, 1, *size), pads, value=float(counts_pad))
        self.register_buffer("divisor", F.avg_pool2d(inside, kernel, stride), persistent=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Pool maps [batch, channels, height, width]."""
        return F.avg_pool2d(F.pad(maps, self.pads), self.kernel, self.stride) / self.divisor


class Scale(nn.Module):
    """A learned factor for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Scale maps [batch, channels, ...]."""
        return maps * self.weight.reshape(-1, 1, 1)


class Merge(nn.Module):
    """Two maps or more, put together by a function of a list."""

    def __init__(self, merge: Callable[[Sequence[torch.Tensor]], torch.Tensor]) -> None:
        super().__init__()
        self.merge = merge

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        """Merge maps [batch, channels, height, width]."""
        return self.merge(maps)


class Linear(nn.Linear):
    """A linear layer of all values of a map; its output is a map of one position."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Map [batch, channels, height, width] to [batch, features, 1, 1]."""
        return super().forward(maps.flatten(1))[:, :, None, None]


class Vector(nn.Module):
    """All values of a map as a map of one position."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Map [batch, channels, height, width] to [batch, features, 1, 1]."""
        return maps.flatten(1)[:, :, None, None]


class Slice(nn.Module):
    """Some of the channels."""

    def __init__(self, start: int, end: int) -> None:
        super().__init__()
        self.start, self.end = start, end

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return channels `start` to `end` of maps [batch, channels, height, width]."""
        return maps[:, self.start : self.end]


class Zero(nn.Module):
    """Zeros, whatever it reads."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return zeros of the shape of maps [batch, channels, height, width]."""
        return torch.zeros_like(maps)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each position."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Normalise maps [batch, channels, height, width]."""
        return super().forward(maps.movedim(1, -1)).movedim(-1, 1)


def initialise(network: nn.Module) -> None:
    """Initialise weights after He et al. (the paper's choice): variance 2 / fan-in, biases zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def build(layers: Sequence[Layer], image: Shape, classes: int) -> Network:
    """Return a network with its classifier, its weights initialised.

    Args:
        layers: from the image up to, but not including, the classifier.
        image: shape of the images.
        classes: of the classifier.

    Raises:
        NetworkError: as `resolve`.
    """
    nodes = resolve(layers, image)
    without_bias = normalised_convs(nodes)
    modules = [_module(node, has_bias=index not in without_bias) for index, node in enumerate(nodes)]
    network = Network(nodes, modules, classes)
    initialise(network)
    return network


def _sum(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    total = maps[0]
    for one in maps[1:]:
        total = total + one
    return total


def _product(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    total = maps[0]
    for one in maps[1:]:
        total = total * one
    return total


def _concat(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.cat(list(maps), dim=1)


_ONE_OF_A_KIND: dict[str, Callable[[Any, Node], nn.Module]] = {
    "relu": lambda *_: nn.ReLU(),
    "sigmoid": lambda *_: nn.Sigmoid(),
    "tanh": lambda *_: nn.Tanh(),
    "batch_norm": lambda _, node: nn.BatchNorm2d(node.after.channels),
    "dropout": lambda layer, _: nn.Dropout(dropout_of(layer)),
    "global_avg_pool": lambda *_: nn.AdaptiveAvgPool2d(1),
    "adaptive_avg_pool": lambda layer, _: nn.AdaptiveAvgPool2d(pair(layer["output_size"])),
    "flatten": lambda *_: Vector(),
    "layer_norm": lambda _, node: ChannelNorm(node.after.channels),
    "group_norm": lambda layer, node: nn.GroupNorm(layer["num_groups"], node.after.channels),
    "scale": lambda _, node: Scale(node.after.channels),
    "relu6": lambda *_: nn.ReLU6(),
    "leaky_relu": lambda *_: nn.LeakyReLU(),
    "prelu": lambda layer, node: nn.PReLU(node.after.channels if layer.get("per_channel") else 1),
    "elu": lambda *_: nn.ELU(),
    "gelu": lambda *_: nn.GELU(),
    "silu": lambda *_: nn.SiLU(),
    "hard_swish": lambda *_: nn.Hardswish(),
    "hard_sigmoid": lambda *_: nn.Hardsigmoid(),
    "softmax": lambda *_: nn.Softmax(dim=1),
    "add": lambda *_: Merge(_sum),
    "mul": lambda *_: Merge(_product),
    "concat": lambda *_: Merge(_concat),
    "identity": lambda *_: nn.Identity(),
    "channel_shuffle": lambda layer, _: nn.ChannelShuffle(layer["groups"]),
    "slice": lambda layer, _: Slice(layer["start"], layer["end"]),
    "pad": lambda layer, _: nn.ZeroPad2d(layer["padding"]),
    "upsample": lambda layer, _: nn.Upsample(scale_factor=layer["scale_factor"]),
    "zero": lambda *_: Zero(),
}


def _module(node: Node, *, has_bias: bool) -> nn.Module:
    layer, before, after = node.layer, node.before[0], node.after
    if layer["type"] == "linear":
        return Linear(before.size, after.channels, bias=layer.get("bias", True))
    if layer["type"] == "conv":
        return _conv(layer, before, after, has_bias=layer.get("bias", has_bias))
    if layer["type"] == "max_pool" or layer["type"] == "avg_pool":
        return _pool(layer, before)
    return _ONE_OF_A_KIND[layer["type"]](layer, node)


def _conv(layer: Conv, before: Shape, after: Shape, *, has_bias: bool) -> nn.Module:
    kernel, stride, dilation = pair(layer["kernel_size"]), stride_of(layer), pair(layer.get("dilation", 1))
    groups = groups_of(layer, before.channels)
    sizes = before.channels, after.channels, kernel, stride
    padding = padding_of(layer)
    if padding[0] is None:
        left, right, top, bottom = pads = _same(before, kernel, stride, dilation)
        if left != right or top != bottom:
            return Conv2dSame(*sizes, pads=pads, dilation=dilation, groups=groups, bias=has_bias)
        padding = (top, left)
    return nn.Conv2d(*sizes, padding, dilation, groups, bias=has_bias)


def _pool(layer: MaxPool | AvgPool, before: Shape) -> nn.Module:
    kernel, stride, padding = pair(layer["kernel_size"]), stride_of(layer), padding_of(layer)
    ceil_mode = layer.get("ceil_mode", False)
    pads = _same(before, kernel, stride, (1, 1))
    if layer["type"] == "max_pool":
        if padding[0] is None:
            return MaxPoolSame(kernel, stride, pads)
        return nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil_mode)
    counts_pad = layer.get("count_include_pad", False)
    if padding[0] is None:
        return AvgPoolSame((before.height, before.width), kernel, stride, pads, counts_pad=counts_pad)
    return nn.AvgPool2d(kernel, stride, padding, ceil_mode=ceil_mode, count_include_pad=counts_pad)


def _same(before: Shape, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]) -> Pads:
    """Return the padding that gives "same" sizes: ceil(size / stride) positions, the odd one after."""
    pads: list[int] = []
    for size, side, step, spread in zip((before.height, before.width), kernel, stride, dilation, strict=True):
        total = max(0, (-(-size // step) - 1) * step + spread * (side - 1) + 1 - size)
        pads = [total // 2, total - total // 2, *pads]
    return pads[0], pads[1], pads[2], pads[3]
