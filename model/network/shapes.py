"""The size of the feature map after each layer, and what each layer costs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from .schema import AvgPool, BatchNorm, Conv, GlobalAvgPool, Layer, Linear, MaxPool


@dataclass(frozen=True, slots=True)
class Shape:
    """Channels, height and width of a feature map; a flat vector has height and width 1."""

    channels: int
    height: int
    width: int


def out_channels(layer: Conv, in_channels: int) -> int:
    """Filters of a convolution: as given, or its ratio of the running width, at least one."""
    if layer.out_channels is not None:
        return layer.out_channels
    assert layer.channel_ratio is not None  # noqa: S101 - the schema guarantees one of the two
    return max(1, round(layer.channel_ratio * in_channels))


def strides(layer: Conv | MaxPool | AvgPool) -> tuple[int, int]:
    """Vertical and horizontal stride; a pooling layer's defaults to its kernel size."""
    return layer.stride if layer.stride is not None else layer.kernel_size


def after(layer: Layer, shape: Shape) -> Shape:
    """Return the shape that `layer` makes of `shape`."""
    match layer:
        case Conv():
            down, across = strides(layer)
            return Shape(out_channels(layer, shape.channels), ceil(shape.height / down), ceil(shape.width / across))
        case MaxPool() | AvgPool():
            down, across = strides(layer)
            return Shape(shape.channels, ceil(shape.height / down), ceil(shape.width / across))
        case Linear():
            return Shape(layer.out_features, 1, 1)
        case GlobalAvgPool():
            return Shape(shape.channels, 1, 1)
        case _:
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
        match layer:
            case Conv():
                weights = layer.kernel_size[0] * layer.kernel_size[1] * before.channels * shape.channels
                params += weights + shape.channels
                flops += 2 * weights * positions
            case Linear():
                weights = before.channels * before.height * before.width * shape.channels
                params += weights + shape.channels
                flops += 2 * weights
            case BatchNorm():
                params += 2 * shape.channels
                flops += 2 * shape.channels * positions
    return params, flops
