"""Accuracy read off trained weights by convolutions along a network's layers, as a PyTorch module for export.

Each layer is read with its neighbours: where along the depth a signal was lost shows in what the layers beside it
learnt or did not. Summaries of all tensors stand beside that.
"""

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..weight_features import FEATURES, LAYER_STATISTICS
from .export import ExportedModule

WIDTH = 48
DEPTH = 3
SPAN = 3
SUMMARY_WIDTH = 32
MLP_WIDTH = 96
DROPOUT = 0.3
INPUT_DROPOUT = 0.1
MAX_DEVIATION = 4.0  # standard deviations: a network unlike all others must not decide by how much it is
Floats = NDArray[np.floating]


class Standardised(nn.Module):
    """Features in standard deviations from their mean, clipped.

    Args:
        values: features of what is fitted to, [rows, features].
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, values: Floats) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(values.mean(0).astype(np.float32)))
        self.register_buffer("std", torch.from_numpy((values.std(0) + 1e-6).astype(np.float32)))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Standardise float32 [..., features]."""
        return torch.clamp((values - self.mean) / self.std, -MAX_DEVIATION, MAX_DEVIATION)


class WeightsMember(nn.Module):
    """Residual convolutions along the layers; mean, maximum, first and last layer, and the summary into an MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.noise = nn.Dropout(INPUT_DROPOUT)
        self.mix = nn.Linear(len(LAYER_STATISTICS), WIDTH)
        self.convolutions = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, SPAN, padding=SPAN // 2) for _ in range(DEPTH))
        self.summary = nn.Sequential(nn.Linear(len(FEATURES), SUMMARY_WIDTH), nn.ReLU(), nn.Dropout(DROPOUT))
        self.mlp = nn.Sequential(
            nn.Linear(4 * WIDTH + SUMMARY_WIDTH, MLP_WIDTH), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(MLP_WIDTH, 1)
        )

    def forward(self, layers: torch.Tensor, lengths: torch.Tensor, summary: torch.Tensor) -> torch.Tensor:
        """Return the log-odds of the accuracy, float32 [batch].

        Args:
            layers: standardised `layer_statistics`, float32 [batch, layers, statistics]; what lies behind a network's
                end does not matter.
            lengths: int64 [batch].
            summary: standardised `features`, float32 [batch, features].
        """
        present = (torch.arange(layers.shape[1]) < lengths.unsqueeze(1)).float().unsqueeze(1)
        along = torch.relu(self.mix(self.noise(layers))).transpose(1, 2) * present
        for convolution in self.convolutions:
            along = torch.relu(along + convolution(along)) * present
        last = torch.gather(along, 2, (lengths - 1).reshape(-1, 1, 1).expand(-1, WIDTH, 1)).squeeze(2)
        pooled = [along.sum(2) / lengths.unsqueeze(1), along.amax(2), last, along[:, :, 0]]
        odds: torch.Tensor = self.mlp(torch.cat([*pooled, self.summary(self.noise(summary))], dim=1))
        return odds.squeeze(1)


class WeightsReader(ExportedModule):
    """The mean of several members' accuracies.

    Args:
        layers: standardises `layer_statistics`.
        summary: standardises `features`.
        members: fitted.
    """

    INPUTS: ClassVar = {"layers": ("batch", "layers"), "lengths": ("batch",), "summary": ("batch",)}
    OUTPUTS: ClassVar = ("accuracy",)

    def __init__(self, layers: Standardised, summary: Standardised, members: list[WeightsMember]) -> None:
        super().__init__()
        self.layers, self.summary = layers, summary
        self.members = nn.ModuleList(members)

    def forward(self, layers: torch.Tensor, lengths: torch.Tensor, summary: torch.Tensor) -> torch.Tensor:
        """Return accuracies float32 [batch]; see `model.weights` for the arguments."""
        counts, layers, summary = lengths.long(), self.layers(layers), self.summary(summary)
        return torch.stack([torch.sigmoid(member(layers, counts, summary)) for member in self.members]).mean(0)

    def example(self) -> tuple[torch.Tensor, ...]:
        layers, summary = torch.zeros(2, 3, len(LAYER_STATISTICS)), torch.zeros(2, len(FEATURES))
        return layers, torch.tensor([3, 2], dtype=torch.int32), summary
