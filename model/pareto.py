"""Which of many networks are the best trade-offs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def pareto_ranks(objectives: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
    """Return the front that each row belongs to: 1 is dominated by no row, 2 by rows of front 1 alone, and so on.

    A row dominates another when it is at most as large in every column and smaller in one (Deb et al., NSGA-II,
    section III.A).

    Args:
        objectives: to be minimised [networks, objectives].
    """
    at_most = np.ones((len(objectives), len(objectives)), dtype=bool)
    smaller = np.zeros_like(at_most)
    for column in objectives.T:
        at_most &= column[:, None] <= column
        smaller |= column[:, None] < column
    dominates = at_most & smaller
    ranks = np.zeros(len(objectives), dtype=np.intp)
    dominating = dominates.sum(0)
    front, rank = np.flatnonzero(dominating == 0), 1
    while len(front):
        ranks[front] = rank
        dominating = dominating - dominates[front].sum(0)
        dominating[ranks > 0] = -1
        front, rank = np.flatnonzero(dominating == 0), rank + 1
    return ranks
