"""The continuation of a curve as a PyTorch module, for export: linear models and support vectors by epochs seen.

On the logit scale, epoch t is predicted from the k accuracies seen and from what was predicted before training for the
epochs k and t: the last accuracy seen plus a ridge regression of the rest. Staying where it is, or following the curve
predicted before training, are special cases. Radial support vectors on the same numbers and their differences have a
say in the final accuracy; what they change grows evenly from the last epoch seen.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..continuation import Continued
from .chance_level import ChanceLevel
from .predictor import LARGEST, SMALLEST

Floats = NDArray[np.floating]
GAMMA = 0.01


def _logit(accuracy: torch.Tensor) -> torch.Tensor:
    clipped = torch.clamp(accuracy, SMALLEST, LARGEST)
    return torch.log(clipped) - torch.log1p(-clipped)


class ContinuationModule(nn.Module):
    """What continues curves of `epochs` epochs; `forward` is called as `model.continuation` says."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.epochs = epochs

    @torch.no_grad()
    def run(self, observed: Floats, seen: NDArray[np.int32], prior: Floats, best: Floats) -> Continued:
        """Continue curves given as arrays."""
        floats = [torch.from_numpy(np.asarray(values, dtype=np.float32)) for values in (observed, prior, best)]
        return Continued(*(o.numpy() for o in self(floats[0], torch.from_numpy(seen), floats[1], floats[2])))


class CurveContinuation(ContinuationModule):
    """Linear models, intervals and residuals, by whether there is a prior (0, 1) and by epochs seen (0 to epochs).

    Args:
        weights: float [2, epochs + 1, epochs, epochs + 3]; per predicted epoch, the weights of the logits seen, of the
            prior at the last epoch seen, of the prior at the predicted epoch, and the constant.
        margins: half widths of the intervals, in logits, float [2, epochs + 1, epochs].
        residuals: quantiles, at equal steps, of measured minus predicted final logits, float [2, epochs + 1, steps].
        points: logits of the support vectors' networks, and those predicted before training, float [2, points, epochs].
        scale: what the support vectors' features are multiplied with, float [2, epochs + 1, 3 * epochs - 1].
        coefficients: of each point, float [2, epochs + 1, points].
        ends: the support vectors' constant, and their share in the final accuracy, float [2, epochs + 1, 2].
        chance_levels: levels and thresholds of the predicted accuracies (`ChanceLevel`), float [2, 2, epochs + 1,
            epochs].
    """

    weights: torch.Tensor
    margins: torch.Tensor
    residuals: torch.Tensor
    points: torch.Tensor
    known: torch.Tensor
    scale: torch.Tensor
    coefficients: torch.Tensor
    ends: torch.Tensor

    def __init__(
        self,
        weights: Floats,
        margins: Floats,
        residuals: Floats,
        points: Floats,
        scale: Floats,
        coefficients: Floats,
        ends: Floats,
        chance_levels: Floats,
    ) -> None:
        super().__init__(margins.shape[2])
        for name, values in (("weights", weights), ("margins", margins), ("residuals", residuals)):
            self.register_buffer(name, torch.from_numpy(values.astype(np.float32)).flatten(0, 1))
        for name, values in (("scale", scale), ("coefficients", coefficients), ("ends", ends)):
            self.register_buffer(name, torch.from_numpy(values.astype(np.float32)).flatten(0, 1))
        self.chance_level = ChanceLevel(*(values.reshape(-1, self.epochs) for values in chance_levels))
        curves = torch.from_numpy(points[0].astype(np.float32))
        self.register_buffer("points", torch.cat([curves, curves.diff(dim=1), curves.diff(n=2, dim=1)], 1))
        self.register_buffer("known", torch.from_numpy(points[1].astype(np.float32)))

    def _final(self, row: torch.Tensor, seen: torch.Tensor, logits: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        """Return the change to the final logit that the support vectors see [batch].

        Squared distances are expanded, so that no [batch, points, features] is held, and summed in double precision,
        as differences of large numbers must be. A scale of 0 keeps out what was not seen yet.
        """
        epochs = self.epochs
        curve = torch.cat([logits, logits[:, 1:] - logits[:, :-1]], 1)
        curve = torch.cat([curve, logits[:, 2:] - 2 * logits[:, 1:-1] + logits[:, :-2]], 1).double()
        squares = self.scale[row].double() ** 2
        part, points = squares[:, : 3 * epochs - 3], self.points.double()
        distance = (part * curve**2).sum(1, keepdim=True) + part @ (points**2).T - 2 * (part * curve) @ points.T
        at_last = torch.clamp(seen - 1, min=0)
        mine = torch.gather(before, 1, at_last.unsqueeze(1)).double()
        theirs = self.known.T[at_last].double()
        distance = distance + squares[:, 3 * epochs - 3].unsqueeze(1) * (mine - theirs) ** 2
        theirs = self.known[:, -1].double().unsqueeze(0)
        distance = distance + squares[:, 3 * epochs - 2].unsqueeze(1) * (before[:, -1:].double() - theirs) ** 2
        closeness = torch.exp(-GAMMA * distance)
        return (closeness * self.coefficients[row].double()).sum(1).float() + self.ends[row][:, 0]

    def forward(
        self, observed: torch.Tensor, seen: torch.Tensor, prior: torch.Tensor, best: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Continue curves; see `model.continuation` for inputs and outputs."""
        seen = seen.long()
        was_seen = torch.arange(self.epochs) < seen.unsqueeze(1)
        has_prior = prior[:, :1] >= 0
        row = has_prior.squeeze(1).long() * (self.epochs + 1) + seen
        logits = torch.where(was_seen, _logit(observed), 0.0)
        before = torch.where(has_prior, _logit(prior), 0.0)
        at_last = torch.clamp(seen - 1, min=0).unsqueeze(1)
        last = torch.gather(logits, 1, at_last)
        weights = self.weights[row]
        change = (weights[:, :, : self.epochs] * logits.unsqueeze(1)).sum(2)
        change = change + weights[:, :, self.epochs] * torch.gather(before, 1, at_last)
        change = change + weights[:, :, self.epochs + 1] * before + weights[:, :, self.epochs + 2]
        middle = last + change
        correction = self.ends[row][:, 1] * (self._final(row, seen, logits, before) + last[:, 0] - middle[:, -1])
        ahead = (torch.arange(self.epochs) + 1 - seen.unsqueeze(1)) / torch.clamp(self.epochs - seen, min=1).unsqueeze(
            1
        )
        middle = middle + correction.unsqueeze(1) * torch.clamp(ahead, min=0)
        margin = self.margins[row]
        foreseen, low, high = (torch.sigmoid(value) for value in (middle, middle - margin, middle + margin))
        foreseen = self.chance_level(foreseen, row)
        accuracy, lower, upper = (
            torch.where(was_seen, observed, value)
            for value in (foreseen, torch.minimum(low, foreseen), torch.maximum(high, foreseen))
        )
        residuals = self.residuals[row]
        room = (_logit(best) - middle[:, -1]).unsqueeze(1)
        estimated = (residuals <= room).float().sum(1) / (residuals.shape[1] + 1)
        ended = (observed[:, -1] <= best).float()
        return accuracy, lower, upper, torch.where(was_seen[:, -1], ended, estimated)
