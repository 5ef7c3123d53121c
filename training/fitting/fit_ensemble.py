"""Fit the shipped predictor: neural ensemble members and a Gaussian process on the same features.

The Gaussian process learns from its own task alone; ensemble members may learn from others first.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from model.network.shapes import Shape
from model.predictors.ensemble import Ensemble, Inputs
from model.predictors.gaussian_process import GaussianProcess
from model.predictors.network_features import NetworkFeatures
from model.predictors.predictor import LogitScale
from training.fitting.ensemble_members import Data, fit_member, member_inputs
from training.fitting.recipe import Recipe
from training.fitting.sparse_gaussian_process import fit_sparse_gaussian_process
from training.observations.pretraining import PretrainingTable
from training.observations.table import Table, carry_forward

LEAST_NOISE = (1e-3, 1e-2, 1e-1)  # variances, of targets with variance 1
LARGEST_ROUNDING = 5e-6  # of an accuracy
TREES = 300


def explained(features: NDArray[np.floating], targets: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the share of the targets' variance that each feature explains in extremely randomised trees."""
    forest = ExtraTreesRegressor(TREES, max_features=0.5, min_samples_leaf=2, random_state=0)
    shares: NDArray[np.floating] = forest.fit(features, targets).feature_importances_
    return shares


def _fit_gaussian_process(
    features: NDArray[np.floating],
    targets: NDArray[np.floating],
    slope: NDArray[np.floating],
    part: NDArray[np.intp],
    points: int,
) -> GaussianProcess:
    """Fit the Gaussian process; where data without noise make it too steep for single precision, assume more noise.

    `slope` [epochs] is how much an accuracy moves, at most, when the Gaussian process moves by one.
    """
    for least_noise in LEAST_NOISE:
        fitted = fit_sparse_gaussian_process(features, targets, points=points, least_noise=least_noise, part=part)
        chosen, smooth = features[fitted.chosen], fitted.kernel
        process = GaussianProcess(chosen, fitted.weights, smooth.k1.constant_value, smooth.k2.length_scale)
        exact = smooth(features, chosen) @ fitted.weights
        rounded = process(torch.from_numpy(features.astype(np.float32)))[0][0].numpy()
        if (np.abs(rounded - exact) * slope).max() < LARGEST_ROUNDING:
            break
    return process


def gaussian_process_part(networks: int, recipe: Recipe, seed: int) -> NDArray[np.intp]:
    """Return which networks give the Gaussian process its scales: all, or a random part as the recipe says."""
    if networks <= recipe.process_networks:
        return np.arange(networks)
    return np.sort(np.random.default_rng(seed).choice(networks, recipe.process_networks, replace=False))


def fit_ensemble(
    table: Table,
    image: Shape,
    recipe: Recipe,
    *,
    seed: int = 0,
    pretraining: Sequence[PretrainingTable] = (),
    relevance: Callable[[NDArray[np.floating], NDArray[np.floating]], NDArray[np.floating]] = explained,
    on_member: Callable[[], None] = lambda: None,
) -> Ensemble:
    """Fit an ensemble to every network of a table.

    The Gaussian process takes its scales from a part of a large table (`gaussian_process_part`).

    Its intervals still need `calibrate`.

    Args:
        table: networks in the extended code.
        image: shape of the task's images.
        recipe: sizes and schedules.
        seed: fixes everything random.
        pretraining: tables of other tasks that ensemble members are trained on first.
        relevance: from hand features [networks, features] and final targets [networks] to a share for each feature.
        on_member: called after each ensemble member.
    """
    scale = LogitScale(table.curves)
    filled = carry_forward(scale.standardise(table.curves))
    with torch.no_grad():
        codes = torch.from_numpy(table.codes)
        features = NetworkFeatures(image)(codes)[1].numpy()
    inputs = Inputs(image, features, relevance(features, filled[:, -1]), recipe.features)
    known = [other for other in pretraining if len(other.table)]
    others = [member_inputs(other.table, other.image, inputs, table.epochs) for other in known]
    data = Data(member_inputs(table, image, inputs, table.epochs), others)
    slope = scale.std.numpy() * recipe.process_weight / 4  # the sigmoid's slope is at most a quarter
    part = gaussian_process_part(len(table), recipe, seed)
    process = _fit_gaussian_process(
        data.own.whole.numpy().astype(np.float64), filled, slope, part, recipe.process_points
    )
    members = []
    for number in range(recipe.members):
        members.append(fit_member(data, recipe, seed + number))
        on_member()
    return Ensemble(inputs, scale, members, process, process_weight=recipe.process_weight)
