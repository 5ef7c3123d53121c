"""What every predictor module has in common: a scale for curves, an interval, a distance."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model.networks.floor import Floor

SMALLEST, LARGEST = 0.01, 0.995  # accuracies are clipped to this range before the logit
FEWEST = 5  # networks that give an epoch a mean and a spread
Floats = NDArray[np.float64]


class Prediction(NamedTuple):
    """What a predictor returns: float32 [batch, epochs] three times, and float32 [batch]."""

    accuracy: torch.Tensor
    lower: torch.Tensor
    upper: torch.Tensor
    distance: torch.Tensor


class Raw(NamedTuple):
    """A prediction on the predictor's own scale.

    Attributes:
        curve: float32 [batch, epochs].
        variance: what the members disagree by, float32 [batch, epochs].
        distance: from the nearest network it was fitted to, float32 [batch].
    """

    curve: torch.Tensor
    variance: torch.Tensor
    distance: torch.Tensor


class AccuracyScale(nn.Module):
    """Curves are predicted as they are, as the paper does."""

    def standardise(self, curves: Floats) -> Floats:
        """Bring measured accuracies [networks, epochs] to the scale."""
        return curves

    def accuracy(self, raw: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """Bring predictions [..., epochs] of the epochs at `index` back to accuracies."""
        del index
        return torch.clamp(raw, 0.0, 1.0)


class LogitScale(nn.Module):
    """Curves are predicted as log-odds, standardised per epoch over the networks it was fitted to.

    Epochs that fewer than `FEWEST` networks reached are standardised as the last one that enough of them did.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, curves: Floats) -> None:
        super().__init__()
        values = _logit(curves)
        enough = (~np.isnan(values)).sum(axis=0) >= FEWEST
        values = values[:, np.maximum.accumulate(np.where(enough, np.arange(len(enough)), 0))]
        self.register_buffer("mean", torch.from_numpy(np.nanmean(values, axis=0).astype(np.float32)))
        spread = np.maximum(np.nanstd(values, axis=0), 1e-3)
        self.register_buffer("std", torch.from_numpy(spread.astype(np.float32)))

    def standardise(self, curves: Floats) -> Floats:
        """Bring measured accuracies [networks, epochs] to the scale; NaN stays NaN."""
        return (_logit(curves) - self.mean.double().numpy()) / self.std.double().numpy()

    def accuracy(self, raw: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """Bring predictions [..., epochs] of the epochs at `index` back to accuracies."""
        std, mean = torch.index_select(torch.stack([self.std, self.mean]), 1, index).split(1)
        return torch.sigmoid(raw * std + mean)


def _logit(curves: Floats) -> Floats:
    clipped = np.clip(curves, SMALLEST, LARGEST)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


class CurvePredictor(nn.Module):
    """A predictor of learning curves with an interval.

    The interval is split conformal: a factor per epoch, `margins`, times a network's own uncertainty, which grows with
    the disagreement of the members; where a `floor` moves the prediction, the interval reaches there too.
    `lower` <= `accuracy` <= `upper` always holds.
    """

    margins: torch.Tensor

    def __init__(self, scale: AccuracyScale | LogitScale, epochs: int) -> None:
        super().__init__()
        self.scale = scale
        self.base_uncertainty = 1.0
        self.floor: Floor | None = None
        self.register_buffer("margins", torch.zeros(epochs))

    def raw(self, codes: torch.Tensor, lengths: torch.Tensor, index: torch.Tensor) -> Raw:
        """Predict on the predictor's own scale, the epochs at the 0-based `index`."""
        raise NotImplementedError

    def forward(self, codes: torch.Tensor, lengths: torch.Tensor, epochs: torch.Tensor) -> Prediction:
        """Predict; codes int [batch, layers, columns], lengths int [batch], epochs int [epochs] counted from 1."""
        index = epochs - 1
        raw = self.raw(codes, lengths, index)
        margins = torch.stack([torch.zeros_like(self.margins), -self.margins, self.margins]).unsqueeze(1)
        margins = torch.index_select(margins, 2, index)
        ends = raw.curve + torch.sqrt(raw.variance + self.base_uncertainty**2) * margins
        ends = self.scale.accuracy(ends, index)
        accuracy, lower, upper = (ends[end] for end in range(3))  # unpacking would be six operations of the graph
        if self.floor is not None:
            accuracy = self.floor(accuracy, index)
            lower, upper = torch.minimum(lower, accuracy), torch.maximum(upper, accuracy)
        return Prediction(accuracy, lower, upper, raw.distance)
