"""Measured networks to what reads accuracy off weights (Unterthiner et al., arXiv 2002.11448)."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from model.artifact import digests, pack_arrays
from model.calibration import logit, snap, widened
from model.predictors.export import TOLERANCE, to_onnx
from model.predictors.weights_reader import WeightsReader
from model.weight_features import FEATURES, LAYER_STATISTICS
from model.weights import (
    WEIGHTS_ARRAYS_FILE,
    WEIGHTS_FILE,
    WeightsCard,
    WeightsPredictor,
    pad_layers,
    within_reach,
    write_weights_predictor,
)
from model.weights_distance import WeightsDistance
from training.fitting.calibrate import FOLDS, IN_DISTRIBUTION_SHARE, LEVEL, conformal_margins
from training.fitting.chance_level import cross_fit_chance_level, fit_chance_level, residuals_outside_interval
from training.metrics import final_error, rounded
from training.observations.observation import Observation
from training.weights.dataset import WeightsDataset, to_weights_dataset
from training.weights.members import WeightsConfig, fit_reader

Floats = NDArray[np.floating]
BATCH = 256


@torch.no_grad()
def read_table(reader: WeightsReader, table: WeightsDataset) -> Floats:
    """Return accuracies [networks] before they are snapped to a chance level."""
    parts = []
    for start in range(0, len(table.final), BATCH):
        padded, lengths = pad_layers(table.layers[start : start + BATCH])
        summary = torch.from_numpy(table.summary[start : start + BATCH].astype(np.float32))
        parts.append(reader(torch.from_numpy(padded), torch.from_numpy(lengths), summary).double().numpy())
    return within_reach(np.concatenate(parts))


@dataclass(frozen=True)
class CrossValidated:
    """Accuracies [networks] by what was fitted to other networks.

    Attributes:
        predicted: snapped to a chance level that the other folds gave.
        raw: as they were read.
        distance: from the other folds.
        chance_level: level and threshold that all folds give; 0 and 0 where none helps.
    """

    predicted: Floats
    raw: Floats
    distance: Floats
    chance_level: tuple[float, float]

    def margin(self, measured: Floats) -> float:
        """Return the margin of `model.weights.intervals` that covers `LEVEL` of these accuracies [networks]."""
        errors = logit(self.raw) - logit(measured)
        residuals = residuals_outside_interval(errors, measured, self.raw, self.predicted)[:, None]
        return float(conformal_margins(residuals, widened(self.distance)[:, None])[0])


Fit = Callable[[WeightsDataset, Sequence[WeightsDataset]], Callable[[WeightsDataset], Floats]]


def cross_validated(table: WeightsDataset, fit: Fit, pretraining: Sequence[WeightsDataset] = ()) -> CrossValidated:
    """Predict each network by what `fit` made of the others, and of other tasks' tables without its architecture."""
    read, distance = np.empty((2, len(table.final)))
    fold = np.empty(len(table.final), dtype=np.intp)
    for number, (training, rest) in enumerate(GroupKFold(FOLDS).split(table.summary, table.final, table.groups)):
        known, test = table.only(training), table.only(rest)
        read[rest] = fit(known, [other.without(test) for other in pretraining])(test)
        distance[rest] = fit_distance(known)(test.summary)
        fold[rest] = number
    measured, each = table.final[:, None], read[:, None]
    level, threshold = (values.item() for values in fit_chance_level(measured, each))
    return CrossValidated(cross_fit_chance_level(measured, each, fold)[:, 0], read, distance, (level, threshold))


def by_reader(config: WeightsConfig | None = None, on_member: Callable[[], None] = lambda: None) -> Fit:
    """Return how the shipped reader is fitted, for `cross_validated`."""

    def fit(table: WeightsDataset, pretraining: Sequence[WeightsDataset]) -> Callable[[WeightsDataset], Floats]:
        reader = fit_reader(table, pretraining=pretraining, config=config, on_member=on_member)
        return lambda table: read_table(reader, table)

    return fit


def figures(table: WeightsDataset, predicted: Floats) -> dict[str, float]:
    """Return errors of predicted accuracies, as a card keeps them."""
    return rounded(final_error(table.final, predicted))


def fit_distance(table: WeightsDataset) -> WeightsDistance:
    """Return what tells how unlike these networks another one is."""
    return WeightsDistance.fit(table.summary, table.groups, IN_DISTRIBUTION_SHARE)


def _difference(reader: WeightsReader, predictor: WeightsPredictor, table: WeightsDataset) -> float:
    """Return the largest difference between PyTorch on batches and ONNX Runtime on one network at a time."""
    alone = [predictor.accuracies([layers], row[None]) for layers, row in zip(table.layers, table.summary, strict=True)]
    expected = snap(read_table(reader, table), *predictor.card.chance_level)
    return float(np.abs(np.concatenate(alone) - expected).max())


def fit_weights(
    folder: Path,
    task: str,
    observations: Sequence[Observation],
    *,
    pretraining: Sequence[Sequence[Observation]] = (),
    config: WeightsConfig | None = None,
    on_member: Callable[[], None] = lambda: None,
) -> WeightsCard:
    """Fit to every network, measure by cross-validation over architectures, and write beside the predictor.

    Args:
        folder: the artifact's.
        task: whose networks.
        observations: rows with `weight_stats`.
        pretraining: rows of other tasks, each of one, to learn from first.
        config: sizes and schedules.
        on_member: called after each member of each fit; `members_to_fit` says how often.

    Raises:
        ObservationError: when there are too few rows.
        RuntimeError: when ONNX and PyTorch disagree; nothing is written.
    """
    config = config or WeightsConfig()
    fit = by_reader(config, on_member)
    table, early = (to_weights_dataset(observations, moment) for moment in ("final", "quarter"))
    others, early_others = (
        [to_weights_dataset(rows, moment) for rows in pretraining] for moment in ("final", "quarter")
    )
    validated = cross_validated(table, fit, others)
    metrics: dict[str, Any] = {
        "cross_validation": {"folds": FOLDS, **figures(table, validated.predicted)},
        "quarter_of_training": figures(early, cross_validated(early, fit, early_others).predicted),
    }
    reader = fit_reader(table, pretraining=others, config=config, on_member=on_member)
    distance = fit_distance(table)
    files = {WEIGHTS_FILE: to_onnx(reader), WEIGHTS_ARRAYS_FILE: pack_arrays(distance.arrays())}
    card = WeightsCard(
        files=digests(files),
        task=task,
        features=len(FEATURES),
        layer_statistics=len(LAYER_STATISTICS),
        chance_level=validated.chance_level,
        margin=validated.margin(table.final),
        interval_level=LEVEL,
        training={
            "rows": len(table.final),
            "networks": len(set(table.groups.tolist())),
            "config": asdict(config),
            "pretrained_on": [
                {"task": rows[0].task, "rows": len(other.final)}
                for rows, other in zip(pretraining, others, strict=True)
            ],
        },
        metrics=metrics,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    difference = _difference(reader, WeightsPredictor(card, files[WEIGHTS_FILE], distance), table)
    if difference > TOLERANCE:
        raise RuntimeError(f"PyTorch and ONNX differ by {difference:.2g}, more than {TOLERANCE:g}; nothing was written")
    card = card.model_copy(update={"metrics": {**metrics, "onnx_difference": float(f"{difference:.2g}")}})
    write_weights_predictor(folder, card, files)
    return card


def members_to_fit(config: WeightsConfig | None = None) -> int:
    """Return how many members `fit_weights` fits: those of two cross-validations, and those that it writes."""
    return (config or WeightsConfig()).members * (2 * FOLDS + 1)
