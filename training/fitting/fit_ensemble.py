"""Fit the shipped predictor: neural ensemble members and a Gaussian process on the same features.

The Gaussian process learns from its own task alone; ensemble members may learn from others first.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from model.calibration import Calibration, CurveScale
from model.encoding.features import attributes, network_features
from model.ensemble import Ensemble, FeatureScaler
from model.gaussian_process import GaussianProcess
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
    return shares


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

    The Gaussian process takes its scales from a part of a large table (`gaussian_process_part`).

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
    scale = CurveScale.of_logits(table.curves)
    filled = carry_forward(scale.standardise(table.curves))
    features = network_features(attributes(table.codes, table.lengths, image))
    scaler = FeatureScaler.fit(features, relevance(features, filled[:, -1]), config.features)
    known = [other for other in pretraining if len(other.table)]
    others = [member_inputs(other.table, other.image, scaler, table.epochs) for other in known]
    data = Data(member_inputs(table, image, scaler, table.epochs), others)
    part = gaussian_process_part(len(table), config, seed)
    process = GaussianProcess.fit(scaler(features)[0], filled, points=config.gp_points, part=part)
    members = []
    for number in range(config.members):
        members.append(fit_member(data, config, seed + number))
        on_member()
    ensemble = Ensemble(image, scaler, process, config.gp_weight)
    return CurvePredictor(ensemble, Calibration.without(scale), TorchNetwork(Members(members)))
