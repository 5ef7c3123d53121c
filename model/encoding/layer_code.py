"""The Unified Layer Code (Peephole, section 3.1): a layer as a row of integers.

`PAPER` is Table 1 of the paper, for chains. `EXTENDED` goes on from there, for graphs: a layer's attributes (stride,
groups, dilation, the sizes of the maps that it reads and makes) and which rows it reads. Code 0 is padding in every
column.
"""

from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..network.graph import Costs, LayerFault, NetworkError, Node, costs, resolve
from ..network.hashing import canonical_layers
from ..network.layer_types import TYPE_IDS, groups_of, shape_of
from ..network.schema import Layer, dropout_of, pair, stride_of
from ..network.shapes import Shape

Number = TypeVar("Number", bound=np.generic)
PAPER_BINS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0)
WIDE_BINS = (1 / 64, 1 / 32, 1 / 16, 1 / 8, *PAPER_BINS, 4.0, 6.0, 8.0, 16.0, 32.0, 64.0)
DROPOUT_UNITS = 10_000
TABLE_1_COLUMNS = ("type", "kernel_width", "kernel_height", "channel_ratio")
ATTRIBUTES = ("stride", "dropout", "width", "map_height", "map_width", "groups", "dilation")
READS = ("channels_in", "height_in", "width_in")
EDGES = ("back_1", "back_2")  # how many rows before a row the two are that it reads; 0 is none


@dataclass(frozen=True)
class LayerCode:
    """A code table.

    Attributes:
        name: what an artifact calls it.
        kernels: per layer type, the kernel sizes that the table holds (`None`: always 1).
        bins: centres of the channel-ratio bins; a convolution's last column of Table 1 is 1 + the index of its bin.
        columns: what the integers of one row stand for, in order.
    """

    name: str
    kernels: dict[str, range | None]
    bins: tuple[float, ...]
    columns: tuple[str, ...] = TABLE_1_COLUMNS
    edges: tuple[float, ...] = field(init=False)

    def __post_init__(self) -> None:
        middles = tuple((low + high) / 2 for low, high in zip(self.bins, self.bins[1:], strict=False))
        object.__setattr__(self, "edges", middles)

    @property
    def largest_kernel(self) -> int:
        """The largest kernel size of any type."""
        return max(sizes[-1] for sizes in self.kernels.values() if sizes)

    @property
    def is_paper(self) -> bool:
        """Whether the code knows no more than Table 1 of the paper."""
        return self.columns == TABLE_1_COLUMNS

    @property
    def types(self) -> int:
        """How many layer types have a row."""
        return len(self.kernels) if self.is_paper else len(TYPE_IDS)

    def ratio_bin(self, before: Shape, after: Shape) -> int:
        """Return the code of the bin that a change of channels is nearest to."""
        return 1 + bisect(self.edges, after.channels / before.channels)


_ACTIVATIONS_AND_NORM = dict.fromkeys(("relu", "sigmoid", "tanh", "batch_norm"))
PAPER = LayerCode(
    "paper",
    {"conv": range(1, 6), "max_pool": range(2, 6), "avg_pool": range(2, 6), **_ACTIVATIONS_AND_NORM},
    PAPER_BINS,
)
EXTENDED = LayerCode(
    "extended",
    dict.fromkeys(("conv", "max_pool", "avg_pool"), range(1, 12))
    | _ACTIVATIONS_AND_NORM
    | dict.fromkeys(("dropout", "linear", "global_avg_pool")),
    WIDE_BINS,
    (*TABLE_1_COLUMNS, *ATTRIBUTES, *READS, *EDGES),
)
CODES = {code.name: code for code in (PAPER, EXTENDED)}

_LIKE = {
    "relu": ("relu6", "leaky_relu", "prelu", "elu", "gelu", "silu", "hard_swish"),
    "sigmoid": ("hard_sigmoid", "softmax"),
    "batch_norm": ("layer_norm", "group_norm", "scale"),
    "avg_pool": ("adaptive_avg_pool",),
    "dropout": ("flatten", "add", "mul", "concat", "identity", "channel_shuffle", "slice", "pad", "upsample", "zero"),
}
STAND_INS = np.arange(1 + len(TYPE_IDS))  # from a type's id to that of the type of `EXTENDED.kernels` most like it
for _type, _others in _LIKE.items():
    STAND_INS[[TYPE_IDS[other] for other in _others]] = TYPE_IDS[_type]
EMBEDDED = 32  # types that the shipped neural networks have an embedding of; later ones are taken for their stand-ins


def table_1(codes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the columns of Table 1 of extended codes [..., columns], as neural networks read them.

    A larger kernel counts as the largest, a type that has no embedding as its stand-in.
    """
    found = codes[..., : len(TABLE_1_COLUMNS)].copy()
    kinds = found[..., 0]
    found[..., 0] = np.where(kinds > EMBEDDED, STAND_INS[kinds], kinds)
    np.minimum(found[..., 1:3], EXTENDED.largest_kernel, out=found[..., 1:3])
    return found


@dataclass(frozen=True, slots=True)
class Encoding:
    """What a predictor reads of a network.

    Attributes:
        codes: int32 [rows, columns].
        costs: of the network.
        notes: what the code could not say exactly.
    """

    codes: NDArray[np.int32]
    costs: Costs
    notes: list[str] = field(default_factory=list)


def encode(layers: Sequence[Layer], code: LayerCode, image: Shape) -> Encoding:
    """Encode a network.

    Args:
        layers: from the image up to, but not including, the classifier.
        code: the code table.
        image: channels, height and width of the input.

    Raises:
        NetworkError: as `resolve`; and from the paper's code for what Table 1 does not hold.
    """
    nodes = resolve(layers, image)
    if code.is_paper:
        return _encode_as_the_paper(nodes, code, canonical_layers(layers, image))
    rows = [list(rows_of(node.layer, node.before)) for node in nodes]
    codes = np.array([row for group in rows for row in group], dtype=np.int32)
    link(codes, [len(group) for group in rows], [node.sources for node in nodes])
    return Encoding(without_identities(codes), costs(nodes))


def rows_of(layer: Layer, before: Sequence[Shape]) -> Iterator[tuple[int, ...]]:
    """Yield the extended code of a layer: one row, or for a merge one row for each input but the first.

    What the row reads is filled in by `link`; as yielded, it reads the row before.

    Args:
        layer: of any type.
        before: shapes of what it reads.
    """
    kernel, stride, groups, dilation, dropout = (1, 1), 1, 1, 1, 0
    if layer["type"] == "conv" or layer["type"] == "max_pool" or layer["type"] == "avg_pool":
        kernel, stride = pair(layer["kernel_size"]), max(stride_of(layer))
    if layer["type"] == "conv":
        groups, dilation = groups_of(layer, before[0].channels), max(pair(layer.get("dilation", 1)))
    elif layer["type"] == "dropout":
        dropout = round(dropout_of(layer) * DROPOUT_UNITS)
    first = before[0]
    for second in range(1, max(2, len(before))):
        read = [first, before[second]] if len(before) > 1 else [first]
        made = shape_of(layer, read)
        table_1 = (TYPE_IDS[layer["type"]], kernel[1], kernel[0], EXTENDED.ratio_bin(first, made))
        attributes = (stride, dropout, made.channels, made.height, made.width, groups, dilation)
        yield (*table_1, *attributes, first.channels, first.height, first.width, 1, 0)
        first = made


def link(codes: NDArray[np.int32], counts: Sequence[int], sources: Sequence[tuple[int, ...]]) -> None:
    """Fill in the columns `EDGES` of extended codes.

    Args:
        codes: [rows, columns], changed in place.
        counts: number of rows of each layer.
        sources: indices of the layers that each layer reads; -1 is the image.
    """
    last_row = {-1: -1}  # of each layer; the image comes before the first
    row = 0
    for index, (count, read) in enumerate(zip(counts, sources, strict=True)):
        for place in range(count):
            first = last_row[read[0]] if place == 0 else row - 1
            codes[row, -2] = row - first
            codes[row, -1] = row - last_row[read[place + 1]] if len(read) > 1 else 0
            row += 1
        last_row[index] = row - 1


def without_identities(codes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return linked extended codes without the rows of `identity`, which change nothing.

    One that a merge reads stays, as a shortcut; and one where there is nothing else.
    """
    is_identity = codes[:, 0] == TYPE_IDS["identity"]
    if not is_identity.any():
        return codes
    rows = np.arange(len(codes))
    read = rows[:, None] - codes[:, -2:]
    merges = codes[:, -1] > 0
    dropped = is_identity & ~np.isin(rows, read[merges])
    dropped[0] &= not dropped.all()
    place = np.cumsum(~dropped) - 1
    for row in np.flatnonzero(dropped):  # what reads it reads what it reads
        place[row] = place[read[row, 0]] if read[row, 0] >= 0 else -1
    found: NDArray[np.int32] = codes[~dropped].copy()
    moved = place[~dropped, None] - np.where(read >= 0, place[read], -1)[~dropped]
    found[:, -2] = moved[:, 0]
    found[:, -1] = np.where(merges[~dropped], moved[:, 1], 0)
    return found


def _encode_as_the_paper(nodes: Sequence[Node], code: LayerCode, canonical: Sequence[Mapping[str, Any]]) -> Encoding:
    """Encode a chain by Table 1; a channel ratio outside the table takes the nearest bin, with a note.

    The first convolution is exempt from the range of ratios. The canonical layers tell where a field says more than its
    absence would.

    Raises:
        NetworkError: with all that the table does not hold.
    """
    rows: list[tuple[int, ...]] = []
    faults: list[LayerFault] = []
    notes: list[str] = []
    is_stem = True
    for index, node in enumerate(nodes):
        layer, (before, after) = node.layer, (node.before[0], node.after)
        kind = layer["type"]
        if node.sources != (index - 1,):
            faults.append(LayerFault(index, "inputs", "the paper's code knows chains only"))
        if kind not in code.kernels:
            known = ", ".join(code.kernels)
            faults.append(LayerFault(index, "type", f"the paper's code does not know {kind}; it knows {known}"))
            continue
        kernel = (1, 1)
        if layer["type"] == "conv" or layer["type"] == "max_pool" or layer["type"] == "avg_pool":
            kernel, sizes = pair(layer["kernel_size"]), code.kernels[kind]
            assert sizes is not None  # noqa: S101 - convolutions and pools have a range in every table
            if not set(kernel) <= set(sizes):
                faults.append(
                    LayerFault(index, "kernel_size", f"must be {sizes[0]} to {sizes[-1]} in the paper's code")
                )
        faults += [
            LayerFault(index, name, "the paper's code knows nothing of it")
            for name in ("groups", "dilation", "padding")
            if name in canonical[index]
        ]
        exact = after.channels / before.channels
        low, high = code.bins[0], code.bins[-1]
        if kind == "conv" and not is_stem and not low <= exact <= high:
            what = f"channel ratio {exact:.4g} is outside {low:.4g} to {high:.4g}; took the nearest of the paper's code"
            notes.append(f"/layers/{index}: {what}")
        is_stem = is_stem and kind != "conv"
        rows.append((TYPE_IDS[kind], kernel[1], kernel[0], code.ratio_bin(before, after)))
    if faults:
        raise NetworkError(faults)
    return Encoding(np.array(rows, dtype=np.int32), costs(nodes), notes)


def pad(encodings: Sequence[NDArray[Number]]) -> tuple[NDArray[Number], NDArray[np.int32]]:
    """Stack arrays [layers_i, columns] into one [batch, longest, columns], zero-padded, with lengths [batch]."""
    lengths = np.array([len(codes) for codes in encodings], dtype=np.int32)
    if len(encodings) == 1:
        return encodings[0][None], lengths
    stacked = np.zeros((len(encodings), int(lengths.max()), encodings[0].shape[1]), dtype=encodings[0].dtype)
    for row, codes in zip(stacked, encodings, strict=True):
        row[: len(codes)] = codes
    return stacked, lengths
