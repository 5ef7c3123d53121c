"""Train the neural members of an ensemble, on other tasks first where there are any (transfer learning)."""

import logging
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from model.calibration import scale_of
from model.encoding.edges import corrections
from model.encoding.features import attributes, layer_features
from model.encoding.hand_features import hand_features
from model.encoding.layer_code import table_1
from model.ensemble import FeatureScaler
from model.network.shapes import Shape
from model.predictors.graph_encoder import GraphEncoder
from training.fitting.ensemble_config import EnsembleConfig
from training.metrics import tau
from training.observations.dataset import CurveDataset, carry_forward

log = logging.getLogger(__name__)
RANKING_SHARPNESS = 3.0  # per standard deviation
MIN_RANKED = 8


@dataclass(frozen=True)
class MemberInputs:
    """Networks as members read them, and their standardised curves as targets."""

    codes: torch.Tensor
    layers: torch.Tensor
    lengths: torch.Tensor
    whole: torch.Tensor
    targets: torch.Tensor  # standardised logits, NaN where not measured
    final: torch.Tensor  # the last measured of them

    def batch(self, chosen: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        """Return a member's arguments for the chosen networks, padded to the longest of them, and their targets."""
        longest = int(self.lengths[chosen].max())
        codes = self.codes[chosen, :longest]
        edges, shares = map(torch.from_numpy, corrections(codes.numpy()))
        inputs = (
            torch.from_numpy(table_1(codes.numpy())),
            self.layers[chosen, :longest],
            self.lengths[chosen],
            self.whole[chosen],
            edges,
            shares,
        )
        return inputs, self.targets[chosen]


class Data(NamedTuple):
    """Networks of the task itself, and of pretraining tables."""

    own: MemberInputs
    pretraining: list[MemberInputs]


def member_inputs(table: CurveDataset, image: Shape, scaler: FeatureScaler, epochs: int) -> MemberInputs:
    """Return a table of a task with such images as members read it, its curves stretched to so many epochs."""
    standardised = scale_of(table.curves).standardise(table.curves)
    last = carry_forward(standardised)[:, -1]
    stretched = standardised[:, np.linspace(0, table.epochs - 1, epochs).round().astype(int)]
    layers = attributes(table.codes, table.lengths, image)
    whole, _ = scaler(hand_features(scaler.names, table.codes, table.lengths, image, layers))
    floats = (one.astype(np.float32) for one in (whole, stretched, last))
    arrays = table.codes, layer_features(layers), table.lengths, *floats
    return MemberInputs(*map(torch.from_numpy, arrays))


def _loss(predicted: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Smooth L1 (the paper's loss) over the measured epochs."""
    measured = ~torch.isnan(targets)
    each = F.smooth_l1_loss(predicted, torch.nan_to_num(targets), reduction="none") * weights * measured
    return each.sum() / (weights * measured).sum()


def _ranking_loss(predicted: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Pairwise logistic loss of final predictions [batch] against final targets [batch]; ties do not count."""
    order = torch.sign(targets.unsqueeze(1) - targets.unsqueeze(0))
    gaps = RANKING_SHARPNESS * (predicted.unsqueeze(1) - predicted.unsqueeze(0)) * order
    differ = order != 0
    return (F.softplus(-gaps) * differ).sum() / torch.clamp(differ.sum(), min=1) / RANKING_SHARPNESS


def _train(member: GraphEncoder, data: MemberInputs, chosen: torch.Tensor, config: EnsembleConfig, passes: int) -> None:
    optimizer = torch.optim.AdamW(member.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    steps = passes * -(-len(chosen) // config.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, steps)
    weights = torch.ones(data.targets.shape[1])
    weights[-1] = config.final_epoch_weight
    for _ in range(passes):
        for indices in chosen[torch.randperm(len(chosen))].split(config.batch_size):
            inputs, targets = data.batch(indices)
            predicted = member(*inputs)
            loss = _loss(predicted, targets, weights)
            loss = loss + config.ranking_weight * _ranking_loss(predicted[:, -1], data.final[indices])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(member.parameters(), config.gradient_norm)
            optimizer.step()
            schedule.step()


def _train_member(data: Data, chosen: torch.Tensor, config: EnsembleConfig, seed: int) -> GraphEncoder:
    """Train a member on each pretraining table in turn, and then on the chosen networks of its own task."""
    torch.manual_seed(seed)
    member = GraphEncoder(data.own.targets.shape[1], data.own.whole.shape[1])
    for other in data.pretraining:
        _train(member, other, torch.arange(len(other.lengths)), config, config.pretraining_passes)
    _train(member, data.own, chosen, config, config.passes)
    return member.eval()


@torch.no_grad()
def _validation_tau(member: GraphEncoder, data: MemberInputs, chosen: torch.Tensor) -> float:
    inputs, _ = data.batch(chosen)
    return tau(data.final[chosen].numpy(), member(*inputs)[:, -1].numpy())


def fit_member(data: Data, config: EnsembleConfig, seed: int) -> GraphEncoder:
    """Train a member without a tenth of the networks; one that cannot rank that tenth has collapsed and is refitted.

    Fewer than `MIN_RANKED` networks rank by chance and show no collapse.
    """
    count = len(data.own.lengths)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(count))
    cut = max(2, round(count * config.inner_validation))
    best: tuple[float, GraphEncoder] | None = None
    for attempt in range(config.attempts):
        member = _train_member(data, order[cut:], config, seed + 1000 * attempt)
        reached = _validation_tau(member, data.own, order[:cut])
        if best is None or reached > best[0]:
            best = reached, member
        if reached >= config.collapsed_tau or cut < MIN_RANKED:
            break
        log.warning("a member reached tau %.2f on its inner validation networks; fitting it again", reached)
    assert best is not None  # noqa: S101 - there is at least one attempt
    return best[1]
