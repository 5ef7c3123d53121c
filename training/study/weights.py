"""Experiments on accuracy read off weights: held-out networks, other tasks, and what each statistic is worth."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.calibration import snap
from model.weight_features import FEATURES
from model.weights import within_reach
from training.baselines.features import feature_groups, weight_trees
from training.metrics import Floats
from training.study.networks import Study, Task
from training.study.results import Row, rows_of
from training.weights.dataset import WeightsDataset, to_weights_dataset
from training.weights.fit import Fit, by_reader, cross_validated, figures

EVERYTHING = np.arange(len(FEATURES))


def _by_trees(columns: NDArray[np.intp]) -> Fit:
    """Return how trees are fitted to some of the summary's features."""

    def fit(table: WeightsDataset, _: Sequence[WeightsDataset]) -> Any:
        trees = weight_trees().fit(table.summary[:, columns].astype(np.float32), table.final)
        return lambda table: within_reach(trees.predict(table.summary[:, columns].astype(np.float32)))

    return fit


def _read(fit: Fit, table: WeightsDataset, pretraining: Sequence[WeightsDataset], test: WeightsDataset) -> Floats:
    """Fit to a table and read another, snapped to the chance level that the first one's cross-validation gives."""
    chance_level = cross_validated(table, fit, pretraining).chance_level
    return snap(fit(table, pretraining)(test), *chance_level)


def _aligned(predicted: Floats, known: Floats) -> Floats:
    """Give each network the accuracy that stands at its rank among known accuracies of the task."""
    ranks = predicted.argsort().argsort()
    aligned: Floats = np.quantile(known, (ranks + 0.5) / len(ranks))
    return aligned


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
            "final weights, by trees on the summary": _read(_by_trees(EVERYTHING), known, (), test),
            "weights at a quarter of training": _read(
                by_reader(), early, [quarter[name][0] for name in others], early_test
            ),
        }
        for name in others:
            cross_task = _read(by_reader(), final[name][0], (), test)
            read[f"final weights, by what was fitted to {name}"] = cross_task
            read[f"the same, its ranks turned into accuracies of {task.name}"] = _aligned(cross_task, known.final)
        for method, predicted in read.items():
            about = {"networks": len(set(test.groups.tolist())), "data_sha": task.data_sha}
            tested = early_test if "quarter" in method else test
            yield from rows_of("weights", task.name, method, figures(tested, predicted), **about)


def weight_statistics(study: Study) -> Iterator[Row]:
    """Trees on one statistic of the weights, and on all but one, cross-validated within the training split."""
    for task in study.own:
        known, _ = _tables(task, "final")
        groups = {"all": EVERYTHING} | feature_groups()
        for name, columns in groups.items():
            found = figures(known, cross_validated(known, _by_trees(columns)).predicted)
            if name != "all":
                rest = np.setdiff1d(EVERYTHING, columns)
                without = figures(known, cross_validated(known, _by_trees(rest)).predicted)
                found |= {f"{metric}_without": value for metric, value in without.items()}
            about = {"networks": len(set(known.groups.tolist())), "data_sha": task.data_sha}
            yield from rows_of("weight-statistics", task.name, name, found, **about)
