"""Long curves, continued by what is known of some of their epochs.

Regressions for every pair of epochs grow with the square of a curve's length: 200 epochs would be tens of megabytes and
many minutes of fitting, to tell apart epochs that say the same. Milestones stand close together at first, where a curve
bends and where a run is best stopped, and always include the last epoch.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from .curve_continuation import ContinuationModule, CurveContinuation

MOST = 32


def milestones(epochs: int, most: int = MOST) -> NDArray[np.intp]:
    """Return epochs, counted from 1: all of them when they are few, else `most` or fewer at growing distances."""
    if epochs <= most:
        return np.arange(1, epochs + 1)
    growing = np.ceil(epochs * (np.arange(2, most + 1) / most) ** 2).astype(np.intp)
    return np.unique([1, *growing])


class Milestones(ContinuationModule):
    """A continuation of long curves around one that knows their milestones.

    What was seen after the last milestone that was passed waits for the next one: regressions that take it for the
    milestone's own are far off where a learning rate drops. What lies between two milestones is on the line that joins
    them, as uncertain as the later one.

    Args:
        known: the continuation of the milestones.
        at: the milestones, counted from 1; the last is the last epoch.
    """

    at: torch.Tensor
    between: torch.Tensor
    later: torch.Tensor

    def __init__(self, known: CurveContinuation, at: NDArray[np.intp]) -> None:
        super().__init__(int(at[-1]))
        self.known = known
        self.register_buffer("at", torch.from_numpy(at.astype(np.int64)))
        shares = [np.interp(np.arange(1, self.epochs + 1), at, one) for one in np.eye(len(at))]
        self.register_buffer("between", torch.from_numpy(np.stack(shares).astype(np.float32)))
        later = np.searchsorted(at, np.arange(1, self.epochs + 1))
        self.register_buffer("later", torch.from_numpy(later))

    def forward(
        self, observed: torch.Tensor, seen: torch.Tensor, prior: torch.Tensor, best: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Continue curves; see `model.continuation` for inputs and outputs."""
        seen = seen.long()
        passed = (self.at <= seen.unsqueeze(1)).long().sum(1)
        curve, before = (torch.index_select(values, 1, self.at - 1) for values in (observed, prior))
        accuracy, lower, upper, below = self.known(curve, passed, before, best)
        middle = accuracy @ self.between
        low, high = (torch.index_select(gap, 1, self.later) for gap in (accuracy - lower, upper - accuracy))
        was_seen = torch.arange(self.epochs) < seen.unsqueeze(1)
        accuracy, lower, upper = (
            torch.where(was_seen, observed, torch.clamp(part, 0.0, 1.0))
            for part in (middle, middle - low, middle + high)
        )
        return accuracy, lower, upper, below
