"""Scores and out-of-fold predictions to `proxies.npz`: fit, cross-validate, calibrate, write the card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingRegressor

from model.artifact import digests
from model.boosted_trees import BoostedTrees
from model.calibration import Calibration, CurveScale, QuantileScale
from model.encoding.hand_features import hand_features
from model.ensemble import Ensemble, FeatureScaler
from model.gaussian_process import GaussianProcess, most_likely
from model.loaded import Model
from model.proxy_reader import BEFORE, ProxiesCard, ProxyModel, ProxyReader, joined, pack_proxies, write_proxies
from model.requests.curves import every_epoch, untrained_curves
from training.fitting.calibrate import LEVEL, OutOfFold, base_uncertainty, conformal_margins
from training.fitting.chance_level import cross_fit_chance_level, fit_chance_level, residuals_outside_interval
from training.fitting.fit_ensemble import explained
from training.fitting.out_of_fold import KeptPredictions
from training.metrics import Floats, score
from training.observations.dataset import CurveDataset, carry_forward, to_dataset
from training.observations.observation import Observation, ObservationError

MIN_NETWORKS = 20
MOST_POINTS = 1500  # networks that give the Gaussian process its scales, and its points: time grows with their cube
KEPT = 96  # features, the most relevant ones
TREES, DEPTH, RATE = 300, 4, 0.05
SAMPLED, FEATURES_TRIED = 0.5, 0.3  # shares of the networks of a tree, of the features of a node
Scale = CurveScale | QuantileScale


@dataclass(frozen=True)
class Known:
    """Networks as a reader of scores is fitted to them.

    Attributes:
        features: hand features [networks, features].
        scores: NaN where not known [networks, proxies].
        before: accuracies predicted without scores by predictors not fitted to the network [networks, epochs].
        curves: measured accuracies, NaN where not measured [networks, epochs].
    """

    features: Floats
    scores: Floats
    before: Floats
    curves: Floats

    def rows(self, chosen: NDArray[Any]) -> "Known":
        """Return some of the networks."""
        return Known(self.features[chosen], self.scores[chosen], self.before[chosen], self.curves[chosen])


def fit_trees(features: Floats, targets: Floats, seed: int = 0) -> BoostedTrees:
    """Fit boosted trees to targets [networks, outputs] of features [networks, features]."""
    settings = {"n_estimators": TREES, "max_depth": DEPTH, "learning_rate": RATE, "random_state": seed}
    nodes = 2**DEPTH - 1
    feature = np.zeros((targets.shape[1] * TREES, nodes), dtype=np.int16)
    threshold = np.full(feature.shape, np.inf, dtype=np.float32)  # a node that a tree lacks sends all networks left
    leaf = np.zeros((len(feature), nodes + 1), dtype=np.float32)
    start = targets.mean(axis=0)
    for output, target in enumerate(targets.T):
        boosted = GradientBoostingRegressor(subsample=SAMPLED, max_features=FEATURES_TRIED, init="zero", **settings)
        boosted.fit(features, target - start[output])
        for number, one in enumerate(boosted.estimators_[:, 0]):
            row = output * TREES + number
            _complete(one.tree_, feature[row], threshold[row], leaf[row])
    return BoostedTrees(feature, threshold, leaf, start)


def _complete(tree: Any, feature: NDArray[Any], threshold: NDArray[Any], leaf: NDArray[Any]) -> None:
    """Copy a tree of scikit-learn into a complete one."""
    waiting = [(0, 0)]
    while waiting:
        source, place = waiting.pop()
        if tree.children_left[source] >= 0:
            feature[place], threshold[place] = tree.feature[source], tree.threshold[source]
            waiting += [(tree.children_left[source], 2 * place + 1), (tree.children_right[source], 2 * place + 2)]
            continue
        while place < len(feature):
            place = 2 * place + 1
        leaf[place - len(feature)] = RATE * tree.value[source, 0, 0]


def fit_model(known: Known, names: Sequence[str], scale: Scale) -> ProxyModel:
    """Fit a reader of scores, without intervals.

    Args:
        known: what to learn from.
        names: of the hand features, the scores and the prediction without them.
        scale: of the predictor's curves.
    """
    usual = np.nan_to_num(np.nanmean(known.scores, axis=0))
    read = joined(known.features, np.where(np.isnan(known.scores), usual, known.scores), known.before, scale)
    targets = carry_forward(scale.standardise(known.curves))
    scaler = FeatureScaler.fit(names, read, explained(read, targets[:, -1]), KEPT)
    scaled, _ = scaler(read)
    part = np.random.default_rng(0).permutation(len(scaled))[:MOST_POINTS] if len(scaled) > MOST_POINTS else slice(None)
    scales, _ = most_likely(scaled[part], targets[part])
    process = GaussianProcess.fit(scaled, targets, points=MOST_POINTS, scales=scales)
    return ProxyModel(usual, scaler, process, fit_trees(scaled, targets), Calibration.without(scale))


def cross_validate(known: Known, fold: NDArray[np.intp], names: Sequence[str], scale: Scale) -> OutOfFold:
    """Predict each fold by a model that is fitted to the others."""
    curves = np.empty_like(known.curves)
    for number in np.unique(fold):
        inside = fold == number
        fitted, asked = fit_model(known.rows(~inside), names, scale), known.rows(inside)
        curves[inside] = fitted.predict(asked.features, asked.scores, asked.before)
    raw = scale.to_accuracy(curves)
    predicted = cross_fit_chance_level(known.curves, raw, fold)
    residuals = residuals_outside_interval(scale.standardise(known.curves) - curves, known.curves, raw, predicted)
    nothing = np.zeros_like(curves)
    return OutOfFold(known.curves, predicted, raw, curves, residuals, nothing, nothing[:, 0], fold)


class FittedProxies(NamedTuple):
    """The card of what reads scores, and the predictor's out-of-fold predictions with the scores in use."""

    card: ProxiesCard
    kept: KeptPredictions


def fit_proxies(folder: Path, model: Model, rows: Sequence[Observation], kept: KeptPredictions) -> FittedProxies:
    """Fit what reads scores and write it beside its predictor.

    Args:
        folder: the artifact's.
        model: the artifact's.
        rows: of the table; those of the predictor's networks that have `proxies` are learnt from, others of the test
            split are tested on.
        kept: the predictor's out-of-fold predictions.

    Raises:
        ObservationError: when too few of the predictor's networks have scores, or it reads no hand features.
    """
    card, family = model.card, model.predictor.family
    if not isinstance(family, Ensemble):
        raise ObservationError(f"{folder}: a predictor of the family {card.family} does not read proxies")
    scored = {row.network_id: row.proxies for row in rows if row.task == card.task and row.proxies}
    place = {name: index for index, name in enumerate(kept.network_ids) if name in scored}
    if len(place) < MIN_NETWORKS:
        raise ObservationError(f"{len(place)} of the predictor's networks have proxies; {MIN_NETWORKS} is the least")
    counts = {name: sum(name in scored[one] for one in place) for one in scored.values() for name in one}
    proxies = tuple(sorted(name for name, count in counts.items() if 2 * count > len(place)))
    table = to_dataset([row for row in rows if row.network_id in place], card.layer_code, card.image, last=card.epochs)
    at = np.array([place[name] for name in table.network_ids])
    features = family.scaler.names
    known = Known(
        hand_features(features, table.codes, table.lengths, card.image),
        _matrix(table, scored, proxies),
        kept.predicted[at],
        table.curves,
    )
    fold, names, scale = kept.fold[at], (*features, *proxies, BEFORE), model.predictor.calibration.scale
    validated = cross_validate(known, fold, names, scale)
    base = base_uncertainty(validated)
    fitted = fit_model(known, names, scale)
    calibration = replace(
        fitted.calibration,
        margins=conformal_margins(validated.residuals, np.full_like(validated.curves, base)),
        base_uncertainty=base,
        chance_level=fit_chance_level(validated.measured, validated.raw),
        threshold=card.distance_threshold,
    )
    fitted = replace(fitted, calibration=calibration)
    files = pack_proxies(fitted)
    written = ProxiesCard(
        files=digests(files),
        task=card.task,
        predictor_sha256=card.sha256,
        features=features,
        proxies=proxies,
        training={"networks": len(table), "folds": len(np.unique(fold)), "interval_level": LEVEL},
        metrics={
            "cross_validation": {
                "with_proxies": validated.metrics().rounded(),
                "without": validated.metrics(known.before).rounded(),
            }
        },
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    tested = [row for row in rows if row.split == "test" and row.network_id in scored and row.network_id not in place]
    if tested:
        reader = ProxyReader(written, fitted, card.image)
        figures = written.metrics | {"held_out": held_out(model, reader, tested)}
        written = written.model_copy(update={"metrics": figures})
    write_proxies(folder, written, files)
    predicted = kept.predicted.copy()
    predicted[at] = validated.predicted
    return FittedProxies(written, replace(kept, predicted=predicted))


def held_out(model: Model, reader: ProxyReader, rows: Sequence[Observation]) -> dict[str, Any]:
    """Return figures of networks that were not learnt from, all of which have scores."""
    table = to_dataset(rows, model.card.layer_code, model.card.image, last=model.card.epochs)
    codes = [one[:length] for one, length in zip(table.codes, table.lengths, strict=True)]
    before = untrained_curves(model, codes, every_epoch(model))
    scored = {row.network_id: row.proxies or {} for row in rows}
    after = reader.run(codes, [scored[name] for name in table.network_ids], before)
    inside = ((table.curves >= after.lower) & (table.curves <= after.upper))[~np.isnan(table.curves)]
    return {
        "networks": len(table),
        "with_proxies": score(table.curves, after.accuracy).rounded()
        | {"interval_coverage": round(float(inside.mean()), 4)},
        "without": score(table.curves, before.accuracy).rounded(),
    }


def _matrix(table: CurveDataset, scored: Mapping[str, Mapping[str, float]], proxies: Sequence[str]) -> Floats:
    return np.array([[scored[name].get(proxy, np.nan) for proxy in proxies] for name in table.network_ids])
