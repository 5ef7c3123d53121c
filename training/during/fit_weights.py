"""Measured networks to `weights.onnx`: trees on statistics of the weights (Unterthiner et al., 2002.11448)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skl2onnx import to_onnx
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor, VotingRegressor
from sklearn.model_selection import GroupKFold

from model.artifact import digest
from model.shapes import Shape
from model.weight_features import FEATURES, KINDS, STATISTICS, Weights, fan_ins, features
from model.weights import WeightsCard, WeightsPredictor, over_floor, within_reach, write_weights_predictor
from training.calibrate import FOLDS, LEVEL
from training.cnn import build
from training.during.figures import final_error, rounded
from training.during.ridges import logit
from training.floors import cross_floor, fit_floor, missed
from training.observations import Observation, ObservationError
from training.protocols import PROTOCOLS

Floats = NDArray[np.floating]
FEWEST = 30
TREES = 300
TOLERANCE = 1e-5
OPSETS = {"": 18, "ai.onnx.ml": 3}
ALL = slice(None)


@dataclass(frozen=True)
class WeightsTable:
    """Features at one moment of training [networks, features], final accuracies, and the architecture of each row."""

    rows: Floats
    final: Floats
    groups: NDArray[np.str_]

    def only(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> "WeightsTable":
        """Return some of the networks."""
        return WeightsTable(self.rows[chosen], self.final[chosen], self.groups[chosen])


def _fan_in(row: Observation) -> dict[str, int]:
    """Return the fan-in of each weight tensor; tables keep no shapes, the layers give them."""
    if row.in_channels and row.resolution:
        image = Shape(row.in_channels, row.resolution, row.resolution)
    elif row.task in PROTOCOLS:
        image = PROTOCOLS[row.task].image
    else:
        raise ObservationError(f"rows of {row.task} need in_channels and resolution to learn from weight_stats")
    with torch.device("meta"):
        network = build(row.layers, image, classes=2)  # how many does not change any fan-in
    return fan_ins({name: tensor.shape for name, tensor in network.named_parameters()})


def tabulate_weights(observations: Sequence[Observation], moment: str) -> WeightsTable:
    """Return the rows that have statistics of the weights at a moment, `quarter` or `final`.

    Raises:
        ObservationError: when there are too few, or the size of their images is not known.
    """
    used = [
        row
        for row in observations
        if row.weight_stats
        and row.status != "diverged"
        and any(n.endswith("weight") for n in row.weight_stats.get(moment, {}))
    ]
    if len(used) < FEWEST:
        raise ObservationError(f"{len(used)} rows with weight_stats; {FEWEST} is the least to learn from")
    rows = np.array([features(Weights(row.weight_stats[moment], _fan_in(row))) for row in used if row.weight_stats])
    groups = np.array([row.architecture for row in used])
    return WeightsTable(rows, np.array([row.accuracy[-1] for row in used]), groups)


def trees() -> VotingRegressor:
    """Return the mean of boosted and of extremely randomised trees, unfitted; they err differently."""
    boosted = GradientBoostingRegressor(
        n_estimators=TREES,
        max_depth=5,
        min_samples_leaf=3,
        learning_rate=0.05,
        subsample=0.7,
        max_features=0.1,
        random_state=0,
    )
    extra = ExtraTreesRegressor(n_estimators=TREES // 2, min_samples_leaf=2, max_features=0.3, random_state=0)
    return VotingRegressor([("boosted", boosted), ("extra", extra)])


def _fit_trees(table: WeightsTable) -> VotingRegressor:
    """Fit in the precision that the trees are run in."""
    return trees().fit(table.rows.astype(np.float32), table.final)


def _read(model: VotingRegressor, rows: Floats) -> Floats:
    return within_reach(model.predict(rows.astype(np.float32)))


@dataclass(frozen=True)
class CrossValidated:
    """Accuracies [networks] by trees fitted to other architectures.

    Attributes:
        predicted: over a floor that the other folds gave.
        unfloored: as the trees say.
        floor: level and threshold that all folds give; `None` where none helps.
    """

    predicted: Floats
    unfloored: Floats
    floor: tuple[float, float] | None


def cross_validated(table: WeightsTable, columns: NDArray[np.intp] | slice = ALL) -> CrossValidated:
    """Predict each network from some of the features or all."""
    read, fold = np.empty(len(table.rows)), np.empty(len(table.rows), dtype=np.intp)
    chosen = WeightsTable(table.rows[:, columns], table.final, table.groups)
    for number, (training, held_out) in enumerate(GroupKFold(FOLDS).split(table.rows, table.final, table.groups)):
        read[held_out] = _read(_fit_trees(chosen.only(training)), chosen.rows[held_out])
        fold[held_out] = number
    measured, each = table.final[:, None], read[:, None]
    found = fit_floor(measured, each)
    floor = (float(found.levels), float(found.thresholds)) if found.thresholds else None
    return CrossValidated(cross_floor(measured, each, fold)[:, 0], read, floor)


@dataclass(frozen=True)
class FittedTrees:
    """Trees fitted to a table, and the floor under what they say."""

    trees: VotingRegressor
    floor: tuple[float, float] | None

    def accuracies(self, rows: Floats) -> Floats:
        """Predict as the written artifact does [networks]."""
        return over_floor(_read(self.trees, rows), self.floor)


def fitted(table: WeightsTable) -> FittedTrees:
    """Fit to a whole table, the floor by cross-validation."""
    return FittedTrees(_fit_trees(table), cross_validated(table).floor)


def figures(table: WeightsTable, predicted: Floats) -> dict[str, float]:
    """Return errors of predicted accuracies, as a card keeps them."""
    return rounded(final_error(table.final, predicted))


def groups() -> dict[str, NDArray[np.intp]]:
    """Return the columns of each statistic, of each kind of tensor, and of each end of the network."""
    names = np.array(FEATURES)
    found = {name: np.flatnonzero(np.char.endswith(names, f".{name}")) for name in STATISTICS}
    found |= {kind: np.flatnonzero(np.char.startswith(names, f"{kind}.")) for kind in KINDS}
    return found | {
        f"{part} tensors": np.flatnonzero(np.char.find(names, f".{part}_") >= 0) for part in ("first", "last")
    }


def fit_weights(
    folder: Path, task: str, observations: Sequence[Observation], *, other: Sequence[Observation] = ()
) -> WeightsCard:
    """Fit to every network, measure by cross-validation over architectures, and write beside the predictor.

    Args:
        folder: the artifact's.
        task: whose networks.
        observations: rows with `weight_stats`.
        other: rows of another task, to measure what carries over without fitting again.

    Raises:
        ObservationError: when there are too few rows.
        RuntimeError: when ONNX and scikit-learn disagree; nothing is written.
    """
    table = tabulate_weights(observations, "final")
    validated = cross_validated(table)
    errors = logit(validated.unfloored) - logit(table.final)
    ratios = np.sort(np.abs(missed(errors, table.final, validated.unfloored, validated.predicted)))
    margin = float(ratios[min(math.ceil((len(ratios) + 1) * LEVEL), len(ratios)) - 1])
    early = tabulate_weights(observations, "quarter")
    metrics: dict[str, Any] = {
        "cross_validation": {"folds": FOLDS, **figures(table, validated.predicted)},
        "quarter_of_training": figures(early, cross_validated(early).predicted),
        "each_alone": {
            name: figures(table, cross_validated(table, chosen).predicted) for name, chosen in groups().items()
        },
    }
    model = FittedTrees(_fit_trees(table), validated.floor)
    if other:
        foreign = tabulate_weights(other, "final")
        metrics["other_task"] = {
            "task": other[0].task,
            "networks": len(foreign.final),
            **figures(foreign, model.accuracies(foreign.rows)),
        }
    graph = to_onnx(model.trees, table.rows[:1].astype(np.float32), target_opset=OPSETS).SerializeToString()
    card = WeightsCard(
        task=task,
        features=len(FEATURES),
        floor=model.floor,
        margin=margin,
        interval_level=LEVEL,
        training={"rows": len(table.final), "networks": len(set(table.groups.tolist()))},
        metrics=metrics,
        sha256=digest(graph),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    answered = WeightsPredictor(card, graph).accuracies(table.rows)
    difference = float(np.abs(answered - model.accuracies(table.rows)).max())
    if difference > TOLERANCE:
        raise RuntimeError(
            f"scikit-learn and ONNX differ by {difference:.2g}, more than {TOLERANCE:g}; nothing was written"
        )
    card = card.model_copy(update={"metrics": {**metrics, "onnx_difference": float(f"{difference:.2g}")}})
    write_weights_predictor(folder, card, graph)
    return card
