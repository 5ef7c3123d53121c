"""How many networks must be trained to learn from: learning-set size against tau."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from model.artifact import Card
from model.calibration import ChanceLevel, snap
from training.fitting.calibrate import predict_table
from training.fitting.fit_ensemble import fit_ensemble
from training.fitting.recipe import Recipe
from training.metrics import tau
from training.observations.pretraining import PretrainingTable
from training.observations.table import Floats
from training.study.networks import Networks
from training.study.rivals import LSTM, predict, rivals

SIZES = (50, 100, 200, 400, 844)
FEW = 100  # up to this many networks, the draw of the networks matters: it is repeated
DRAWS = 2
SHIPPED = "Peephole, shipped"
METHODS = (SHIPPED, LSTM, "Gaussian process on hand features")


def recipe_of(card: Card | None) -> Recipe:
    """Return the recipe that a card names, or today's."""
    known = {field.name for field in fields(Recipe)}
    recipe = card.training["recipe"] if card else {}
    return Recipe(**{name: value for name, value in recipe.items() if name in known})


@dataclass(frozen=True)
class Shipped:
    """How the predictor that ships was fitted.

    Attributes:
        recipe: of the ensemble.
        pretraining: the tables that its ensemble members are trained on first, without the test networks.
        chance_level: that its predictions are snapped to.
    """

    recipe: Recipe
    pretraining: Sequence[PretrainingTable]
    chance_level: ChanceLevel | None

    def predict(self, fitting: Networks, test: Networks, seed: int) -> Floats:
        """Fit to some networks and return the final accuracies of others [networks]."""
        predictor = fit_ensemble(fitting.table, fitting.image, self.recipe, seed=seed, pretraining=self.pretraining)
        predicted, _ = predict_table(predictor, test.table)
        return (predicted if self.chance_level is None else snap(predicted, *self.chance_level))[:, -1]


def _predict(method: str, fitting: Networks, test: Networks, shipped: Shipped, seed: int) -> Floats:
    if method == SHIPPED:
        return shipped.predict(fitting, test, seed)
    rival = next(one for one in rivals() if one.name == method)
    return predict(rival, fitting, test, seed)[0]


def learning_sizes(
    fitting: Networks,
    test: Networks,
    shipped: Shipped,
    on_step: Callable[[str], None] = lambda step: None,
    sizes: tuple[int, ...] = SIZES,
) -> list[dict[str, Any]]:
    """Fit each method to random parts of the learning set, and predict the test networks.

    Args:
        fitting: the learning set.
        test: the test networks.
        shipped: how the predictor that ships was fitted.
        on_step: called with a description of each fit.
        sizes: numbers of networks; those that leave no choice of networks are left out.

    Returns:
        Rows of `method`, `networks` and `taus`, one for each draw.
    """
    found = []
    for method in METHODS:
        for size in sizes:
            if size >= len(fitting):
                continue
            taus = []
            for draw in range(DRAWS if size <= FEW else 1):
                on_step(f"{method} fitted to {size} networks")
                chosen = np.sort(np.random.default_rng(draw).permutation(len(fitting))[:size])
                predicted = _predict(method, fitting.rows(chosen), test, shipped, draw)
                taus.append(round(tau(test.final, predicted), 4))
            found.append({"method": method, "networks": size, "taus": taus})
    return found
