"""What a shipped predictor's recipe says of networks that it was not fitted to."""

from collections.abc import Callable, Sequence
from dataclasses import fields

from model.artifact import Card
from model.networks.predictor import CurvePredictor
from training.calibrate import OutOfFold, cross_validate
from training.fit_ensemble import Recipe, fit_ensemble
from training.fit_peephole import PeepholeRecipe, fit_peephole
from training.observations import Observation, ObservationError, held_out
from training.table import Table, tabulate


def _recipe(card: Card) -> Recipe:
    known = {field.name for field in fields(Recipe)}
    return Recipe(**{name: value for name, value in card.training.get("recipe", {}).items() if name in known})


def out_of_fold(
    observations: Sequence[Observation], card: Card, *, seed: int = 0, on_fit: Callable[[str], None] = lambda _: None
) -> tuple[Table, OutOfFold]:
    """Cross-validate the recipe that a card names on the card's task and split.

    Raises:
        ObservationError: when the table has no rows of the task, or its curves are longer than the card's.
    """
    rows = [row for row in observations if row.task == card.task]
    if not rows:
        raise ObservationError(f"the table holds no task {card.task}")
    used = [row for row in rows if not (card.training.get("split") == "train" and held_out(row.architecture))]
    table = tabulate(used, card.layer_code, card.image, clamp=True)
    if table.epochs != card.epochs:
        raise ObservationError(f"curves of {table.epochs} epochs; the predictor of {card.task} has {card.epochs}")

    def fit_once(part: Table, fold: int) -> CurvePredictor:
        on_fit(f"fold {fold + 1}")
        if card.code == "paper":
            return fit_peephole(part, card.layer_code, PeepholeRecipe(), seed=seed + fold)
        return fit_ensemble(part, card.image, _recipe(card), seed=seed + 100 * fold)

    return table, cross_validate(table, fit_once, seed=seed)
