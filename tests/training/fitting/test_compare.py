"""Which of two predictors is published."""

import pytest

from training.fitting.compare import Comparison

CONTEXT = {"tau": 0.5, "r2": 0.5, "mse": 0.01, "mae": 0.1}


@pytest.mark.parametrize(
    ("artifact", "is_better"),
    [({"tau": 0.6, "mae": 0.2}, True), ({"tau": 0.4, "mae": 0.01}, False), ({"mae": 0.09}, True), ({}, False)],
    ids=["it ranks better", "it ranks worse", "equal ranks, smaller errors", "equal"],
)
def test_the_artifact_is_better_when_it_ranks_better(artifact: dict[str, float], is_better: bool) -> None:
    assert Comparison(CONTEXT | artifact, CONTEXT).artifact_is_better == is_better
