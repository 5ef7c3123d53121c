"""The one JSON form of a network, for requests, tables, files and the command line.

A network is a list of layers in topological order. A layer is an object with a `type`; it reads the layer before it, or
those that its `inputs` name. The last layer is the output; the classifier is not listed. `kernel_size`, `stride`,
`dilation` and `padding` follow PyTorch: an integer, or `[height, width]`.
Validation returns plain dictionaries that hold the given fields only. What the fields mean is in `layer_types`, how
layers are connected in `graph`.
"""

from typing import Annotated, Any, Literal, NotRequired, TypeAlias, get_args

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

MAX_ID = 200  # characters
MAX_NAME = 64
MAX_LAYERS = 2048
MAX_ARCHITECTURES = 4096  # of a request
MIN_CONTEXT, MAX_CONTEXT = 3, 1000  # measured networks of a request
MIN_FIT = 20  # measured networks that a predictor is fitted to
MAX_SIZE = 1024
IMAGE = "input"  # the name that layers read the image by

Size = Annotated[int, Field(ge=1, le=MAX_SIZE)]
Margin = Annotated[int, Field(ge=0, le=MAX_SIZE)]
Width = Annotated[int, Field(ge=1, le=1_000_000)]
Pair = Annotated[
    Size | Annotated[tuple[Size, Size], Field(strict=False)],
    Field(description="An integer, or [height, width].", examples=[3, [3, 5]]),
]
Stride = Annotated[
    Size | Annotated[tuple[Size, Size], Field(strict=False)],
    Field(description="An integer, or [vertical, horizontal].", examples=[2, [2, 1]]),
]
Padding = Annotated[
    Margin | Literal["same"] | Annotated[tuple[Margin, Margin], Field(strict=False)],
    Field(
        description='"same": the output is the input\'s size divided by the stride, rounded up. Otherwise positions '
        "on each side: an integer, or [vertical, horizontal].",
        examples=["same", 1, [0, 3]],
    ),
]
Id = Annotated[str, Field(max_length=MAX_ID)]
LayerName = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
Inputs = Annotated[tuple[LayerName, ...], Field(min_length=1, max_length=MAX_LAYERS, strict=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

_strict = with_config(ConfigDict(extra="forbid", strict=True))


class _Layer(TypedDict):
    """What any layer may have: a name, and the names of the layers that it reads (`"input"` is the image)."""

    name: NotRequired[LayerName]
    inputs: NotRequired[Inputs]


@_strict
class Conv(_Layer):
    """A convolution.

    Its width is given by exactly one of `out_channels` and `channel_ratio`, the filters per input channel. `groups`
    may be "depthwise": one group for each input channel. Without `bias` it has one, unless only `batch_norm` layers
    read it.
    """

    type: Literal["conv"]
    kernel_size: Pair
    out_channels: NotRequired[Width | None]
    channel_ratio: NotRequired[Annotated[float, Field(gt=0, le=1024, allow_inf_nan=False)] | None]
    stride: NotRequired[Stride | None]
    groups: NotRequired[Annotated[Width | Literal["depthwise"], Field(examples=["depthwise", 32])]]
    dilation: NotRequired[Pair]
    padding: NotRequired[Padding]
    bias: NotRequired[bool]


@_strict
class MaxPool(_Layer):
    """Max pooling; `stride` defaults to the kernel size, as in PyTorch, `padding` to "same"."""

    type: Literal["max_pool"]
    kernel_size: Pair
    stride: NotRequired[Stride | None]
    padding: NotRequired[Padding]
    ceil_mode: NotRequired[bool]


@_strict
class AvgPool(_Layer):
    """Average pooling; `stride` defaults to the kernel size, `padding` to "same".

    Padding is averaged in with `count_include_pad` only, unlike in PyTorch, where that is the default.
    """

    type: Literal["avg_pool"]
    kernel_size: Pair
    stride: NotRequired[Stride | None]
    padding: NotRequired[Padding]
    ceil_mode: NotRequired[bool]
    count_include_pad: NotRequired[bool]


@_strict
class AdaptiveAvgPool(_Layer):
    """Average pooling to a given size."""

    type: Literal["adaptive_avg_pool"]
    output_size: Pair


@_strict
class Linear(_Layer):
    """A hidden fully connected layer; it flattens its input. The classifier itself is not listed."""

    type: Literal["linear"]
    out_features: Width
    bias: NotRequired[bool]


@_strict
class Dropout(_Layer):
    """Dropout with probability `p`, 0.5 when absent."""

    type: Literal["dropout"]
    p: NotRequired[Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]]


@_strict
class GroupNorm(_Layer):
    """Normalisation over groups of channels."""

    type: Literal["group_norm"]
    num_groups: Width


@_strict
class PReLU(_Layer):
    """Rectifier with a learned slope: one, or one for each channel."""

    type: Literal["prelu"]
    per_channel: NotRequired[bool]


@_strict
class ChannelShuffle(_Layer):
    """Interleaves the channels of `groups` groups, as ShuffleNet does."""

    type: Literal["channel_shuffle"]
    groups: Width


@_strict
class Slice(_Layer):
    """The channels from `start` up to, but not including, `end`; both count from 0."""

    type: Literal["slice"]
    start: Annotated[int, Field(ge=0, le=1_000_000)]
    end: Width


@_strict
class Pad(_Layer):
    """Zeros around a map: [left, right, top, bottom], as in `torch.nn.functional.pad`."""

    type: Literal["pad"]
    padding: Annotated[tuple[Margin, Margin, Margin, Margin], Field(strict=False, examples=[[0, 1, 0, 1]])]


@_strict
class Upsample(_Layer):
    """Repeats each position `scale_factor` times in each direction."""

    type: Literal["upsample"]
    scale_factor: Annotated[int, Field(ge=1, le=64)]


@_strict
class Plain(_Layer):
    """A layer that its type says all about: normalisations, activations and merges have no fields of their own."""

    type: Literal[
        "relu",
        "sigmoid",
        "tanh",
        "batch_norm",
        "global_avg_pool",
        "flatten",
        "layer_norm",
        "scale",
        "relu6",
        "leaky_relu",
        "elu",
        "gelu",
        "silu",
        "hard_swish",
        "hard_sigmoid",
        "softmax",
        "add",
        "mul",
        "concat",
        "identity",
        "zero",
    ]


def _has_one_width(layer: Conv) -> Conv:
    if (layer.get("out_channels") is None) == (layer.get("channel_ratio") is None):
        raise PydanticCustomError("one_width", "give exactly one of out_channels and channel_ratio")
    return layer


Layer: TypeAlias = Annotated[
    Annotated[Conv, AfterValidator(_has_one_width)]
    | MaxPool
    | AvgPool
    | AdaptiveAvgPool
    | Linear
    | Dropout
    | GroupNorm
    | PReLU
    | ChannelShuffle
    | Slice
    | Pad
    | Upsample
    | Plain,
    Field(discriminator="type"),
]
Layers = Annotated[list[Layer], Field(min_length=1, max_length=MAX_LAYERS, fail_fast=True)]
LAYER_CLASSES: tuple[Any, ...] = (
    Conv,
    MaxPool,
    AvgPool,
    AdaptiveAvgPool,
    Linear,
    Dropout,
    GroupNorm,
    PReLU,
    ChannelShuffle,
    Slice,
    Pad,
    Upsample,
    Plain,
)
COMMON = tuple(_Layer.__annotations__)
FIELDS = {
    str(kind): tuple(name for name in one.__annotations__ if name not in {"type", *COMMON})
    for one in LAYER_CLASSES
    for kind in get_args(one.__annotations__["type"])
}  # of each layer type, without those that any layer may have


@_strict
class Architecture(TypedDict):
    """A network from the image up to, but not including, its classifier.

    `id` is the client's name for it. `in_channels` is checked against the task's images when given.
    """

    layers: Annotated[Layers, Field(description="From the image up to, but not including, the classifier.")]
    id: NotRequired[Id | None]
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
