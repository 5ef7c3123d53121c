"""The shipped predictors on the committed tables: measured anew for every report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.artifact import read_artifact
from model.runtime import Predictor
from training.fitting.evaluate import BATCH, Evaluation, evaluate
from training.metrics import Metrics, score, tau
from training.observations.observation import Observation
from training.observations.table import tabulate
from training.study.networks import Task


def load(zoo: Path, task: str) -> Predictor | None:
    """Return a task's predictor; `None` while it has none."""
    if not (zoo / task / "card.json").is_file():
        return None
    return Predictor(read_artifact(zoo / task))


@dataclass(frozen=True)
class Measured:
    """A table of the project's own measurements, its predictor, and the predictor on the test split."""

    task: Task
    predictor: Predictor | None
    evaluation: Evaluation | None


def measure(tasks: Sequence[Task], zoo: Path) -> list[Measured]:
    """Evaluate the predictor of each task, where one ships."""
    found = []
    for task in tasks:
        predictor = load(zoo, task.name)
        found.append(Measured(task, predictor, evaluate(task.rows, predictor, "test") if predictor else None))
    return found


def trainable(rows: Sequence[Observation]) -> list[Observation]:
    """Return the rows of networks that every seed trained."""
    failed = {row.network_id for row in rows if row.status != "ok"}
    return [row for row in rows if row.network_id not in failed]


def among(evaluation: Evaluation, rows: Sequence[Observation]) -> Metrics:
    """Return an evaluation's metrics over the networks of some rows alone."""
    wanted = {row.network_id for row in rows}
    chosen = [name in wanted for name in evaluation.table.network_ids]
    return score(evaluation.table.curves[chosen], evaluation.predicted[chosen])


@dataclass(frozen=True)
class Foreign:
    """A predictor on networks of another table.

    Attributes:
        networks: how many.
        unfamiliar: share beyond the predictor's distance threshold.
        tau: of what is predicted for the last epoch against the accuracies measured in the other table.
    """

    networks: int
    unfamiliar: float
    tau: float


def foreign(predictor: Predictor, rows: Sequence[Observation]) -> Foreign:
    """Ask a predictor about another table's networks, as if they were of its own task."""
    card = predictor.card
    table = tabulate(rows, card.layer_code, card.image, clamp=True)
    starts = range(0, len(table), BATCH)
    answers = [
        predictor.run(table.codes[at : at + BATCH], table.lengths[at : at + BATCH], [card.epochs]) for at in starts
    ]
    predicted = np.concatenate([one.accuracy[:, 0] for one in answers])
    distance = np.concatenate([one.distance for one in answers])
    return Foreign(len(table), float((distance > card.distance_threshold).mean()), tau(table.final, predicted))
