"""Yes-or-no facts about layers: whether an integer of a layer's code lies in a range.

A step is 1 where an integer has reached a threshold and 0 below it: a linear form of the code, clipped. A flag is the
difference of two steps, so that a convolution, a clip and a second convolution find the flags of all layers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from ..encoding.layer_code import EXTENDED

BEFORE = "before: "  # of a column: of the layer before
ID = {name: row.id for name, row in EXTENDED.rows.items()}
SQUASHING = ("sigmoid", "tanh", "relu")
RUNS = ("conv", "pool", *SQUASHING)  # what signal propagation counts between two normalisations
KERNELS = (1, 2, 3, 4, 5)
_LARGEST = {
    "type": max(ID.values()),
    "kernel_width": EXTENDED.largest_kernel,
    "kernel_height": EXTENDED.largest_kernel,
    "channel_ratio": len(EXTENDED.bins),
}
Step = tuple[tuple[str, ...], int]  # columns of the code, and the threshold that their sum reaches
Form = Mapping[str, float]  # factors of columns of the code, some with `BEFORE`; "one" is a constant


@dataclass(frozen=True, slots=True)
class Flag:
    """Holds where the sum of some columns of the code is from `low` to `high`, both included."""

    columns: tuple[str, ...]
    low: int
    high: int

    @property
    def begins(self) -> bool:
        """Whether it holds for the least that the columns' sum may be."""
        return self.low <= 0

    def steps(self) -> Iterator[tuple[Step, float]]:
        """Yield steps and their factors; the flag is their sum, and 1 more if it `begins` below all codes."""
        if not self.begins:
            yield (self.columns, self.low), 1.0
        if self.high < sum(_LARGEST[column.removeprefix(BEFORE)] for column in self.columns):
            yield (self.columns, self.high + 1), -1.0


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
ABSENT = Flag(("type",), 0, 0)
ACTIVATION = _kinds("relu", "tanh")
SIZES: Mapping[str, Flag] = {
    **{f"kernel {size}": Flag(("kernel_width",), size, size) for size in KERNELS},
    "larger": Flag(_SIDES, 3, 2 * EXTENDED.largest_kernel),
    "large": Flag(_SIDES, 8, 2 * EXTENDED.largest_kernel),
}
# Convolutions are counted twice, as runs of them end at a normalisation or, the linear ones, at an activation.
COUNTED = ("present", *RUNS, "linear conv", "batch_norm")
_COUNTED_KINDS = {name: KINDS["conv" if name == "linear conv" else name] for name in COUNTED}
_RESETS = (*(KINDS["batch_norm"] for _ in RUNS), ACTIVATION)  # what ends a run of each of `RUNS` and of "linear conv"
MASKS: Mapping[str, tuple[Flag, ...]] = {  # flags of which one holds
    **{name: (flag,) for name, flag in KINDS.items()},
    "activation": (ACTIVATION,),
    **{f"after {name}": (Flag((BEFORE + "type",), flag.low, flag.high),) for name, flag in _COUNTED_KINDS.items()},
    "weighted": (KINDS["conv"], KINDS["linear"]),
}
BLOCKS: Mapping[str, tuple[tuple[Flag, ...], ...]] = {
    "masks": tuple(MASKS.values()),
    "sizes": tuple((flag,) for flag in SIZES.values()),
    "counted": tuple((flag,) for flag in _COUNTED_KINDS.values()),
    "resets": tuple((flag, ABSENT) for flag in _RESETS),
    "weighted": ((KINDS["linear"],), (KINDS["conv"],)),
    "present": ((KINDS["present"],),),
}


def _distinct(flags: Iterable[Flag]) -> list[Step]:
    """Return the steps of flags, each once."""
    return list(dict.fromkeys(step for flag in flags for step, _ in flag.steps()))


def _forms(steps: Iterable[Step]) -> tuple[Form, ...]:
    """Return the linear forms that, clipped to 0 and 1, are steps."""
    return tuple({**dict.fromkeys(columns, 1.0), "one": 1.0 - threshold} for columns, threshold in steps)


_MEMBERS_READ = _distinct([*TABLE_1.values(), *KINDS.values()])
_BLOCKS_READ = _distinct(flag for block in BLOCKS.values() for row in block for flag in row)
_BOTH_READ = [step for step in _BLOCKS_READ if step in _MEMBERS_READ]
_UNREAD = [step for step in _BLOCKS_READ if step not in _MEMBERS_READ]
_OTHERS = [step for step in _MEMBERS_READ if step not in _BLOCKS_READ]
_PLACES = {step: place for place, step in enumerate([*_UNREAD, *_BOTH_READ, *_OTHERS])}
STEPS, MORE_STEPS = _forms([*_UNREAD, *_BOTH_READ]), _forms(_OTHERS)  # flags are made of the former
FIRST_READ = len(_UNREAD)  # of `STEPS`, the first that members read


def from_steps(rows: Iterable[Sequence[Flag]]) -> torch.Tensor:
    """Return the matrix from all steps to the sum of the flags of each row, [rows, steps]."""
    rows = list(rows)
    matrix = torch.zeros(len(rows), len(_PLACES))
    for place, flags in enumerate(rows):
        for flag in flags:
            for step, factor in flag.steps():
                matrix[place, _PLACES[step]] += factor
    return matrix


@dataclass(frozen=True, slots=True)
class Flags:
    """Blocks of flags, 1.0 where they hold, float32 [batch, flags, layers].

    Attributes:
        steps: what they are made of.
        more_steps: what those of `TABLE_1` are made of beside them, and rows that stand for nothing.
        masks: `MASKS`.
        sizes: `SIZES`.
        counted: `COUNTED`.
        resets: whether a run of each of `RUNS` or of "linear conv" ends; behind the network's end all do.
        weighted: whether it is linear, and whether a convolution.
        present: whether there is a layer.
    """

    steps: torch.Tensor
    more_steps: torch.Tensor
    masks: torch.Tensor
    sizes: torch.Tensor
    counted: torch.Tensor
    resets: torch.Tensor
    weighted: torch.Tensor
    present: torch.Tensor


class LayerFlags(nn.Module):
    """Makes the flags of all layers of their steps.

    Blocks may hold the same flag, so that each is read as it stands.
    """

    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        rows = [row for block in BLOCKS.values() for row in block]
        self.register_buffer("weight", from_steps(rows)[:, : len(STEPS)].unsqueeze(2).clone())
        self.register_buffer("bias", torch.tensor([float(sum(flag.begins for flag in row)) for row in rows]))

    def forward(self, steps: torch.Tensor, more_steps: torch.Tensor) -> Flags:
        """Return the flags, from the values of `STEPS` and `MORE_STEPS`, float32 [batch, steps, layers]."""
        steps, more_steps = torch.clamp(steps, 0.0, 1.0), torch.clamp(more_steps, 0.0, 1.0)
        flags = F.conv1d(steps, self.weight, self.bias)
        return Flags(steps, more_steps, *flags.split([len(block) for block in BLOCKS.values()], dim=1))
