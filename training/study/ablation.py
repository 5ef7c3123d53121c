"""Experiments on how the shipped predictor is fitted: without each of its steps, and to fewer networks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from model.artifact import Card
from model.calibration import snap
from model.encoding.features import SIGNAL
from model.encoding.hand_features import places
from model.runtime import CurvePredictor
from training.fitting.calibrate import OutOfFold, cross_validate, predict_table
from training.fitting.ensemble_config import EnsembleConfig
from training.fitting.fit_ensemble import explained, fit_ensemble
from training.metrics import tau
from training.observations.dataset import CurveDataset, Floats
from training.observations.pretraining import PretrainingTable, pretraining_tables, without_held_out
from training.study.baselines import GAUSSIAN_PROCESS, LSTM, Baseline
from training.study.networks import Networks, Study, Task
from training.study.results import Row, rows_of
from training.study.shipped import SHIPPED

Array = NDArray[np.floating]
Relevance = Callable[[Array, Array], Array]
Predict = Callable[[Networks, int], Floats]
"""From networks to fit to and a seed to final accuracies of the test split."""
AS_IT_SHIPS = "as it ships"
SIZES = (50, 100, 200, 400)
FEW = 100  # up to this many networks, the draw of the networks matters: it is repeated


def _alike(features: Array, targets: Array) -> Array:
    """Every feature counts the same, and all are kept."""
    del targets
    return np.full(features.shape[1], 1 / features.shape[1])


def _without_signal(features: Array, targets: Array) -> Array:
    """No feature of signal propagation is kept."""
    shares = np.zeros(features.shape[1])
    others = np.setdiff1d(np.arange(features.shape[1]), places(SIGNAL))
    shares[others] = explained(features[:, others], targets)
    return shares


def _steps(config: EnsembleConfig, features: int) -> dict[str, tuple[EnsembleConfig, Relevance]]:
    return {
        AS_IT_SHIPS: (config, explained),
        "one member instead of four": (replace(config, members=1), explained),
        "without the Gaussian process": (replace(config, gp_weight=0.0), explained),
        "the Gaussian process alone": (replace(config, members=1, gp_weight=1.0), explained),
        "without signal propagation": (config, _without_signal),
        "all features alike": (replace(config, features=features), _alike),
        "without pretraining on other tasks": (replace(config, pretraining_passes=0), explained),
        "without the ranking term": (replace(config, ranking_weight=0.0), explained),
    }


def _pretraining(task: Task, study: Study) -> list[PretrainingTable]:
    """Return the tables that a task's predictor was pretrained on."""
    card = _card(task)
    rows = [study.tasks[name].rows for name in card.training.get("pretrained_on", {})]
    return pretraining_tables(rows, task.name, card.layer_code, card.image, "train")


def _card(task: Task) -> Card:
    if task.predictor is None:
        raise ValueError(f"{task.name}: no predictor ships")
    return task.predictor.card


def _validate(
    task: Task, pretraining: Sequence[PretrainingTable], config: EnsembleConfig, relevance: Relevance
) -> OutOfFold:
    """Cross-validate on the training split; networks outside a fold's part are learnt nowhere."""
    learning = task.networks.rows(task.parts[0][0])

    def fit(part: CurveDataset, fold: int) -> CurvePredictor:
        others = without_held_out(pretraining, task.networks.table, part) if config.pretraining_passes else ()
        return fit_ensemble(part, learning.image, config, seed=100 * fold, relevance=relevance, pretraining=others)

    return cross_validate(learning.table, fit)


def ablation(study: Study) -> Iterator[Row]:
    """The shipped predictor without each of its steps, cross-validated on the training split."""
    for task in study.own:
        pretraining = _pretraining(task, study)
        for name, (config, relevance) in _steps(EnsembleConfig(), task.networks.features.shape[1]).items():
            found = _validate(task, pretraining, config, relevance)
            measured = {name: found.metrics()}
            if name == AS_IT_SHIPS:
                measured["without the chance level"] = found.metrics(found.raw)
            for step, error in measured.items():
                figures, networks = asdict(error), len(found.measured)
                yield from rows_of("ablation", task.name, step, figures, networks=networks, **task.shas)


def learning_curve(study: Study) -> Iterator[Row]:
    """Tau on the test split after fitting to some networks of the training split, and to all."""
    for task in study.own:
        ((fitting, tested),) = task.parts
        known, test = task.networks.rows(fitting), task.networks.rows(tested)
        methods: dict[str, Predict] = {SHIPPED: _shipped(task, study, known, test)}
        methods |= {one.name: partial(_baseline, one, test) for one in (LSTM, GAUSSIAN_PROCESS)}
        for name, predict in methods.items():
            for size in (*(size for size in SIZES if size < len(known)), len(known)):
                for draw in range(2 if size <= FEW else 1):
                    chosen = np.sort(np.random.default_rng(draw).permutation(len(known))[:size])
                    figures = {"tau": tau(test.final, predict(known.rows(chosen), draw))}
                    about = {"networks": size, "seed": draw} | task.shas
                    yield from rows_of("learning-curve", task.name, name, figures, **about)


def _baseline(baseline: Baseline, test: Networks, some: Networks, seed: int) -> Floats:
    return baseline.predict(some, test, 0, seed)


def _shipped(task: Task, study: Study, known: Networks, test: Networks) -> Predict:
    """Return the shipped predictor's fit, pretrained as its card says and snapped to the card's chance level."""
    card = _card(task)
    config = EnsembleConfig(**card.training["config"])
    pretraining = without_held_out(_pretraining(task, study), task.networks.table, known.table)
    assert task.predictor is not None  # noqa: S101 - the experiments are of shipped tasks
    level = task.predictor.calibration.chance_level

    def predict(some: Networks, seed: int) -> Floats:
        predictor = fit_ensemble(some.table, some.image, config, seed=seed, pretraining=pretraining)
        predicted, _ = predict_table(predictor, test.table)
        return np.asarray(snap(predicted, *level)[:, -1], dtype=np.float64)

    return predict
