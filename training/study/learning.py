"""How many networks must be trained to learn from: learning-set size against tau."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np

from model.artifact import Card
from training.calibrate import predict_table
from training.fit_ensemble import Recipe, fit_ensemble
from training.metrics import tau
from training.study.networks import Networks
from training.study.rivals import LSTM, predict, rivals
from training.table import Floats

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


def _predict(method: str, fitting: Networks, asked: Networks, recipe: Recipe, seed: int) -> Floats:
    if method == SHIPPED:
        predictor = fit_ensemble(fitting.table, fitting.image, recipe, seed=seed)
        return np.asarray(predict_table(predictor, asked.table)[0][:, -1], dtype=np.float64)
    rival = next(one for one in rivals() if one.name == method)
    return predict(rival, fitting, asked, seed)[0]


def learning_sizes(
    fitting: Networks,
    asked: Networks,
    recipe: Recipe,
    on_step: Callable[[str], None] = lambda step: None,
    sizes: tuple[int, ...] = SIZES,
) -> list[dict[str, Any]]:
    """Fit each method to random parts of the learning set, and predict the test networks.

    Args:
        fitting: the learning set.
        asked: the test networks.
        recipe: of the predictor that ships.
        on_step: told of each fit.
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
                predicted = _predict(method, fitting.rows(chosen), asked, recipe, draw)
                taus.append(round(tau(asked.final, predicted), 4))
            found.append({"method": method, "networks": size, "taus": taus})
    return found
