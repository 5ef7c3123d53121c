"""Fit the shipped predictor: neural members and a Gaussian process on the same features."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from torch import nn
from torch.nn import functional as F

from model.networks.ensemble import Ensemble, Inputs
from model.networks.gaussian_process import GaussianProcess
from model.networks.layer_conv import LayerConv
from model.networks.layer_features import LayerQuantities
from model.networks.network_features import network_features
from model.networks.predictor import LogitScale
from model.shapes import Shape
from training.metrics import tau
from training.table import Table, carry_forward

LEAST_NOISE = (1e-3, 1e-2, 1e-1)  # variances, of targets with variance 1
LARGEST_ROUNDING = 5e-6  # of an accuracy

log = logging.getLogger(__name__)
TREES = 300
RANKING_SHARPNESS = 3.0  # per standard deviation
FEWEST_JUDGES = 8


@dataclass(frozen=True)
class Recipe:
    """How members are trained and blended."""

    members: int = 4
    passes: int = 60
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 0.1
    final_epoch_weight: float = 4.0
    ranking_weight: float = 1.0
    inner_validation: float = 0.1
    collapsed_tau: float = 0.3
    attempts: int = 3
    process_weight: float = 0.3
    process_networks: int = 1500  # at most; time grows with their cube
    features: int = 64
    gradient_norm: float = 1.0


@dataclass(frozen=True)
class _Tensors:
    codes: torch.Tensor
    lengths: torch.Tensor
    per_layer: torch.Tensor
    whole: torch.Tensor
    targets: torch.Tensor  # standardised logits, NaN where not measured
    final: torch.Tensor  # the last measured of them

    def batch(self, chosen: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        longest = int(self.lengths[chosen].max())
        inputs = (
            self.codes[chosen, :longest],
            self.lengths[chosen],
            self.per_layer[chosen, :longest],
            self.whole[chosen],
        )
        return inputs, self.targets[chosen]


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


def _train_member(data: _Tensors, chosen: torch.Tensor, recipe: Recipe, seed: int) -> LayerConv:
    torch.manual_seed(seed)
    member = LayerConv(data.targets.shape[1], data.whole.shape[1])
    optimizer = torch.optim.AdamW(member.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    steps = recipe.passes * -(-len(chosen) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, steps)
    weights = torch.ones(data.targets.shape[1])
    weights[-1] = recipe.final_epoch_weight
    for _ in range(recipe.passes):
        for indices in chosen[torch.randperm(len(chosen))].split(recipe.batch_size):
            inputs, targets = data.batch(indices)
            predicted = member(*inputs)
            loss = _loss(predicted, targets, weights)
            loss = loss + recipe.ranking_weight * _ranking_loss(predicted[:, -1], data.final[indices])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(member.parameters(), recipe.gradient_norm)
            optimizer.step()
            schedule.step()
    return member.eval()


@torch.no_grad()
def _validation_tau(member: LayerConv, data: _Tensors, chosen: torch.Tensor) -> float:
    inputs, _ = data.batch(chosen)
    return tau(data.final[chosen].numpy(), member(*inputs)[:, -1].numpy())


def _fit_member(data: _Tensors, recipe: Recipe, seed: int) -> LayerConv:
    """Train a member without a tenth of the networks; one that cannot rank that tenth has collapsed and is refitted.

    Fewer than `FEWEST_JUDGES` networks rank by chance and say nothing of a collapse.
    """
    count = len(data.lengths)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(count))
    cut = max(2, round(count * recipe.inner_validation))
    best: tuple[float, LayerConv] | None = None
    for attempt in range(recipe.attempts):
        member = _train_member(data, order[cut:], recipe, seed + 1000 * attempt)
        reached = _validation_tau(member, data, order[:cut])
        if best is None or reached > best[0]:
            best = reached, member
        if reached >= recipe.collapsed_tau or cut < FEWEST_JUDGES:
            break
        log.warning("a member reached tau %.2f on its inner validation networks; fitting it again", reached)
    assert best is not None  # noqa: S101 - there is at least one attempt
    return best[1]


def explained(features: NDArray[np.floating], targets: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the share of the targets' variance that each feature explains in extremely randomised trees."""
    forest = ExtraTreesRegressor(TREES, max_features=0.5, min_samples_leaf=2, random_state=0)
    shares: NDArray[np.floating] = forest.fit(features, targets).feature_importances_
    return shares


def _fit_process(
    features: NDArray[np.floating],
    targets: NDArray[np.floating],
    slope: NDArray[np.floating],
    part: NDArray[np.intp],
) -> GaussianProcess:
    """Fit the process to a part; where data without noise make it too steep for single precision, assume more noise.

    `slope` [epochs] is how much an accuracy moves, at most, when the process moves by one.
    """
    everywhere, features, targets = features, features[part], targets[part]
    for least_noise in LEAST_NOISE:
        noise = WhiteKernel(0.2, (least_noise, 10.0))
        kernel = ConstantKernel(1.0, (1e-2, 1e3)) * Matern(8.0, (1.0, 1e3), nu=1.5) + noise
        fitted = GaussianProcessRegressor(kernel, random_state=0).fit(features, targets)
        smooth = fitted.kernel_.k1
        weights = fitted.alpha_.reshape(len(features), -1)
        process = GaussianProcess(features, weights, smooth.k1.constant_value, smooth.k2.length_scale)
        exact = smooth(everywhere, features) @ weights
        rounded = process(torch.from_numpy(everywhere.astype(np.float32)))[0].numpy()
        if (np.abs(rounded - exact) * slope).max() < LARGEST_ROUNDING:
            break
    return process


def process_part(networks: int, recipe: Recipe, seed: int) -> NDArray[np.intp]:
    """Return which networks the process is fitted to: all, or as many as the recipe allows, drawn at random."""
    if networks <= recipe.process_networks:
        return np.arange(networks)
    return np.sort(np.random.default_rng(seed).choice(networks, recipe.process_networks, replace=False))


def fit_ensemble(
    table: Table,
    image: Shape,
    recipe: Recipe,
    *,
    seed: int = 0,
    relevance: Callable[[NDArray[np.floating], NDArray[np.floating]], NDArray[np.floating]] = explained,
    on_member: Callable[[], None] = lambda: None,
) -> Ensemble:
    """Fit an ensemble to every network of a table, the process to a part of a large one (`process_part`).

    Its intervals still need `calibrate`.

    Args:
        table: networks in the extended code.
        image: shape of the task's images.
        recipe: sizes and schedules.
        seed: fixes everything random.
        relevance: from hand features [networks, features] and final targets [networks] to a share for each feature.
        on_member: called after each member.
    """
    codes, lengths = torch.from_numpy(table.codes), torch.from_numpy(table.lengths)
    scale = LogitScale(table.curves)
    standardised = scale.standardise(table.curves)
    filled = carry_forward(standardised)
    with torch.no_grad():
        features = network_features(LayerQuantities(image)(codes), image).numpy()
        inputs = Inputs(image, features, relevance(features, filled[:, -1]), recipe.features)
        per_layer, whole, _ = inputs(codes)
    targets, final = (torch.from_numpy(values.astype(np.float32)) for values in (standardised, filled[:, -1]))
    data = _Tensors(codes, lengths, per_layer, whole, targets, final)
    slope = scale.std.numpy() * recipe.process_weight / 4  # the sigmoid's slope is at most a quarter
    part = process_part(len(table), recipe, seed)
    process = _fit_process(whole.numpy().astype(np.float64), filled, slope, part)
    members = []
    for number in range(recipe.members):
        members.append(_fit_member(data, recipe, seed + number))
        on_member()
    return Ensemble(inputs, scale, members, process, process_weight=recipe.process_weight)
