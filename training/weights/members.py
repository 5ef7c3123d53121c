"""Train what reads accuracy off weights, on another task's networks first where there are any (transfer learning)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from model.predictors.weights_reader import Standardised, WeightsMember, WeightsReader
from model.weights import pad_layers
from training.weights.dataset import WeightsDataset


@dataclass(frozen=True)
class WeightsConfig:
    """How members are trained; passes are over the networks of a table."""

    members: int = 3
    passes: int = 80
    pretraining_passes: int = 40
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    gradient_norm: float = 1.0


@dataclass(frozen=True)
class _Inputs:
    layers: torch.Tensor
    lengths: torch.Tensor
    summary: torch.Tensor
    final: torch.Tensor

    def batch(self, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        longest = int(self.lengths[chosen].max())
        return self.layers[chosen, :longest], self.lengths[chosen], self.summary[chosen]


def _floats(values: NDArray[np.floating]) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _inputs(table: WeightsDataset, layers: Standardised, summary: Standardised) -> _Inputs:
    padded, lengths = pad_layers(table.layers)
    return _Inputs(
        layers(torch.from_numpy(padded)),
        torch.from_numpy(lengths).long(),
        summary(_floats(table.summary)),
        _floats(table.final),
    )


def _train(member: WeightsMember, inputs: _Inputs, passes: int, config: WeightsConfig) -> None:
    """Minimise the cross-entropy of the accuracies, which are shares of images."""
    batches = -(-len(inputs.final) // config.batch_size)
    optimiser = torch.optim.AdamW(member.parameters(), weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=passes * batches + 1)
    member.train()
    for _ in range(passes):
        for chosen in torch.randperm(len(inputs.final)).split(config.batch_size):
            loss = F.binary_cross_entropy_with_logits(member(*inputs.batch(chosen)), inputs.final[chosen])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(member.parameters(), config.gradient_norm)
            optimiser.step()
            schedule.step()
    member.eval()


def fit_reader(
    table: WeightsDataset,
    *,
    pretraining: Sequence[WeightsDataset] = (),
    config: WeightsConfig | None = None,
    on_member: Callable[[], None] = lambda: None,
) -> WeightsReader:
    """Fit to every network of a table.

    Args:
        table: networks of the task.
        pretraining: other tasks' networks, which ensemble members are trained on first, one table after the other.
        config: sizes and schedules.
        on_member: called after each member.
    """
    config = config or WeightsConfig()
    layers, summary = Standardised(np.concatenate(table.layers)), Standardised(table.summary)
    own = _inputs(table, layers, summary)
    others = [_inputs(other, layers, summary) for other in pretraining if len(other.final)]
    members = []
    torch.set_flush_denormal(True)  # what weight decay and the optimiser let fade would take twice the time
    try:
        for seed in range(config.members):
            torch.manual_seed(seed)
            member = WeightsMember()
            for other in others:
                _train(member, other, config.pretraining_passes, config)
            _train(member, own, config.passes, config)
            members.append(member)
            on_member()
    finally:
        torch.set_flush_denormal(False)
    return WeightsReader(layers, summary, members).eval()
