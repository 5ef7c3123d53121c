"""Experiments on accuracy read off weights: of held-out networks, and of networks unlike those that were fitted to."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from model.calibration import snap
from model.weights import intervals, within_reach
from training.baselines.features import weight_trees
from training.fitting.chance_level import TIE
from training.metrics import Floats
from training.observations.observation import Observation
from training.study.extrapolation import FITTED, PREDICTED
from training.study.networks import Study, Task
from training.study.results import Row, rows_of
from training.weights.dataset import WeightsDataset, to_weights_dataset
from training.weights.fit import CrossValidated, Fit, by_reader, cross_validated, figures, fit_distance
from training.weights.members import WeightsConfig


def _fit_trees(table: WeightsDataset, _: Sequence[WeightsDataset]) -> Any:
    trees = weight_trees().fit(table.summary.astype(np.float32), table.final)
    return lambda table: within_reach(trees.predict(table.summary.astype(np.float32)))


def _read(fit: Fit, table: WeightsDataset, pretraining: Sequence[WeightsDataset], test: WeightsDataset) -> Floats:
    """Fit to a table and read another, snapped to the chance level that the first one's cross-validation gives."""
    chance_level = cross_validated(table, fit, pretraining).chance_level
    return snap(fit(table, pretraining)(test), *chance_level)


def _tables(task: Task, moment: str) -> tuple[WeightsDataset, WeightsDataset]:
    """Return the weights of the training split and of the test split."""
    return to_weights_dataset(task.split("train"), moment), to_weights_dataset(task.split("test"), moment)


def weights(study: Study) -> Iterator[Row]:
    """What is read off the weights of test networks, after fits to the training split alone."""
    own = [task for task in study.tasks.values() if task.own]
    final, quarter = ({task.name: _tables(task, moment) for task in own} for moment in ("final", "quarter"))
    for task in study.own:
        (known, test), (early, early_test) = final[task.name], quarter[task.name]
        others = [other.name for other in own if other is not task]
        read = {
            "final weights": _read(by_reader(), known, [final[name][0] for name in others], test),
            "final weights, without another task first": _read(by_reader(), known, (), test),
            "final weights, by trees on the summary": _read(_fit_trees, known, (), test),
            "weights at a quarter of training": _read(
                by_reader(), early, [quarter[name][0] for name in others], early_test
            ),
        }
        for method, predicted in read.items():
            about = {"networks": len(set(test.groups.tolist())), "data_sha": task.data_sha}
            tested = early_test if "quarter" in method else test
            yield from rows_of("weights", task.name, method, figures(tested, predicted), **about)


def weights_far(study: Study) -> Iterator[Row]:
    """Coverage of 90 % intervals of weights that are unlike what is learnt from, by one member without another task."""
    fit = by_reader(WeightsConfig(members=1))
    for task in study.own:
        known, test = _tables(task, "final")
        order = np.argsort([len(layers) for layers in known.layers], kind="stable")
        short, long = order[: round(FITTED * len(order))], order[-round(PREDICTED * len(order)) :]
        early = to_weights_dataset([_at_quarter(row) for row in task.split("test")], "quarter")
        parts = (
            (known.only(short), {"more layers, fitted to fewer": known.only(long)}),
            (known, {"test split": test, "a quarter of training, fitted to the end": early}),
        )
        for fitted, far in parts:
            validated, read, distance = cross_validated(fitted, fit), fit(fitted, ()), fit_distance(fitted)
            for method, table in far.items():
                found = _widths(fitted, validated, read(table), distance(table.summary), table.final)
                about = {"networks": len(set(table.groups.tolist())), "data_sha": task.data_sha}
                yield from rows_of("weights-far", task.name, method, found, **about)


def _at_quarter(row: Observation) -> Observation:
    """Return a row whose last accuracy is the one that its network had at a quarter of training."""
    return row.model_copy(update={"accuracy": row.accuracy[: max(1, len(row.accuracy) // 4)]})


def _widths(
    fitted: WeightsDataset, validated: CrossValidated, read: Floats, distance: Floats, measured: Floats
) -> dict[str, float]:
    """Return coverage and mean width of intervals that widen with the distance, and of those that do not."""
    found = {"distance": float(np.median(distance))}
    near = replace(validated, distance=np.zeros_like(validated.distance))
    for name, known, far in (("", validated, distance), ("unwidened_", near, np.zeros_like(distance))):
        curves = intervals(read, far, known.margin(fitted.final), known.chance_level)
        inside = (measured >= curves.lower[:, 0] - TIE) & (measured <= curves.upper[:, 0] + TIE)
        found[f"{name}coverage"] = inside.mean()
        found[f"{name}mean_width"] = (curves.upper - curves.lower).mean()
    return found
