"""Which layers a hand feature is about, as rows of zeros and ones: by kind, by what came before, by place, by area."""

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional as F

from ..network.shapes import Shape
from .layer_features import SUMMED, Quantities
from .layer_flags import COUNTED, MASKS

# Shares of the image's positions that a feature map may have left: full, about a quarter, a sixteenth, less.
STAGES = ((0.5, 2.0), (0.1, 0.5), (0.02, 0.1), (0.0, 0.02))
AREAS = ((0, 9), (9, 36), (36, 81), (81, 300), (300, 1e9))
FIRST_CONVS, LAST_CONVS, FIRST_POOLS = (1, 2, 3, 4), (1, 2, 3), (1, 2, 3)
STAGE_NAMES = tuple(f"stage {number}" for number in range(len(STAGES)))
ROWS = (  # what masks are made of
    *(f"{name} so far" for name in SUMMED),
    *(f"{name} to come" for name in SUMMED),
    *("area_in", "window", "area"),
    *COUNTED,
)
NEVER = 2.0**22  # below any threshold by more than a count may be, and exact when a count is added


def _ranges(image: Shape) -> Iterator[tuple[str, str, str, int, int]]:
    """Yield names, what holds of the layer, and what lies between two integers, both included."""
    whole = image.height * image.width
    if whole >= NEVER:
        raise ValueError(f"images of {image.height}x{image.width} pixels are too large to be counted exactly")
    yield from ((f"conv {number}", "conv", "conv so far", number, number) for number in FIRST_CONVS)
    yield from (
        (f"conv from the end {number}", "conv", "conv to come", number - 1, number - 1) for number in LAST_CONVS
    )
    yield from ((f"pool {number}", "pool", "pool so far", number, number) for number in FIRST_POOLS)
    yield "last", "present", "present to come", 0, 0
    yield "unnormalised", "present", "batch_norm so far", 0, 0
    yield "any stage", "conv", "area_in", 1, whole
    for name, (over, most) in zip(STAGE_NAMES, STAGES, strict=True):
        inside = [positions for positions in range(1, whole + 1) if over < positions / whole <= most]
        yield name, "conv", "area_in", min(inside, default=whole + 1), max(inside, default=whole + 1)
    for number, (over, most) in enumerate(AREAS):
        yield f"area {number}", "present", "area", over + 1, max(over + 1, min(int(most), whole))


class LayerMasks(nn.Module):
    """Makes the masks of a task with images of one shape, float32 [batch, masks, layers].

    Beside the flags that are masks themselves there are ranges, made as flags are (`layer_flags`): of steps, which are
    clipped linear forms. Where a layer is not of the kind that a range asks for, its steps are kept at zero.
    """

    thresholds: torch.Tensor
    offsets: torch.Tensor
    steps: torch.Tensor

    def __init__(self, image: Shape) -> None:
        super().__init__()
        ranges = list(_ranges(image))
        located = [name for name, *_ in ranges]
        self.names = [*MASKS, *located]
        self.stages = located.index("any stage")
        both = ((kind, counted, edge) for _, kind, counted, low, high in ranges for edge in (low, high + 1))
        steps = {step: place for place, step in enumerate(dict.fromkeys(both))}
        forms, offsets = torch.zeros(len(steps), len(ROWS)), torch.zeros(len(steps))
        matrix = torch.zeros(len(ranges), len(steps))
        for (kind, counted, threshold), place in steps.items():
            forms[place, ROWS.index(counted)] = 1.0
            forms[place, ROWS.index(kind)] = NEVER
            offsets[place] = 1.0 - threshold - NEVER
        for row, (_, kind, counted, low, high) in enumerate(ranges):
            matrix[row, steps[kind, counted, low]] = 1.0
            matrix[row, steps[kind, counted, high + 1]] = -1.0
        self.register_buffer("thresholds", forms.unsqueeze(2))
        self.register_buffer("offsets", offsets)
        self.register_buffer("steps", matrix.unsqueeze(2))

    def forward(self, q: Quantities) -> tuple[torch.Tensor, torch.Tensor]:
        """Return all masks, and the part of them that holds "any stage" and the stages, [batch, 1 + stages, layers]."""
        to_come = q.so_far[:, :, -1:] - q.so_far
        rows = torch.cat([q.so_far, to_come, q.products, q.flags.counted], dim=1)
        steps = torch.clamp(F.conv1d(rows, self.thresholds, self.offsets), 0.0, 1.0)
        ranges = F.conv1d(steps, self.steps)
        masks = torch.cat([q.flags.masks, ranges], dim=1)
        return masks, ranges[:, self.stages : self.stages + 1 + len(STAGES)]
