"""Pareto fronts, against the definition."""

import numpy as np

from model.pareto import pareto_ranks


def test_fronts_follow_the_definition_on_random_points() -> None:
    """Front 1 is dominated by nothing; each later one only by earlier ones, and by the one just before it."""
    points = np.random.default_rng(0).integers(0, 6, (60, 3)).astype(float)
    ranks = pareto_ranks(points)

    def dominates(one: int, other: int) -> bool:
        return bool((points[one] <= points[other]).all() and (points[one] < points[other]).any())

    for row, rank in enumerate(ranks):
        above = [int(ranks[other]) for other in range(len(points)) if dominates(other, row)]
        assert max(above, default=0) == rank - 1


def test_equal_points_share_a_front() -> None:
    """Equals do not dominate each other."""
    assert pareto_ranks(np.zeros((3, 2))).tolist() == [1, 1, 1]
