"""The Unified Layer Code (Peephole, section 3.1): a layer as a tuple of integers.

`PAPER` is Table 1 of the paper. `EXTENDED` is the same table with more rows (dropout, linear, global average pool),
wider kernel and ratio ranges, and more columns: stride, dropout, and what a ratio throws away, the absolute width and
resolution behind each layer (from which parameters and FLOPs follow). Code 0 is padding in every column.
"""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..network.schema import MAX_STRIDE, Architecture, Layer, dropout_of, pair, stride_of
from ..network.shapes import Shape, trace

Number = TypeVar("Number", bound=np.generic)
PAPER_BINS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0)
WIDE_BINS = (1 / 64, 1 / 32, 1 / 16, 1 / 8, *PAPER_BINS, 4.0, 6.0, 8.0, 16.0, 32.0, 64.0)
DROPOUT_UNITS = 10_000
SPATIAL = frozenset({"conv", "max_pool", "avg_pool", "global_avg_pool"})
MAX_WIDTH = 1_000_000
TABLE_1_COLUMNS = ("type", "kernel_width", "kernel_height", "channel_ratio")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the code table: a layer type's id and the kernel sizes it may have (`None`: always 1)."""

    id: int
    kernels: range | None = None


@dataclass(frozen=True)
class LayerCode:
    """A code table.

    Attributes:
        name: what an artifact calls it.
        rows: per layer type, its row.
        bins: centres of the channel-ratio bins; a convolution's last column of Table 1 is 1 + the index of its bin.
        columns: what the integers of one layer stand for, in order.
    """

    name: str
    rows: dict[str, Row]
    bins: tuple[float, ...]
    columns: tuple[str, ...] = TABLE_1_COLUMNS
    edges: tuple[float, ...] = field(init=False)

    def __post_init__(self) -> None:
        middles = tuple((low + high) / 2 for low, high in zip(self.bins, self.bins[1:], strict=False))
        object.__setattr__(self, "edges", middles)

    @property
    def unit_bin(self) -> int:
        """The code of ratio 1, which every layer but a convolution or linear layer has."""
        return 1 + self.bins.index(1.0)

    @property
    def largest_kernel(self) -> int:
        """The largest kernel size of any row."""
        return max(row.kernels[-1] for row in self.rows.values() if row.kernels)

    @property
    def is_absolute(self) -> bool:
        """Whether the code carries absolute widths and resolutions."""
        return len(self.columns) > len(TABLE_1_COLUMNS)


_TABLE_1 = {
    "conv": Row(1, range(1, 6)),
    "max_pool": Row(2, range(2, 6)),
    "avg_pool": Row(3, range(2, 6)),
    "relu": Row(4),
    "sigmoid": Row(5),
    "tanh": Row(6),
    "batch_norm": Row(7),
}
PAPER = LayerCode("paper", _TABLE_1, PAPER_BINS)
EXTENDED = LayerCode(
    "extended",
    _TABLE_1
    | {
        "conv": Row(1, range(1, 12)),
        "max_pool": Row(2, range(1, 12)),
        "avg_pool": Row(3, range(1, 12)),
        "dropout": Row(8),
        "linear": Row(9),
        "global_avg_pool": Row(10),
    },
    WIDE_BINS,
    (*TABLE_1_COLUMNS, "stride", "dropout", "width", "map_height", "map_width"),
)
CODES = {code.name: code for code in (PAPER, EXTENDED)}


@dataclass(frozen=True, slots=True)
class LayerFault:
    """What is wrong with one field of one layer."""

    layer: int
    field: str
    message: str

    def __str__(self) -> str:
        return f"/layers/{self.layer}/{self.field}: {self.message}"


class CodeError(ValueError):
    """A layer list that the code cannot express; `clamped` holds what could be clamped beside the faults."""

    def __init__(self, faults: Sequence[LayerFault], clamped: Sequence[LayerFault] = ()) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = list(faults)
        self.clamped = list(clamped)


@dataclass(frozen=True, slots=True)
class Encoding:
    """The codes of a network, int32 [layers, columns], and what had to be clamped to get there."""

    codes: NDArray[np.int32]
    clamped: list[LayerFault]


def encode(
    layers: Sequence[Layer],
    code: LayerCode,
    image: Shape,
    *,
    clamp: bool = False,
    is_stem: bool = True,
    is_flat: bool = False,
) -> Encoding:
    """Encode a layer list.

    Args:
        layers: the network, from the image up to its classifier.
        code: the code table.
        image: channels, height and width of the input.
        clamp: take the outermost bin for a channel ratio outside the table instead of rejecting it.
        is_stem: whether the first convolution is the network's; false to encode the rest of a network.
        is_flat: whether a linear layer comes before; true to encode the rest of a network.

    Raises:
        CodeError: with every fault, when a layer is outside the table or a spatial layer follows a linear one. The
            stem is exempt from the ratio's range.
    """
    rows: list[tuple[int, ...]] = []
    faults: list[LayerFault] = []
    clamped: list[LayerFault] = []
    for index, (layer, before, shape) in enumerate(trace(layers, image)):
        kind = layer["type"]
        if is_flat and kind in SPATIAL:
            faults.append(LayerFault(index, "type", f"{kind} cannot follow linear, whose output is flat"))
        is_flat = is_flat or kind == "linear"
        width_field = "channel_ratio" if layer.get("channel_ratio") is not None else "out_channels"
        if shape.channels > MAX_WIDTH:
            field = width_field if kind == "conv" else "type"
            faults.append(LayerFault(index, field, f"makes the network wider than {MAX_WIDTH} channels"))
            break
        row = code.rows.get(kind)
        if row is None:
            known = ", ".join(code.rows)
            faults.append(LayerFault(index, "type", f"the {code.name} code does not know {kind}; it knows {known}"))
            continue
        kernel_height, kernel_width = 1, 1
        stride, dropout, ratio = 1, 0, code.unit_bin
        if layer["type"] == "conv" or layer["type"] == "max_pool" or layer["type"] == "avg_pool":
            kernel_height, kernel_width = pair(layer["kernel_size"])
            stride = max(stride_of(layer))
            assert row.kernels is not None  # noqa: S101 - convolutions and pools have a range in every table
            if kernel_height not in row.kernels or kernel_width not in row.kernels:
                allowed = f"{row.kernels[0]} to {row.kernels[-1]}"
                faults.append(LayerFault(index, "kernel_size", f"must be {allowed} in the {code.name} code"))
            if stride > MAX_STRIDE:
                where = "kernel_size" if layer.get("stride") is None else "stride"
                message = f"the stride must be at most {MAX_STRIDE}; a pool without one strides by its kernel"
                faults.append(LayerFault(index, where, message))
        elif layer["type"] == "dropout":
            dropout = round(dropout_of(layer) * DROPOUT_UNITS)
        if shape.channels != before.channels:
            exact = shape.channels / before.channels
            ratio = 1 + bisect(code.edges, exact)
            if kind == "conv" and not is_stem and not code.bins[0] <= exact <= code.bins[-1]:
                message = f"channel ratio {exact:.4g} is outside {code.bins[0]:.4g} to {code.bins[-1]:.4g}"
                (clamped if clamp else faults).append(LayerFault(index, width_field, message))
        is_stem = is_stem and kind != "conv"
        table_1 = (row.id, kernel_width, kernel_height, ratio)
        absolute = (stride, dropout, shape.channels, shape.height, shape.width)
        rows.append(table_1 + absolute if code.is_absolute else table_1)
    if faults:
        raise CodeError(faults, clamped)
    return Encoding(np.array(rows, dtype=np.int32).reshape(len(rows), len(code.columns)), clamped)


def encode_architecture(architecture: Architecture, code: LayerCode, image: Shape, *, clamp: bool = False) -> Encoding:
    """Encode an architecture after checking that it starts from the task's image; see `encode`."""
    if architecture.get("in_channels") not in (None, image.channels):
        raise CodeError([LayerFault(0, "in_channels", f"the task's images have {image.channels} channels")])
    return encode(architecture["layers"], code, image, clamp=clamp)


def pad(encodings: Sequence[NDArray[Number]]) -> tuple[NDArray[Number], NDArray[np.int32]]:
    """Stack arrays [layers_i, columns] into one [batch, longest, columns], zero-padded, with lengths [batch]."""
    lengths = np.array([len(codes) for codes in encodings], dtype=np.int32)
    if len(encodings) == 1:
        return encodings[0][None], lengths
    stacked = np.zeros((len(encodings), int(lengths.max()), encodings[0].shape[1]), dtype=encodings[0].dtype)
    for row, codes in zip(stacked, encodings, strict=True):
        row[: len(codes)] = codes
    return stacked, lengths
