"""Fit the shipped predictors: a Gaussian process and, unless the config has none, neural members on the same features.

The Gaussian process learns from its own task alone; ensemble members may learn from others first.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from model.calibration import Calibration, scale_of
from model.encoding.hand_features import feature_sets, hand_features
from model.ensemble import Ensemble, FeatureScaler, no_members
from model.gaussian_process import GaussianProcess, Scales, most_likely
from model.network.shapes import Shape
from model.predictors.export import TorchNetwork
from model.predictors.members import Members
from model.runtime import CurvePredictor
from training.fitting.ensemble_config import EnsembleConfig
from training.fitting.ensemble_members import Data, fit_member, member_inputs
from training.observations.dataset import CurveDataset, carry_forward
from training.observations.pretraining import PretrainingTable

TREES = 300


def explained(features: NDArray[np.floating], targets: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the share of the targets' variance that each feature explains in extremely randomised trees."""
    forest = ExtraTreesRegressor(TREES, max_features=0.5, min_samples_leaf=2, random_state=0)
    shares: NDArray[np.floating] = forest.fit(features, targets).feature_importances_
    return np.asarray(np.maximum(shares, 0))  # rounding makes some a little negative


def gaussian_process_part(networks: int, config: EnsembleConfig, seed: int) -> NDArray[np.intp]:
    """Return which networks give the Gaussian process its scales: all, or a random part as the config says."""
    if networks <= config.gp_networks:
        return np.arange(networks)
    return np.sort(np.random.default_rng(seed).choice(networks, config.gp_networks, replace=False))


def fit_ensemble(
    table: CurveDataset,
    image: Shape,
    config: EnsembleConfig,
    *,
    seed: int = 0,
    pretraining: Sequence[PretrainingTable] = (),
    relevance: Callable[[NDArray[np.floating], NDArray[np.floating]], NDArray[np.floating]] = explained,
    on_member: Callable[[], None] = lambda: None,
) -> CurvePredictor:
    """Fit an ensemble to every network of a table.

    The relevance of features and the scales of the Gaussian process come from a part of a large table
    (`gaussian_process_part`). Of several sets of features, the one that makes the targets most likely is taken.

    Its intervals still need `calibrate`.

    Args:
        table: networks in the extended code.
        image: shape of the task's images.
        config: sizes and schedules.
        seed: fixes everything random.
        pretraining: tables of other tasks that ensemble members are trained on first.
        relevance: from hand features [networks, features] and final targets [networks] to a share for each feature.
        on_member: called after each ensemble member.
    """
    scale = scale_of(table.curves)
    filled = carry_forward(scale.standardise(table.curves))
    part = gaussian_process_part(len(table), config, seed)
    sets = feature_sets(table.codes)
    widest = max(sets, key=len)
    features = hand_features(widest, table.codes, table.lengths, image)
    described = [
        _describe(names, features[:, [widest.index(name) for name in names]], filled, part, config, relevance)
        for names in sets
    ]
    scaler, whole, scales, _ = max(described, key=lambda one: one[-1])
    process = GaussianProcess.fit(whole, filled, points=config.gp_points, scales=scales)
    if not config.members:
        return CurvePredictor(Ensemble(image, scaler, process, 1.0), Calibration.without(scale), no_members)
    known = [other for other in pretraining if len(other.table)]
    others = [member_inputs(other.table, other.image, scaler, table.epochs) for other in known]
    data = Data(member_inputs(table, image, scaler, table.epochs), others)
    members = []
    for number in range(config.members):
        members.append(fit_member(data, config, seed + number))
        on_member()
    ensemble = Ensemble(image, scaler, process, config.gp_weight)
    return CurvePredictor(ensemble, Calibration.without(scale), TorchNetwork(Members(members)))


def _describe(
    names: tuple[str, ...],
    features: NDArray[np.floating],
    targets: NDArray[np.floating],
    part: NDArray[np.intp],
    config: EnsembleConfig,
    relevance: Callable[[NDArray[np.floating], NDArray[np.floating]], NDArray[np.floating]],
) -> tuple[FeatureScaler, NDArray[np.floating], Scales, float]:
    """Scale a set of features, and say how likely the targets are with it.

    Returns:
        The scaler, what it makes of the features, the scales of the process, and the log of their posterior density.
    """
    scaler = FeatureScaler.fit(names, features, relevance(features[part], targets[part, -1]), config.features)
    whole, _ = scaler(features)
    return scaler, whole, *most_likely(whole[part], targets[part])
