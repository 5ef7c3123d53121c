"""The request schema of the other servers: pydantic model classes, as a FastAPI user writes them."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Size = Annotated[int, Field(ge=1, le=1024)]
Width = Annotated[int, Field(ge=1, le=1_000_000)]


def _as_pair(value: object) -> object:
    """Read `3` as `[3, 3]`, and JSON's list as a tuple."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value, value)
    return tuple(value) if isinstance(value, list) else value


Pair = Annotated[tuple[Size, Size], BeforeValidator(_as_pair)]


class _Layer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Conv(_Layer):
    """A convolution with "same" padding: its output is the input's size divided by the stride, rounded up."""

    type: Literal["conv"] = "conv"
    kernel_size: Pair
    stride: Pair = (1, 1)
    out_channels: Width | None = None
    channel_ratio: Annotated[float, Field(gt=0, le=1024, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _one_width(self) -> Self:
        if (self.out_channels is None) == (self.channel_ratio is None):
            raise ValueError("give exactly one of out_channels and channel_ratio")
        return self


class _Pool(_Layer):
    kernel_size: Pair
    stride: Pair | None = None


class MaxPool(_Pool):
    """Max pooling with "same" padding."""

    type: Literal["max_pool"] = "max_pool"


class AvgPool(_Pool):
    """Average pooling with "same" padding."""

    type: Literal["avg_pool"] = "avg_pool"


class ReLU(_Layer):
    """Rectified linear unit."""

    type: Literal["relu"] = "relu"


class Sigmoid(_Layer):
    """Logistic activation."""

    type: Literal["sigmoid"] = "sigmoid"


class Tanh(_Layer):
    """Hyperbolic tangent activation."""

    type: Literal["tanh"] = "tanh"


class BatchNorm(_Layer):
    """Batch normalisation over the channels."""

    type: Literal["batch_norm"] = "batch_norm"


class Dropout(_Layer):
    """Dropout with probability `p`."""

    type: Literal["dropout"] = "dropout"
    p: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.5


class Linear(_Layer):
    """A hidden fully connected layer; it flattens what comes before it. The classifier itself is not listed."""

    type: Literal["linear"] = "linear"
    out_features: Width


class GlobalAvgPool(_Layer):
    """The mean of each channel over all positions."""

    type: Literal["global_avg_pool"] = "global_avg_pool"


Layer = Annotated[
    Conv | MaxPool | AvgPool | ReLU | Sigmoid | Tanh | BatchNorm | Dropout | Linear | GlobalAvgPool,
    Field(discriminator="type"),
]


class Architecture(BaseModel):
    """A sequential network from the image up to, but not including, its classifier."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    id: Annotated[str, Field(max_length=200)] | None = None
    in_channels: Width | None = None
    layers: Annotated[list[Layer], Field(min_length=1)]
