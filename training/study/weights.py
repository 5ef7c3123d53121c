"""Experiment on accuracy read off the weights of held-out networks."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from model.calibration import snap
from model.weights import within_reach
from training.baselines.features import weight_trees
from training.metrics import Floats
from training.study.networks import Study, Task
from training.study.results import Row, rows_of
from training.weights.dataset import WeightsDataset, to_weights_dataset
from training.weights.fit import Fit, by_reader, cross_validated, figures


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
