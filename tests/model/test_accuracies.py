"""Accuracies as callers get them."""

import numpy as np
import pytest

from model.accuracies import ranks, rounded


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
    assert ranks(rounded(np.array(final)).tolist()) == expected
