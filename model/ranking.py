"""How accuracies are given to callers: rounded, and ranked by what is left.

By the mean alone, a search is drawn to networks that the predictor does not know, where errors are largest and only the
lucky ones are kept. The lower end of the interval keeps to what is known well; the upper end explores. Networks out of
distribution stay, come last, or lose (distance - 1) times the width of their interval.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

DECIMALS = 6
UNLIKE = "unlike the training set (distance above 1); trust the interval less"
"""A note on a prediction."""

RankBy = Literal["mean", "lower", "upper"]
OutOfDistribution = Literal["keep", "last", "penalise"]


@dataclass(frozen=True, slots=True)
class Ranking:
    """How networks are ranked.

    Attributes:
        rank_by: the final accuracy, or the lower or upper end of its interval.
        out_of_distribution: what networks of a distance above 1 get: nothing, the last ranks, or a penalty.
    """

    rank_by: RankBy = "mean"
    out_of_distribution: OutOfDistribution = "keep"

    def ranks(
        self, accuracy: Sequence[float], lower: Sequence[float], upper: Sequence[float], distance: Sequence[float]
    ) -> list[int]:
        """Rank networks: 1 is the best, equals share the better rank.

        Args:
            accuracy: final ones, rounded [networks].
            lower: end of their intervals, rounded [networks].
            upper: the same.
            distance: from the training set, 1.0 is the threshold [networks].
        """
        ends = {"mean": accuracy, "lower": lower, "upper": upper}
        scores = ends[self.rank_by]
        if self.out_of_distribution == "last":
            return places([(away > 1, -score) for score, away in zip(scores, distance, strict=True)])
        if self.out_of_distribution == "penalise":
            beyond = [max(0.0, away - 1) for away in distance]
            rows = zip(scores, beyond, lower, upper, strict=True)
            scores = rounded(np.array([score - more * (high - low) for score, more, low, high in rows])).tolist()
        return places([-score for score in scores])


def rounded(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Round to `DECIMALS`."""
    return values.astype(np.float64).round(DECIMALS)


def places(keys: Sequence[Any]) -> list[int]:
    """Return the place of each key in ascending order, from 1; equals share the first."""
    found: dict[Hashable, int] = {}
    for place, key in enumerate(sorted(keys), 1):
        found.setdefault(key, place)
    return [found[key] for key in keys]
