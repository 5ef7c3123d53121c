"""`rank_by` and `out_of_distribution` of `POST /predict`."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.service.graphs import FAR_LAYERS
from tests.service.requests import RELU, problem

WIDE = {"type": "conv", "kernel_size": 3, "out_channels": 512}
NETWORKS = [{"layers": [RELU] * 3}, {"layers": [RELU] * (FAR_LAYERS + 5)}, {"layers": [WIDE, RELU]}]


def predict(client: TestClient, **fields: Any) -> list[dict[str, Any]]:
    response = client.post("/predict", json={"architectures": NETWORKS, **fields})
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["predictions"]
    return found


def by_hand(scores: list[Any]) -> list[int]:
    return [1 + sum(other > score for other in scores) for score in scores]


def test_ranks_follow_the_request(client: TestClient) -> None:
    """By either end of the interval, and with each rule for the second network, which is out of distribution."""
    plain = predict(client)
    assert [one["in_distribution"] for one in plain] == [True, False, True]
    final = [one["final_accuracy"] for one in plain]
    assert [one["rank"] for one in plain] == by_hand(final)
    for end in ("lower", "upper"):
        assert [one["rank"] for one in predict(client, rank_by=end)] == by_hand([one[end][-1] for one in plain])
    last = predict(client, out_of_distribution="last")
    assert [one["rank"] for one in last] == by_hand(
        [(one["in_distribution"], score) for one, score in zip(plain, final, strict=True)]
    )
    penalties = [max(0.0, one["distance"] - 1) * (one["upper"][-1] - one["lower"][-1]) for one in plain]
    penalised = predict(client, out_of_distribution="penalise")
    assert [one["rank"] for one in penalised] == by_hand(
        [score - penalty for score, penalty in zip(final, penalties, strict=True)]
    )
    assert all(one["final_accuracy"] == score for one, score in zip(penalised, final, strict=True)), "ranks alone move"


def test_the_interval_is_that_of_the_largest_requested_epoch(client: TestClient) -> None:
    plain = predict(client, epochs=[5, 1])
    found = predict(client, epochs=[5, 1], rank_by="lower")
    assert [one["rank"] for one in found] == by_hand([one["lower"][0] for one in plain])


@pytest.mark.parametrize(
    ("fields", "choices"),
    [({"rank_by": "median"}, "'mean', 'lower' or 'upper'"), ({"out_of_distribution": "drop"}, "'keep', 'last' or")],
)
def test_unknown_rules_are_rejected_with_the_choices(client: TestClient, fields: dict[str, str], choices: str) -> None:
    (fault,) = problem(client.post("/predict", json={"architectures": NETWORKS, **fields}), 422)["errors"]
    assert fault["pointer"] == f"/{next(iter(fields))}"
    assert choices in fault["detail"]
