"""Out-of-fold predictions by a shipped predictor's recipe."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.artifact import Card
from model.runtime import CurvePredictor
from training.fitting.calibrate import OutOfFold, cross_validate
from training.fitting.fit_ensemble import fit_ensemble
from training.fitting.fit_peephole import PeepholeRecipe, fit_peephole
from training.fitting.recipe import Recipe
from training.observations.dataset import CurveDataset, to_dataset, training_split
from training.observations.observation import Observation, ObservationError
from training.observations.pretraining import PretrainingTable, pretraining_tables, without_held_out


@dataclass(frozen=True)
class Prior:
    """Networks, and their curves as predicted before training by predictors not fitted to them.

    Attributes:
        table: the networks and their measured curves.
        predicted: accuracies [networks, epochs].
        fold: which fold predicted each network [networks].
    """

    table: CurveDataset
    predicted: NDArray[np.floating]
    fold: NDArray[np.intp]


def _recipe(card: Card) -> Recipe:
    known = {field.name for field in fields(Recipe)}
    return Recipe(**{name: value for name, value in card.training.get("recipe", {}).items() if name in known})


def _pretraining(card: Card, tables: Sequence[Sequence[Observation]]) -> list[PretrainingTable]:
    """Return the pretraining tables of a predictor."""
    found = pretraining_tables(tables, card.task, card.layer_code, card.image, card.training.get("split", "all"))
    wanted, given = sorted(card.training.get("pretrained_on", {})), sorted(one.task for one in found)
    if wanted != given:
        raise ObservationError(
            f"the predictor of {card.task} was pretrained on {', '.join(wanted) or 'nothing'}, not on "
            f"{', '.join(given) or 'nothing'}; give exactly those tables (--pretrain)"
        )
    return found


def _cross_validate(
    table: CurveDataset,
    everything: CurveDataset,
    pretraining: Sequence[PretrainingTable],
    card: Card,
    seed: int,
    on_fit: Callable[[str], None],
) -> OutOfFold:
    def fit_once(part: CurveDataset, fold: int) -> CurvePredictor:
        on_fit(f"fold {fold + 1}")
        if card.code == "paper":
            return fit_peephole(part, card.layer_code, PeepholeRecipe(), seed=seed + fold)
        others = without_held_out(pretraining, everything, part)
        return fit_ensemble(part, card.image, _recipe(card), seed=seed + 100 * fold, pretraining=others)

    return cross_validate(table, fit_once, seed=seed)


def out_of_fold(
    observations: Sequence[Observation],
    card: Card,
    *,
    pretraining: Sequence[Sequence[Observation]] = (),
    seed: int = 0,
    cache: Path | None = None,
    on_fit: Callable[[str], None] = lambda _: None,
) -> Prior:
    """Cross-validate the recipe that a card names on the card's task and split.

    Args:
        observations: rows; those of other tasks are left out.
        card: of the predictor.
        pretraining: tables of the other tasks that the ensemble members were trained on first.
        seed: fixes folds and initial weights.
        cache: a folder where predictions are kept and found again, for the same rows and predictor.
        on_fit: called with a description of each fold.

    Raises:
        ObservationError: when the table has no rows of the task, or its curves are not as long as the card's, or
            the pretraining tables are not those of the card.
    """
    rows = [row for row in observations if row.task == card.task]
    if not rows:
        raise ObservationError(f"the table holds no task {card.task}")
    others = _pretraining(card, pretraining)
    everything = to_dataset(rows, card.layer_code, card.image)
    if card.training.get("split") == "train":
        rows, _ = training_split(rows, card.layer_code, card.image)
    if not rows:
        raise ObservationError(f"the table holds no network of {card.task} in the train split")
    table = to_dataset(rows, card.layer_code, card.image)
    if table.epochs != card.epochs:
        raise ObservationError(f"curves of {table.epochs} epochs; the predictor of {card.task} has {card.epochs}")
    if cache is None:
        validated = _cross_validate(table, everything, others, card, seed, on_fit)
        return Prior(table, validated.predicted, validated.fold)
    # the predictor's digest stands for what the recipe does not hold, such as how its members are built
    content = f"{card.sha256} {_recipe(card)} chance level {seed} {table.network_ids}".encode() + table.curves.tobytes()
    content += b"".join(other.table.curves.tobytes() for other in others)
    file = cache / f"{card.task}-{hashlib.sha256(content).hexdigest()[:12]}.npz"
    if not file.exists():
        validated = _cross_validate(table, everything, others, card, seed, on_fit)
        cache.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(file, predicted=validated.predicted, fold=validated.fold)
    with np.load(file) as kept:
        return Prior(table, kept["predicted"], kept["fold"])
