"""Yes-or-no facts about layers: whether an integer of a layer's code lies in a range.

All of them are found by the same few operations on all layers: each is a linear form of the code that is between -1 and
1 where it holds. Ranges end between two integers, so that no rounding decides.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from model.ulc import EXTENDED

ID = {name: row.id for name, row in EXTENDED.rows.items()}
SQUASHING = ("sigmoid", "tanh", "relu")
RUNS = ("conv", "pool", *SQUASHING)  # what signal propagation counts between two normalisations
KERNELS = (1, 2, 3, 4, 5)


@dataclass(frozen=True, slots=True)
class Flag:
    """Holds where the sum of some columns of the code is from `low` to `high`, both included."""

    columns: tuple[str, ...]
    low: int
    high: int


def _kinds(first: str, last: str) -> Flag:
    return Flag(("type",), ID[first], ID[last])


def _equal(column: str, values: Iterable[int]) -> dict[str, Flag]:
    return {f"{column} {value}": Flag((column,), value, value) for value in values}


_SIDES = ("kernel_width", "kernel_height")
_OTHER_RATIOS = tuple(ratio for ratio in range(1, len(EXTENDED.bins) + 1) if ratio != EXTENDED.unit_bin)
_OTHER_SIZES = range(2, EXTENDED.largest_kernel + 1)

# What most layers have, the first kernel size and ratio 1, follows from the others.
TABLE_1: Mapping[str, Flag] = {
    **_equal("channel_ratio", _OTHER_RATIOS),
    **{name: flag for side in _SIDES for name, flag in _equal(side, _OTHER_SIZES).items()},
}
KINDS: Mapping[str, Flag] = {
    **{kind: _kinds(kind, kind) for kind in ID},
    "present": Flag(("type",), 1, max(ID.values())),
    "pool": _kinds("max_pool", "avg_pool"),
}
ACTIVATION = _kinds("relu", "tanh")
SIZES: Mapping[str, Flag] = {
    **{f"kernel {size}": Flag(("kernel_width",), size, size) for size in KERNELS},
    "larger": Flag(_SIDES, 3, 2 * EXTENDED.largest_kernel),
    "large": Flag(_SIDES, 8, 2 * EXTENDED.largest_kernel),
}
# Convolutions are counted twice, as runs of them end at a normalisation or, the linear ones, at an activation.
COUNTED = ("present", *RUNS, "linear conv", "batch_norm")
RESETS = (*("batch_norm" for _ in RUNS), "activation")  # what ends a run of each of `RUNS` and of "linear conv"
BLOCKS: Mapping[str, tuple[Flag, ...]] = {
    "table_1": tuple(TABLE_1.values()),
    "kinds": tuple(KINDS.values()),
    "activation": (ACTIVATION,),
    "sizes": tuple(SIZES.values()),
    "counted": tuple(KINDS["conv" if name == "linear conv" else name] for name in COUNTED),
    "resets": tuple(ACTIVATION if name == "activation" else KINDS[name] for name in RESETS),
    "located": tuple(KINDS[name] for name in ("conv", "pool", "present", "conv", "present", "present", "conv")),
    "weighted": (KINDS["linear"], KINDS["conv"]),
    "present": (KINDS["present"],),
}


@dataclass(frozen=True, slots=True)
class Flags:
    """Blocks of flags, 1.0 where they hold, float32 [batch, flags, layers]; the names are those of `BLOCKS`."""

    table_1: torch.Tensor
    kinds: torch.Tensor
    activation: torch.Tensor
    sizes: torch.Tensor
    counted: torch.Tensor
    resets: torch.Tensor
    located: torch.Tensor
    weighted: torch.Tensor
    present: torch.Tensor


class LayerFlags(nn.Module):
    """Finds the flags of all layers.

    Blocks may hold the same flag, so that each is read as it stands.
    """

    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        flags = [flag for block in BLOCKS.values() for flag in block]
        weight, bias = torch.zeros(len(flags), len(EXTENDED.columns), 1), torch.zeros(len(flags))
        for row, flag in enumerate(flags):
            half = (flag.high - flag.low + 1) / 2
            for column in flag.columns:
                weight[row, EXTENDED.columns.index(column)] = 1 / half
            bias[row] = -(flag.low + flag.high) / 2 / half
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, numbers: torch.Tensor) -> Flags:
        """Return the flags of codes given as float32 [batch, columns, layers]; widths and maps are not read."""
        flags = (F.conv1d(numbers, self.weight, self.bias).abs() <= 1.0).float()
        return Flags(*flags.split([len(block) for block in BLOCKS.values()], dim=1))
