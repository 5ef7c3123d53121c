"""The network of a neural process: attention from the networks asked to the measured ones (`model.neural_process`)."""

from itertools import pairwise
from math import sqrt
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from ..neural_process import INPUTS, OUTPUTS
from .export import ExportedModule

WIDTH = 128
HEADS = 4
SPREAD_WEIGHT = 20  # how many networks the usual spread of a feature counts for
SMALLEST_SPREAD = 0.05  # of a feature, and of the logits
LARGEST_FEATURE = 4.0  # standard deviations
SMALLEST_DEVIATION = 0.05
NEVER = 1e-9  # the share of attention that a network which may not be seen gets


def _perceptron(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.GELU()]
    return nn.Sequential(*layers[:-1])


class NeuralProcessNetwork(ExportedModule):
    """Predicts the logits of accuracies from those of other networks; any leading dimensions are tasks.

    Attributes:
        spread: usual standard deviation of each feature in a task [features].
    """

    INPUTS: ClassVar = dict(zip(INPUTS, (("known",), ("known",), ("asked",), ("asked", "known")), strict=True))
    OUTPUTS: ClassVar = OUTPUTS

    def __init__(self, spread: torch.Tensor) -> None:
        super().__init__()
        self.spread: torch.Tensor
        self.register_buffer("spread", spread.float())
        self.embed = _perceptron(len(spread), WIDTH, WIDTH)
        self.pair = _perceptron(WIDTH + 1, WIDTH, WIDTH)
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.decode = _perceptron(3 * WIDTH + 1, WIDTH, WIDTH, 2)

    def forward(self, known: torch.Tensor, odds: torch.Tensor, asked: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Return the logits of the networks asked [..., asked]; for the arguments see `distribution`."""
        return self.distribution(known, odds, asked, seen)[0]

    def scale(self, odds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean and the spread of measured logits [..., 1]."""
        return odds.mean(-1, keepdim=True), odds.std(-1, correction=0, keepdim=True) + SMALLEST_SPREAD

    def distribution(
        self,
        known: torch.Tensor,
        odds: torch.Tensor,
        asked: torch.Tensor,
        seen: torch.Tensor,
        kept: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean and the standard deviation of the logits [..., asked].

        Args:
            known: features of the measured networks [..., known, features].
            odds: logits of their accuracies [..., known].
            asked: features of the networks to predict [..., asked, features].
            seen: 1 where a network asked may see a measured one, else 0 [..., asked, known].
            kept: 0 for features that are hidden, else 1 [..., features]; while it learns.
        """
        centre = known.mean(-2, keepdim=True)
        own, count = known.var(-2, correction=0, keepdim=True), known.shape[-2]
        spread = ((count * own + SPREAD_WEIGHT * self.spread**2) / (count + SPREAD_WEIGHT)).sqrt()
        spread = spread.clamp(min=SMALLEST_SPREAD)
        mean, deviation = self.scale(odds)

        def embedded(features: torch.Tensor) -> torch.Tensor:
            scaled = ((features - centre) / spread).clamp(-LARGEST_FEATURE, LARGEST_FEATURE)
            return self.embed(scaled if kept is None else scaled * kept[..., None, :])

        def heads(vectors: torch.Tensor) -> torch.Tensor:
            return vectors.unflatten(-1, (HEADS, WIDTH // HEADS)).transpose(-2, -3)

        keys, queries = embedded(known), embedded(asked)
        pairs = self.pair(torch.cat([keys, ((odds - mean) / deviation)[..., None]], -1))
        likeness = heads(self.query(queries)) @ heads(self.key(keys)).transpose(-1, -2) / sqrt(WIDTH / HEADS)
        attention = (likeness + seen.clamp(min=NEVER).log().unsqueeze(-3)).softmax(-1)
        alike = self.out((attention @ heads(self.value(pairs))).transpose(-2, -3).flatten(-2))
        counts = seen.sum(-1, keepdim=True)
        found = self.decode(torch.cat([queries, alike, seen @ pairs / counts, counts.log()], -1))
        apart = F.softplus(found[..., 1]) + SMALLEST_DEVIATION
        return found[..., 0] * deviation + mean, apart * deviation

    def example(self) -> tuple[torch.Tensor, ...]:
        """Return two networks, predicted from three."""
        features = len(self.spread)
        return torch.randn(3, features), torch.randn(3), torch.randn(2, features), torch.ones(2, 3)
