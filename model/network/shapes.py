"""The size of the feature map after each layer, and what each layer costs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from .schema import Conv, Layer, pair, stride_of


@dataclass(frozen=True, slots=True)
class Shape:
    """Channels, height and width of a feature map; a flat vector has height and width 1."""

    channels: int
    height: int
    width: int


def out_channels(layer: Conv, in_channels: int) -> int:
    """Filters of a convolution: as given, or its ratio of the input's channels, at least one."""
    given = layer.get("out_channels")
    if given is not None:
        return given
    ratio = layer.get("channel_ratio")
    assert ratio is not None  # noqa: S101 - the schema guarantees one of the two
    return max(1, round(ratio * in_channels))


def after(layer: Layer, shape: Shape) -> Shape:
    """Return the shape that `layer` makes of `shape`."""
    if layer["type"] == "linear":
        return Shape(layer["out_features"], 1, 1)
    if layer["type"] == "global_avg_pool":
        return Shape(shape.channels, 1, 1)
    if layer["type"] == "conv" or layer["type"] == "max_pool" or layer["type"] == "avg_pool":
        down, across = stride_of(layer)
        channels = out_channels(layer, shape.channels) if layer["type"] == "conv" else shape.channels
        return Shape(channels, ceil(shape.height / down), ceil(shape.width / across))
    return shape


def trace(layers: Sequence[Layer], image: Shape) -> Iterator[tuple[Layer, Shape, Shape]]:
    """Yield each layer with the shape before it and the shape after it."""
    before = image
    for layer in layers:
        shape = after(layer, before)
        yield layer, before, shape
        before = shape


def cost(layers: Sequence[Layer], image: Shape) -> tuple[int, int]:
    """Return the parameters and the floating-point operations (two per multiply-add) of one forward pass.

    Counted are convolutions, linear layers and batch normalisation; the classifier is not.
    """
    params = flops = 0
    for layer, before, shape in trace(layers, image):
        positions = shape.height * shape.width
        if layer["type"] == "conv":
            height, width = pair(layer["kernel_size"])
            weights = height * width * before.channels * shape.channels
            params += weights + shape.channels
            flops += 2 * weights * positions
        elif layer["type"] == "linear":
            weights = before.channels * before.height * before.width * shape.channels
            params += weights + shape.channels
            flops += 2 * weights
        elif layer["type"] == "batch_norm":
            params += 2 * shape.channels
            flops += 2 * shape.channels * positions
    return params, flops
