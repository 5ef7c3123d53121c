"""The accuracy of networks that learn nothing: one value for all of them, so a prediction can meet it exactly."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


class ChanceLevel(nn.Module):
    """Below a threshold, predictions become the level; above, they rise twice as fast until they are as they were.

    The distribution of accuracies has an atom at the level: many networks end at exactly this accuracy, as those do
    that return one class for every image. The map is continuous and increasing, and rounding grows at most twofold.

    Args:
        levels: accuracies, float [..., epochs].
        thresholds: same shape, at least the levels. Where both are 0 a prediction stays as it was.
    """

    levels: torch.Tensor
    thresholds: torch.Tensor

    def __init__(self, levels: NDArray[np.floating], thresholds: NDArray[np.floating]) -> None:
        super().__init__()
        self.register_buffer("levels", torch.from_numpy(np.asarray(levels, dtype=np.float32)))
        self.register_buffer("thresholds", torch.from_numpy(np.asarray(thresholds, dtype=np.float32)))

    def rows(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what `over` takes, of all rows and epochs."""
        return self.levels, self.levels - 2 * self.thresholds

    @staticmethod
    def over(accuracy: torch.Tensor, level: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        """Return accuracies snapped to the level; `level` and `start` are the `rows` of the accuracies."""
        return torch.maximum(torch.minimum(accuracy, 2 * accuracy + start), level)

    def forward(self, accuracy: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """Return accuracies [batch, epochs], given with the 0-based `index` of their rows or epochs in `levels`."""
        return self.over(accuracy, *(torch.index_select(part, 0, index) for part in self.rows()))

    def as_lists(self) -> dict[str, list[float]]:
        """Return levels and thresholds as a card keeps them."""
        return {name: [float(f"{value:.6g}") for value in buffer.flatten()] for name, buffer in self.named_buffers()}
