"""The layer list: the one JSON form of a network, for requests, tables, files and the command line.

A layer is an object with a `type`. `kernel_size` and `stride` follow PyTorch: an integer, or `[height, width]`.
Validation returns plain dictionaries that hold the given fields only; `pair` and `stride_of` read what was left out.
Which kernels and channel ratios a predictor reads is decided by its layer code (`model.encoding`).
"""

from typing import Annotated, Any, Literal, NotRequired, get_args

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

MAX_ID = 200  # characters
MAX_LAYERS = 1024
MAX_ARCHITECTURES = 4096  # of a request
MAX_SIZE = 1024
MAX_STRIDE = 8

Size = Annotated[int, Field(ge=1, le=MAX_SIZE)]
Step = Annotated[int, Field(ge=1, le=MAX_STRIDE)]
Width = Annotated[int, Field(ge=1, le=1_000_000)]
Pair = Annotated[
    Size | Annotated[tuple[Size, Size], Field(strict=False)],
    Field(description="An integer, or [height, width].", examples=[3, [3, 5]]),
]
Stride = Annotated[
    Step | Annotated[tuple[Step, Step], Field(strict=False)],
    Field(description="An integer, or [vertical, horizontal].", examples=[2, [2, 1]]),
]
Name = Annotated[str, Field(max_length=MAX_ID)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

_strict = with_config(ConfigDict(extra="forbid", strict=True))


@_strict
class Conv(TypedDict):
    """A convolution with "same" padding: its output is the input's size divided by the stride, rounded up.

    Its width is given by exactly one of `out_channels` and `channel_ratio`, the filters per input channel.
    """

    type: Literal["conv"]
    kernel_size: Pair
    out_channels: NotRequired[Width | None]
    channel_ratio: NotRequired[Annotated[float, Field(gt=0, le=1024, allow_inf_nan=False)] | None]
    stride: NotRequired[Stride | None]


@_strict
class MaxPool(TypedDict):
    """Max pooling with "same" padding; `stride` defaults to the kernel size, as in PyTorch."""

    type: Literal["max_pool"]
    kernel_size: Pair
    stride: NotRequired[Stride | None]


@_strict
class AvgPool(TypedDict):
    """Average pooling with "same" padding; `stride` defaults to the kernel size, as in PyTorch."""

    type: Literal["avg_pool"]
    kernel_size: Pair
    stride: NotRequired[Stride | None]


@_strict
class ReLU(TypedDict):
    """Rectified linear unit."""

    type: Literal["relu"]


@_strict
class Sigmoid(TypedDict):
    """Logistic activation."""

    type: Literal["sigmoid"]


@_strict
class Tanh(TypedDict):
    """Hyperbolic tangent activation."""

    type: Literal["tanh"]


@_strict
class BatchNorm(TypedDict):
    """Batch normalisation over the channels."""

    type: Literal["batch_norm"]


@_strict
class Dropout(TypedDict):
    """Dropout with probability `p`, 0.5 when absent."""

    type: Literal["dropout"]
    p: NotRequired[Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]]


@_strict
class Linear(TypedDict):
    """A hidden fully connected layer; it flattens its input. The classifier itself is not listed."""

    type: Literal["linear"]
    out_features: Width


@_strict
class GlobalAvgPool(TypedDict):
    """The mean of each channel over all positions."""

    type: Literal["global_avg_pool"]


def _has_one_width(layer: Conv) -> Conv:
    if (layer.get("out_channels") is None) == (layer.get("channel_ratio") is None):
        raise PydanticCustomError("one_width", "give exactly one of out_channels and channel_ratio")
    return layer


Layer = Annotated[
    Annotated[Conv, AfterValidator(_has_one_width)]
    | MaxPool
    | AvgPool
    | ReLU
    | Sigmoid
    | Tanh
    | BatchNorm
    | Dropout
    | Linear
    | GlobalAvgPool,
    Field(discriminator="type"),
]
Layers = Annotated[list[Layer], Field(min_length=1, max_length=MAX_LAYERS, fail_fast=True)]
LAYER_CLASSES: tuple[Any, ...] = (
    Conv,
    MaxPool,
    AvgPool,
    ReLU,
    Sigmoid,
    Tanh,
    BatchNorm,
    Dropout,
    Linear,
    GlobalAvgPool,
)
FIELDS = {
    str(get_args(one.__annotations__["type"])[0]): tuple(name for name in one.__annotations__ if name != "type")
    for one in LAYER_CLASSES
}  # of each layer type


@_strict
class Architecture(TypedDict):
    """A sequential network from the image up to, but not including, its classifier.

    `id` is the client's name for it. `in_channels` is checked against the task's images when given.
    """

    layers: Annotated[Layers, Field(description="From the image up to, but not including, the classifier.")]
    id: NotRequired[Name | None]
    in_channels: NotRequired[Width | None]


LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(Layers)
ARCHITECTURE: TypeAdapter[Architecture] = TypeAdapter(Architecture)


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """Read a size: `3` means `(3, 3)`."""
    return (value, value) if isinstance(value, int) else value


def dropout_of(layer: Dropout) -> float:
    """Return the probability of a dropout layer, 0.5 when absent."""
    return layer.get("p", 0.5)


def stride_of(layer: Conv | MaxPool | AvgPool) -> tuple[int, int]:
    """Return the vertical and horizontal stride; absent, it is 1 for a convolution and the kernel size for a pool."""
    stride = layer.get("stride")
    if stride is not None:
        return pair(stride)
    return (1, 1) if layer["type"] == "conv" else pair(layer["kernel_size"])
