"""What each step of the shipped predictor is worth: cross-validation on the learning set without it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.encoding.features import SIGNAL, select
from model.runtime import CurvePredictor
from training.fitting.calibrate import cross_validate
from training.fitting.fit_ensemble import explained, fit_ensemble
from training.fitting.recipe import Recipe
from training.observations.pretraining import PretrainingTable, without_held_out
from training.observations.table import Table
from training.study.networks import Networks

Array = NDArray[np.floating]
AS_IT_SHIPS = "as it ships"
NOT_PRETRAINED = "without pretraining on other tasks"
Relevance = Callable[[Array, Array], Array]


def _alike(features: Array, targets: Array) -> Array:
    """Every feature counts the same, and all are kept."""
    del targets
    return np.full(features.shape[1], 1 / features.shape[1])


def _without_signal(features: Array, targets: Array) -> Array:
    """No feature of signal propagation is kept."""
    shares = np.zeros(features.shape[1])
    others = np.setdiff1d(np.arange(features.shape[1]), select(SIGNAL))
    shares[others] = explained(features[:, others], targets)
    return shares


def _steps(recipe: Recipe, features: int) -> dict[str, tuple[Recipe, Relevance]]:
    return {
        AS_IT_SHIPS: (recipe, explained),
        "one member instead of four": (replace(recipe, members=1), explained),
        "without the Gaussian process": (replace(recipe, process_weight=0.0), explained),
        "the Gaussian process alone": (replace(recipe, members=1, process_weight=1.0), explained),
        "without signal propagation": (recipe, _without_signal),
        "all features alike": (replace(recipe, features=features), _alike),
        NOT_PRETRAINED: (replace(recipe, pretraining_passes=0), explained),
        "without the ranking term": (replace(recipe, ranking_weight=0.0), explained),
    }


def ablate(
    learning: Networks,
    everything: Table,
    pretraining: Sequence[PretrainingTable] = (),
    on_step: Callable[[str], None] = lambda step: None,
) -> list[dict[str, Any]]:
    """Return rows of `step`, `tau`, `r2` and `mse`, the mean over five folds.

    Args:
        learning: the learning set.
        everything: all networks of the task; what is outside a fold's learning set is learnt nowhere.
        pretraining: the tables that the ensemble members are trained on first.
        on_step: called with a description of each step.
    """
    found = []
    steps = _steps(Recipe(), learning.features.shape[1])
    if not pretraining:
        del steps[NOT_PRETRAINED]
    for name, (recipe, relevance) in steps.items():
        on_step(f"the predictor {name}")

        def fit(part: Table, fold: int, recipe: Recipe = recipe, relevance: Relevance = relevance) -> CurvePredictor:
            others = without_held_out(pretraining, everything, part) if recipe.pretraining_passes else ()
            return fit_ensemble(part, learning.image, recipe, seed=100 * fold, relevance=relevance, pretraining=others)

        validated = cross_validate(learning.table, fit)
        measured = {name: validated.metrics()}
        if name == AS_IT_SHIPS:
            measured["without the chance level"] = validated.metrics(validated.unsnapped)
        found += [{"step": step, "tau": one.tau, "r2": one.r2, "mse": one.mse} for step, one in measured.items()]
    return found
