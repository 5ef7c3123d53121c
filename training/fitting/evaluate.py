"""Compare an artifact's predictions with measured curves."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from model.runtime import Predictor
from training.metrics import Ceiling, Metrics, ceiling, score
from training.observations.dataset import CurveDataset, Floats, task_of, to_dataset
from training.observations.observation import Observation, ObservationError

Part = Literal["test", "train", "all"]
BATCH = 256


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        table: the networks it was measured on.
        fitted_to: how many of them the artifact was fitted to; `None` where it does not list those.
        predicted: accuracies [networks, epochs].
        lower: ends of the intervals, same shape.
        upper: their other ends.
        metrics: tau, R2 and MSE of the final accuracy, mean absolute error over the curves.
        coverage: share of measured accuracies inside the interval.
        mean_width: of the intervals.
        out_of_distribution: share of networks beyond the card's distance threshold.
        noise: the noise ceiling, where networks were trained under several seeds.
    """

    table: CurveDataset
    fitted_to: int | None
    predicted: Floats
    lower: Floats
    upper: Floats
    metrics: Metrics
    coverage: float
    mean_width: float
    out_of_distribution: float
    noise: Ceiling | None


def fitted_among(rows: Sequence[Observation], fitted_to: Collection[str]) -> set[str]:
    """Return the ids of those networks that are listed, by id or by canonical hash."""
    return {row.network_id for row in rows if row.network_id in fitted_to or row.canonical in fitted_to}


def choose(
    rows: Sequence[Observation], part: Part | None, fitted_to: Collection[str] | None, *, split: str
) -> list[Observation]:
    """Return the rows to measure on.

    Args:
        rows: of the predictor's task.
        part: the test split, the training split or all; by default what the predictor was not fitted to.
        fitted_to: ids and canonical hashes of the networks it was fitted to. Where they are not known, the default is
            the test split of a predictor that was fitted to the training split, and all networks of one fitted to all.
        split: that the predictor was fitted to.

    Raises:
        ObservationError: when none is left, or the test split holds networks that the predictor was fitted to.
    """
    if part is None and fitted_to is None:
        part = "test" if split == "train" else "all"
    if part is None:
        known = fitted_among(rows, fitted_to or ())
        chosen = [row for row in rows if row.network_id not in known]
        if not chosen:
            raise ObservationError(
                "the artifact was fitted to every network of the table; --split all measures it on them"
            )
        return chosen
    chosen = [row for row in rows if part in {"all", row.split}]
    if not chosen:
        raise ObservationError(f"no network of the table belongs to the {part} split")
    leaked = fitted_among(chosen, fitted_to or ())
    if part == "test" and leaked:
        raise ObservationError(
            f"the artifact was fitted to {len(leaked)} networks of the test split, which tests nothing then; fit with "
            "--split train, or measure with --split all"
        )
    return chosen


def evaluate(
    observations: Sequence[Observation],
    predictor: Predictor,
    part: Part | None = None,
    *,
    fitted_to: Collection[str] | None = None,
) -> Evaluation:
    """Predict the networks of a table and compare.

    Args:
        observations: the table; rows of other tasks than the predictor's are left out.
        predictor: a loaded artifact.
        part: which networks, see `choose`.
        fitted_to: ids and canonical hashes of the networks the artifact was fitted to (`model.artifact.read_networks`).

    Raises:
        ObservationError: when no network is left, or a curve is longer than the predictor's.
    """
    card = predictor.card
    _, rows = task_of(observations, card.task)
    chosen = choose(rows, part, fitted_to, split=card.training.get("split", "all"))
    table = to_dataset(chosen, card.layer_code, card.image, last=card.epochs)
    if table.epochs > card.epochs:
        raise ObservationError(f"curves have {table.epochs} epochs, the predictor knows {card.epochs}")
    epochs = range(1, table.epochs + 1)
    batches = [
        predictor.run(table.codes[start : start + BATCH], table.lengths[start : start + BATCH], list(epochs))
        for start in range(0, len(table), BATCH)
    ]
    accuracy, lower, upper = (
        np.concatenate([getattr(batch, name) for batch in batches]).astype(np.float64)
        for name in ("accuracy", "lower", "upper")
    )
    measured = ~np.isnan(table.curves)
    inside = (table.curves >= lower) & (table.curves <= upper)
    distance = np.concatenate([batch.distance for batch in batches])
    return Evaluation(
        table=table,
        fitted_to=None if fitted_to is None else len(fitted_among(chosen, fitted_to)),
        predicted=accuracy,
        lower=lower,
        upper=upper,
        metrics=score(table.curves, accuracy),
        coverage=float(inside[measured].mean()),
        mean_width=float((upper - lower)[:, measured.any(axis=0)].mean()),
        out_of_distribution=float((distance > card.distance_threshold).mean()),
        noise=ceiling(rows),
    )
