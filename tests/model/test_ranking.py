"""Ranks: ties, what they compare, and what networks out of distribution get."""

import numpy as np
import pytest

from model.ranking import Ranking, places, rounded

ACCURACY, LOWER, UPPER = [0.80, 0.70, 0.90], [0.75, 0.72, 0.50], [0.83, 0.75, 0.98]
DISTANCE = [1.0, 0.4, 1.5]


@pytest.mark.parametrize(
    ("final", "expected"),
    [
        ([0.5], [1]),
        ([0.1, 0.9, 0.9, 0.3], [4, 1, 1, 3]),
        ([0.2, 0.2, 0.2], [1, 1, 1]),
        ([0.3000001, 0.3000002, 0.31], [2, 2, 1]),
    ],
)
def test_equals_to_six_decimals_share_the_better_rank(final, expected):
    final = rounded(np.array(final)).tolist()
    assert Ranking().ranks(final, final, final, [0.0] * len(final)) == expected


@pytest.mark.parametrize(("rank_by", "expected"), [("mean", [2, 3, 1]), ("lower", [1, 2, 3]), ("upper", [2, 3, 1])])
def test_ranks_compare_the_mean_or_an_end_of_the_interval(rank_by, expected):
    assert Ranking(rank_by).ranks(ACCURACY, LOWER, UPPER, DISTANCE) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("keep", [2, 3, 1]),
        ("last", [1, 2, 3]),  # a distance of 1.0 is in distribution
        ("penalise", [1, 2, 3]),  # 0.90 - 0.5 * (0.98 - 0.50) = 0.66
    ],
)
def test_networks_out_of_distribution_stay_come_last_or_lose(rule, expected):
    assert Ranking("mean", rule).ranks(ACCURACY, LOWER, UPPER, DISTANCE) == expected


def test_a_penalty_is_the_distance_beyond_the_threshold_times_the_width():
    """Just enough to tie with the second, which then shares its rank."""
    found = Ranking("mean", "penalise").ranks([0.8, 0.7], [0.7, 0.7], [0.9, 0.7], [1.5, 1.0])
    assert found == [1, 1]
    assert Ranking("mean", "penalise").ranks([0.8, 0.7], [0.7, 0.7], [0.9, 0.7], [1.51, 1.0]) == [2, 1]


def test_those_that_come_last_are_ranked_among_themselves():
    assert Ranking("mean", "last").ranks([0.9, 0.8, 0.1], [0.0] * 3, [1.0] * 3, [2.0, 3.0, 0.5]) == [2, 3, 1]


def test_places_take_any_keys():
    assert places([(1, -0.5), (0, -0.1), (0, -0.1)]) == [3, 1, 1]
