"""What every predictor module has in common: a scale for curves, an interval, a distance."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .chance_level import ChanceLevel

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

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(epochs))
        self.register_buffer("std", torch.ones(epochs))

    def standardise(self, curves: Floats) -> Floats:
        """Bring measured accuracies [networks, epochs] to the scale."""
        return curves

    def squash(self, values: torch.Tensor) -> torch.Tensor:
        """Return the accuracies that unstandardised predictions stand for."""
        return torch.clamp(values, 0.0, 1.0)

    def accuracy(self, raw: torch.Tensor) -> torch.Tensor:
        """Bring predictions [..., all epochs] back to accuracies."""
        return self.squash(raw * self.std + self.mean)


class LogitScale(AccuracyScale):
    """Curves are predicted as log-odds, standardised per epoch over the networks it was fitted to.

    Epochs that fewer than `FEWEST` networks reached are standardised as the last one that enough of them did, those
    before any such one as the first.
    """

    def __init__(self, curves: Floats) -> None:
        super().__init__(curves.shape[1])
        values = _logit(curves)
        enough = (~np.isnan(values)).sum(axis=0) >= FEWEST
        values = values[:, np.maximum.accumulate(np.where(enough, np.arange(len(enough)), enough.argmax()))]
        self.mean = torch.from_numpy(np.nanmean(values, axis=0).astype(np.float32))
        spread = np.maximum(np.nanstd(values, axis=0), 1e-3)
        self.std = torch.from_numpy(spread.astype(np.float32))

    def standardise(self, curves: Floats) -> Floats:
        """Bring measured accuracies [networks, epochs] to the scale; NaN stays NaN."""
        return (_logit(curves) - self.mean.double().numpy()) / self.std.double().numpy()

    def squash(self, values: torch.Tensor) -> torch.Tensor:
        """Return the accuracies that unstandardised predictions stand for."""
        return torch.sigmoid(values)


def _logit(curves: Floats) -> Floats:
    clipped = np.clip(curves, SMALLEST, LARGEST)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


class CurvePredictor(nn.Module):
    """A predictor of learning curves with an interval.

    The interval is split conformal: a factor per epoch, `margins`, times a network's own uncertainty, which grows with
    the disagreement of the members; where a `chance_level` moves the prediction, the interval reaches there too.
    `lower` <= `accuracy` <= `upper` always holds.
    """

    margins: torch.Tensor

    def __init__(self, scale: AccuracyScale, epochs: int) -> None:
        super().__init__()
        self.scale = scale
        self.base_uncertainty = 1.0
        self.chance_level: ChanceLevel | None = None
        self.register_buffer("margins", torch.zeros(epochs))

    def raw(self, codes: torch.Tensor, lengths: torch.Tensor, index: torch.Tensor) -> Raw:
        """Predict on the predictor's own scale, the epochs at the 0-based `index`."""
        raise NotImplementedError

    def forward(self, codes: torch.Tensor, lengths: torch.Tensor, epochs: torch.Tensor) -> Prediction:
        """Predict; codes int [batch, layers, columns], lengths int [batch], epochs int [epochs] counted from 1."""
        index = epochs - 1
        raw = self.raw(codes, lengths, index)
        rows = [self.scale.mean, self.scale.std, self.margins * self.scale.std]
        rows += [] if self.chance_level is None else self.chance_level.rows()
        mean, std, margins, *of_chance_level = torch.index_select(torch.stack(rows), 1, index).split(1)
        middle = raw.curve * std + mean
        margin = torch.sqrt(raw.variance + self.base_uncertainty**2) * margins
        accuracy, lower, upper = (self.scale.squash(end) for end in (middle, middle - margin, middle + margin))
        if self.chance_level is not None:
            accuracy = self.chance_level.over(accuracy, *of_chance_level)
            lower, upper = torch.minimum(lower, accuracy), torch.maximum(upper, accuracy)
        return Prediction(accuracy, lower, upper, raw.distance)
