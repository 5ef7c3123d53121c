"""The table of layer types: what each makes of its inputs' shapes, and what it costs.

A new type is one row here, at the end, its fields in the schema, a line in `model.torch_modules` and a test. Predictors
know a type by its place in the table. FLOPs are 2 for each multiply-add of convolutions and linear layers, and nothing
else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .schema import AvgPool, Conv, Linear, MaxPool, Upsample, pair, stride_of
from .shapes import MAX_CHANNELS, Shape, ShapeError, slid

Inputs = Sequence[Shape]
ShapeRule = Callable[[Any, Inputs], Shape]
Count = Callable[[Any, Inputs, Shape], int]


def _unchanged(_: Any, inputs: Inputs) -> Shape:
    return inputs[0]


def _none(_: Any, __: Inputs, ___: Shape) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class LayerType:
    """A row of the table.

    Attributes:
        shape: from a layer and its inputs' shapes to its output's; raises `ShapeError`.
        params: number of learned parameters.
        flops: of one forward pass of one image.
        is_merge: whether it reads two layers or more; all others read one.
        is_spatial: whether it needs a map; a flat vector is none.
    """

    shape: ShapeRule = _unchanged
    params: Count = _none
    flops: Count = _none
    is_merge: bool = False
    is_spatial: bool = False


def padding_of(layer: Conv | MaxPool | AvgPool) -> tuple[int, int] | tuple[None, None]:
    """Return the vertical and horizontal padding; `None` is "same"."""
    padding = layer.get("padding", "same")
    return (None, None) if padding == "same" else pair(padding)


def groups_of(layer: Conv, in_channels: int) -> int:
    """Return the number of groups of a convolution."""
    groups = layer.get("groups", 1)
    return in_channels if groups == "depthwise" else groups


def out_channels(layer: Conv, in_channels: int) -> int:
    """Filters of a convolution: as given, or its ratio of the input's channels, at least one."""
    given = layer.get("out_channels")
    if given is not None:
        return given
    ratio = layer.get("channel_ratio")
    assert ratio is not None  # noqa: S101 - the schema guarantees one of the two
    return max(1, round(ratio * in_channels))


def _checked(shape: Shape, field: str) -> Shape:
    if shape.channels > MAX_CHANNELS:
        raise ShapeError(field, f"makes the network wider than {MAX_CHANNELS} channels")
    return shape


def _conv_shape(layer: Conv, inputs: Inputs) -> Shape:
    (read,) = inputs
    width_field = "channel_ratio" if layer.get("out_channels") is None else "out_channels"
    channels = out_channels(layer, read.channels)
    groups = groups_of(layer, read.channels)
    if read.channels % groups:
        raise ShapeError("groups", f"must divide the {read.channels} input channels")
    if channels % groups:
        raise ShapeError("groups", f"must divide the {channels} output channels")
    (kernel, stride), padding = (pair(layer["kernel_size"]), stride_of(layer)), padding_of(layer)
    dilation = pair(layer.get("dilation", 1))
    height = slid(read.height, kernel[0], stride[0], padding[0], dilation=dilation[0])
    width = slid(read.width, kernel[1], stride[1], padding[1], dilation=dilation[1])
    return _checked(Shape(channels, height, width), width_field)


def _conv_weights(layer: Conv, read: Shape, made: Shape) -> int:
    height, width = pair(layer["kernel_size"])
    return height * width * (read.channels // groups_of(layer, read.channels)) * made.channels


def _conv_params(layer: Conv, inputs: Inputs, made: Shape) -> int:
    """Count a bias too, where the layer does not say that it has none; `graph.costs` knows when there is none."""
    return _conv_weights(layer, inputs[0], made) + made.channels * layer.get("bias", True)


def _conv_flops(layer: Conv, inputs: Inputs, made: Shape) -> int:
    return 2 * _conv_weights(layer, inputs[0], made) * made.positions


def _pool_shape(layer: MaxPool | AvgPool, inputs: Inputs) -> Shape:
    (read,) = inputs
    kernel, stride, padding = pair(layer["kernel_size"]), stride_of(layer), padding_of(layer)
    ceil_mode = layer.get("ceil_mode", False)
    for size, margin in zip(kernel, padding, strict=True):
        if margin is not None and margin > size / 2:
            raise ShapeError("padding", "must be at most half of the kernel")
    height = slid(read.height, kernel[0], stride[0], padding[0], ceil_mode=ceil_mode)
    width = slid(read.width, kernel[1], stride[1], padding[1], ceil_mode=ceil_mode)
    return Shape(read.channels, height, width)


def _flat(_: Any, inputs: Inputs) -> Shape:
    return _checked(Shape(inputs[0].size, 1, 1, is_flat=True), "type")


def _linear_params(layer: Linear, inputs: Inputs, made: Shape) -> int:
    return inputs[0].size * made.channels + made.channels * layer.get("bias", True)


def _group_norm_shape(layer: Any, inputs: Inputs) -> Shape:
    if inputs[0].channels % layer["num_groups"]:
        raise ShapeError("num_groups", f"must divide the {inputs[0].channels} channels")
    return inputs[0]


def _shuffle_shape(layer: Any, inputs: Inputs) -> Shape:
    if inputs[0].channels % layer["groups"]:
        raise ShapeError("groups", f"must divide the {inputs[0].channels} channels")
    return inputs[0]


def _slice_shape(layer: Any, inputs: Inputs) -> Shape:
    (read,), start, end = inputs, layer["start"], layer["end"]
    if not start < end <= read.channels:
        raise ShapeError("end", f"must be more than start and at most the {read.channels} channels")
    return Shape(end - start, read.height, read.width, read.is_flat)


def _pad_shape(layer: Any, inputs: Inputs) -> Shape:
    left, right, top, bottom = layer["padding"]
    (read,) = inputs
    return Shape(read.channels, read.height + top + bottom, read.width + left + right)


def _upsample_shape(layer: Upsample, inputs: Inputs) -> Shape:
    (read,), factor = inputs, layer["scale_factor"]
    if max(read.height, read.width) * factor > MAX_CHANNELS:
        raise ShapeError("scale_factor", f"makes a map of more than {MAX_CHANNELS} pixels a side")
    return Shape(read.channels, read.height * factor, read.width * factor)


def _sum_shape(_: Any, inputs: Inputs) -> Shape:
    first = inputs[0]
    for other in inputs[1:]:
        if other != first:
            raise ShapeError("inputs", f"must have one shape: {first} and {other} do not add")
    return first


def _product_shape(_: Any, inputs: Inputs) -> Shape:
    largest = max(inputs, key=lambda one: (one.positions, not one.is_flat))
    for other in inputs:
        if other.channels != largest.channels or other.positions not in {1, largest.positions}:
            raise ShapeError("inputs", f"must have one shape, or be one value a channel: {largest} and {other}")
        if other.positions > 1 and other.height != largest.height:
            raise ShapeError("inputs", f"must have one shape, or be one value a channel: {largest} and {other}")
    return largest


def _concat_shape(_: Any, inputs: Inputs) -> Shape:
    first = inputs[0]
    for other in inputs[1:]:
        if (other.height, other.width, other.is_flat) != (first.height, first.width, first.is_flat):
            raise ShapeError("inputs", f"must have one height and width: {first} and {other} do not concatenate")
    channels = sum(one.channels for one in inputs)
    return _checked(Shape(channels, first.height, first.width, first.is_flat), "inputs")


def _two_a_channel(_: Any, __: Inputs, made: Shape) -> int:
    return 2 * made.channels


LAYER_TYPES: dict[str, LayerType] = {
    "conv": LayerType(_conv_shape, _conv_params, _conv_flops, is_spatial=True),
    "max_pool": LayerType(_pool_shape, is_spatial=True),
    "avg_pool": LayerType(_pool_shape, is_spatial=True),
    "relu": LayerType(),
    "sigmoid": LayerType(),
    "tanh": LayerType(),
    "batch_norm": LayerType(params=_two_a_channel),
    "dropout": LayerType(),
    "linear": LayerType(
        lambda layer, _: Shape(layer["out_features"], 1, 1, is_flat=True),
        _linear_params,
        lambda _, inputs, made: 2 * inputs[0].size * made.channels,
    ),
    "global_avg_pool": LayerType(lambda _, inputs: Shape(inputs[0].channels, 1, 1), is_spatial=True),
    "adaptive_avg_pool": LayerType(
        lambda layer, inputs: Shape(inputs[0].channels, *pair(layer["output_size"])), is_spatial=True
    ),
    "flatten": LayerType(_flat),
    "layer_norm": LayerType(params=_two_a_channel),
    "group_norm": LayerType(_group_norm_shape, _two_a_channel),
    "scale": LayerType(params=lambda _, __, made: made.channels),
    "relu6": LayerType(),
    "leaky_relu": LayerType(),
    "prelu": LayerType(params=lambda layer, _, made: made.channels if layer.get("per_channel") else 1),
    "elu": LayerType(),
    "gelu": LayerType(),
    "silu": LayerType(),
    "hard_swish": LayerType(),
    "hard_sigmoid": LayerType(),
    "softmax": LayerType(),
    "add": LayerType(_sum_shape, is_merge=True),
    "mul": LayerType(_product_shape, is_merge=True),
    "concat": LayerType(_concat_shape, is_merge=True),
    "identity": LayerType(),
    "channel_shuffle": LayerType(_shuffle_shape),
    "slice": LayerType(_slice_shape),
    "pad": LayerType(_pad_shape, is_spatial=True),
    "upsample": LayerType(_upsample_shape, is_spatial=True),
    "zero": LayerType(),
}
TYPE_IDS = {name: 1 + place for place, name in enumerate(LAYER_TYPES)}  # 0 is padding


def shape_of(layer: Any, inputs: Inputs) -> Shape:
    """Return the shape that a layer makes of its inputs'.

    Raises:
        ShapeError: when it does not fit them.
    """
    kind = layer["type"]
    row = LAYER_TYPES[kind]
    if row.is_spatial and inputs[0].is_flat:
        raise ShapeError("type", f"{kind} cannot read a flat vector, which linear and flatten make")
    return row.shape(layer, inputs)
