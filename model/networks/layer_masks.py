"""Which layers a hand feature is about, as rows of zeros and ones: by kind, by what came before, by place, by area."""

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional as F

from model.networks.layer_features import Quantities
from model.networks.layer_flags import COUNTED, KINDS
from model.shapes import Shape

# Shares of the image's positions that a feature map may have left: full, about a quarter, a sixteenth, less.
STAGES = ((0.5, 2.0), (0.1, 0.5), (0.02, 0.1), (0.0, 0.02))
AREAS = ((0, 9), (9, 36), (36, 81), (81, 300), (300, 1e9))
FIRST_CONVS, LAST_CONVS, FIRST_POOLS = (1, 2, 3, 4), (1, 2, 3), (1, 2, 3)
STAGE_NAMES = tuple(f"stage {number}" for number in range(len(STAGES)))

# What is located, in the order of the flags that say where it counts (`layer_flags.BLOCKS`).
CONVS, POOLS, NORMS, AREA_IN, AREA, FROM_END, CONVS_FROM_END = range(7)


def _ranges(image: Shape) -> Iterator[tuple[str, int, int, int]]:
    """Yield names, what is located, and the integers that it lies between, both included."""
    whole = image.height * image.width
    for name, source, numbers in (
        ("conv", CONVS, FIRST_CONVS),
        ("conv from the end", CONVS_FROM_END, LAST_CONVS),
        ("pool", POOLS, FIRST_POOLS),
    ):
        yield from ((f"{name} {number}", source, number, number) for number in numbers)
    yield "last", FROM_END, 1, 1
    yield "unnormalised", NORMS, 0, 0  # behind the end, too, where all values are zero
    yield "any stage", AREA_IN, 1, whole
    for name, (over, most) in zip(STAGE_NAMES, STAGES, strict=True):
        inside = [positions for positions in range(1, whole + 1) if over < positions / whole <= most]
        yield name, AREA_IN, min(inside, default=whole + 1), max(inside, default=whole + 1)
    for number, (over, most) in enumerate(AREAS):
        yield f"area {number}", AREA, over + 1, max(over + 1, min(int(most), whole))


class LayerMasks(nn.Module):
    """Makes the masks of a task with images of one shape, float32 [batch, masks, layers]."""

    source: torch.Tensor
    middle: torch.Tensor
    radius: torch.Tensor

    def __init__(self, image: Shape) -> None:
        super().__init__()
        ranges = list(_ranges(image))
        located = [name for name, *_ in ranges]
        self.names = [*KINDS, "activation", *(f"after {name}" for name in COUNTED), "weighted", *located]
        self.stages = located.index("any stage")
        self.register_buffer("source", torch.tensor([source for _, source, *_ in ranges]))
        self.register_buffer("middle", torch.tensor([[(low + high) / 2] for *_, low, high in ranges]))
        self.register_buffer("radius", torch.tensor([[(high - low + 1) / 2] for *_, low, high in ranges]))

    def forward(self, q: Quantities) -> tuple[torch.Tensor, torch.Tensor]:
        """Return all masks, and the part of them that holds "any stage" and the stages, [batch, 1 + stages, layers]."""
        counted = q.summed("present", "conv")
        from_end = counted[:, :, -1:] + 1 - counted
        counts = [q.summed("conv", "pool"), q.summed("batch_norm", "batch_norm")]
        located = torch.cat([*counts, q.area_in, q.area, from_end], dim=1)
        sources = torch.index_select(located * q.flags.located, 1, self.source)
        ranges = ((sources - self.middle).abs() <= self.radius).float()
        # Not padded by (1, -1): nothing of a single layer is left then, and ONNX Runtime before 1.24 makes noise of it.
        after = F.pad(q.flags.counted, (1, 0))[:, :, :-1]
        weighted = q.flags.weighted.sum(1, keepdim=True)
        masks = torch.cat([q.flags.kinds, q.flags.activation, after, weighted, ranges], dim=1)
        return masks, ranges[:, self.stages : self.stages + 1 + len(STAGES)]
