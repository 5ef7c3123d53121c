"""What each step of the shipped predictor is worth: cross-validation on the learning set without it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.networks.predictor import CurvePredictor
from model.networks.signal_propagation import SIGNAL_FEATURES
from training.calibrate import cross_validate
from training.fit_ensemble import Recipe, explained, fit_ensemble
from training.study.networks import Networks
from training.table import Table

Array = NDArray[np.floating]
Relevance = Callable[[Array, Array], Array]


def _alike(features: Array, targets: Array) -> Array:
    """Every feature counts the same, and all are kept."""
    del targets
    return np.full(features.shape[1], 1 / features.shape[1])


def _without_signal(features: Array, targets: Array) -> Array:
    """Signal propagation comes last among the features; none of it is kept."""
    others = explained(features[:, :-SIGNAL_FEATURES], targets)
    return np.concatenate([others, np.zeros(SIGNAL_FEATURES)])


def _steps(recipe: Recipe, features: int) -> dict[str, tuple[Recipe, Relevance]]:
    return {
        "as it ships": (recipe, explained),
        "one member instead of four": (replace(recipe, members=1), explained),
        "without the Gaussian process": (replace(recipe, process_weight=0.0), explained),
        "the Gaussian process alone": (replace(recipe, members=1, process_weight=1.0), explained),
        "without signal propagation": (recipe, _without_signal),
        "all features alike": (replace(recipe, features=features), _alike),
        "without the ranking term": (replace(recipe, ranking_weight=0.0), explained),
    }


def ablate(learning: Networks, on_step: Callable[[str], None] = lambda step: None) -> list[dict[str, Any]]:
    """Return rows of `step`, `tau`, `r2` and `mse`, the mean over five folds.

    Args:
        learning: the learning set.
        on_step: told of each step.
    """
    found = []
    for name, (recipe, relevance) in _steps(Recipe(), learning.features.shape[1]).items():
        on_step(f"the predictor {name}")

        def fit(part: Table, fold: int, recipe: Recipe = recipe, relevance: Relevance = relevance) -> CurvePredictor:
            return fit_ensemble(part, learning.image, recipe, seed=100 * fold, relevance=relevance)

        metrics = cross_validate(learning.table, fit).metrics
        found.append({"step": name, "tau": metrics.tau, "r2": metrics.r2, "mse": metrics.mse})
    return found
