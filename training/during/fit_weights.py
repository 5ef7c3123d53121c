"""Measured networks to `weights.onnx`: boosted trees on statistics of the weights (Unterthiner et al., 2002.11448)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skl2onnx import to_onnx
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.model_selection import GroupKFold

from model.artifact import digest
from model.weight_features import FEATURES, STATISTICS, features
from model.weights import WeightsCard, WeightsPredictor, write_weights_predictor
from training.calibrate import FOLDS, LEVEL
from training.during.figures import final_error, rounded, sigmoid
from training.during.ridges import logit
from training.observations import Observation, ObservationError

Floats = NDArray[np.floating]
FEWEST = 30
TREES = 200
TOLERANCE = 1e-5
OPSETS = {"": 18, "ai.onnx.ml": 3}
MOMENTS = ("quarter", "final")


@dataclass(frozen=True)
class WeightsTable:
    """Features at one moment of training [networks, features], final accuracies, and the architecture of each row."""

    rows: Floats
    final: Floats
    groups: NDArray[np.str_]


def tabulate_weights(observations: Sequence[Observation], moment: str) -> WeightsTable:
    """Return the rows that have statistics of the weights at a moment, `quarter` or `final`.

    Raises:
        ObservationError: when there are too few.
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
    rows = np.array([features(row.weight_stats[moment]) for row in used if row.weight_stats])
    groups = np.array([row.architecture for row in used])
    return WeightsTable(rows, np.array([row.accuracy[-1] for row in used]), groups)


def _trees() -> GradientBoostingRegressor:
    return GradientBoostingRegressor(
        n_estimators=TREES,
        max_depth=5,
        min_samples_leaf=3,
        learning_rate=0.06,
        subsample=0.7,
        max_features=0.1,
        random_state=0,
    )


def cross_validated(table: WeightsTable, columns: NDArray[np.intp] | None = None) -> Floats:
    """Predict, in log-odds, each network by trees fitted to other architectures, from some of the features or all."""
    rows = table.rows if columns is None else table.rows[:, columns]
    measured = logit(table.final)
    predicted: Floats = np.empty(len(rows))
    for training, held_out in GroupKFold(FOLDS).split(rows, measured, table.groups):
        predicted[held_out] = _trees().fit(rows[training], measured[training]).predict(rows[held_out])
    return predicted


def _figures(table: WeightsTable, predicted: Floats) -> dict[str, float]:
    return rounded(final_error(table.final, sigmoid(predicted)))


def worth(table: WeightsTable) -> dict[str, dict[str, float]]:
    """Return how well each statistic does alone, and each end of the network."""
    names = np.array(FEATURES)
    groups = {name: np.flatnonzero(np.char.endswith(names, f".{name}")) for name in STATISTICS}
    groups |= {kind: np.flatnonzero(np.char.startswith(names, f"{kind}.")) for kind in ("weight", "bias")}
    for part in ("first", "last"):
        groups[f"{part} tensors"] = np.flatnonzero(np.char.find(names, f".{part}_") >= 0)
    return {name: _figures(table, cross_validated(table, chosen)) for name, chosen in groups.items()}


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
    predicted = cross_validated(table)
    measured = logit(table.final)
    ratios = np.sort(np.abs(predicted - measured))
    margin = float(ratios[min(math.ceil((len(ratios) + 1) * LEVEL), len(ratios)) - 1])
    early = tabulate_weights(observations, "quarter")
    metrics: dict[str, Any] = {
        "cross_validation": {"folds": FOLDS, **_figures(table, predicted)},
        "quarter_of_training": _figures(early, cross_validated(early)),
        "each_alone": worth(table),
    }
    trees = _trees().fit(table.rows.astype(np.float32), measured)
    if other:
        foreign = tabulate_weights(other, "final")
        metrics["other_task"] = {
            "task": other[0].task,
            "networks": len(foreign.final),
            **_figures(foreign, trees.predict(foreign.rows.astype(np.float32))),
        }
    model = to_onnx(trees, table.rows[:1].astype(np.float32), target_opset=OPSETS).SerializeToString()
    card = WeightsCard(
        task=task,
        features=len(FEATURES),
        margin=margin,
        interval_level=LEVEL,
        training={"rows": len(table.final), "networks": len(set(table.groups.tolist()))},
        metrics=metrics,
        sha256=digest(model),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    expected = sigmoid(trees.predict(table.rows.astype(np.float32)))
    difference = float(np.abs(sigmoid(WeightsPredictor(card, model).logits(table.rows)) - expected).max())
    if difference > TOLERANCE:
        raise RuntimeError(
            f"scikit-learn and ONNX differ by {difference:.2g}, more than {TOLERANCE:g}; nothing was written"
        )
    card = card.model_copy(update={"metrics": {**metrics, "onnx_difference": float(f"{difference:.2g}")}})
    write_weights_predictor(folder, card, model)
    return card
