"""Compare an artifact's predictions with measured curves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from model.runtime import Predictor
from training.fit import task_of
from training.metrics import Ceiling, Metrics, ceiling, score
from training.observations import Observation, ObservationError, held_out
from training.table import Floats, Table, tabulate

Part = Literal["test", "all"]
BATCH = 256


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        table: the networks it was measured on.
        predicted: accuracies [networks, epochs].
        lower: ends of the intervals, same shape.
        upper: their other ends.
        metrics: tau, R2 and MSE of the final accuracy, mean absolute error over the curves.
        coverage: share of measured accuracies inside the interval.
        mean_width: of the intervals.
        unfamiliar: share of networks beyond the card's distance threshold.
        noise: the noise ceiling, where networks were trained under several seeds.
    """

    table: Table
    predicted: Floats
    lower: Floats
    upper: Floats
    metrics: Metrics
    coverage: float
    mean_width: float
    unfamiliar: float
    noise: Ceiling | None


def evaluate(observations: Sequence[Observation], predictor: Predictor, part: Part | None = None) -> Evaluation:
    """Predict the networks of a table and compare.

    Args:
        observations: the table; rows of other tasks than the predictor's are left out.
        predictor: a loaded artifact.
        part: `test` for the test split alone; by default what the artifact was not fitted to.

    Raises:
        ObservationError: when no network is left, or a curve is longer than the predictor's.
    """
    card = predictor.card
    _, rows = task_of(observations, card.task)
    part = part or ("test" if card.training.get("split") == "train" else "all")
    chosen = [row for row in rows if part == "all" or held_out(row.architecture)]
    if not chosen:
        raise ObservationError("no network of the table belongs to the test split")
    table = tabulate(chosen, card.layer_code, card.image, clamp=True)
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
        predicted=accuracy,
        lower=lower,
        upper=upper,
        metrics=score(table.curves, accuracy),
        coverage=float(inside[measured].mean()),
        mean_width=float((upper - lower).mean()),
        unfamiliar=float((distance > card.distance_threshold).mean()),
        noise=ceiling(rows),
    )
