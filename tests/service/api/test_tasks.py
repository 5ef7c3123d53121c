"""`GET /tasks` and `/tasks/{name}`: what is predicted, for people."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from model.artifact import ZOO, TaskDescription, read_artifact, shipped
from model.network.layer_types import LAYER_TYPES
from tests.service import graphs
from tests.service.api.conftest import TASK
from tests.service.conftest import Serve
from tests.service.requests import problem

ABOUT: dict[str, Any] = {
    "measured": "validation accuracy on 1,000 images",
    "search_space": "chains of 2 to 60 layers",
    "training_recipe": {"optimiser": "SGD", "learning_rate": 0.1, "epochs": 5},
    "limits": ["nothing but chains"],
}


def test_the_tasks_are_listed_in_a_line_each(serve: Serve, tiny: Path, tiny_paper: Path) -> None:
    client = serve(models=(tiny_paper, tiny))
    first, second = client.get("/tasks").json()[:2]  # stored ones come behind
    assert first == {
        "task": "tiny",
        "description": "sums its codes",
        "epochs": graphs.EPOCHS,
        "input": [3, 32, 32],
        "version": "1",
    }
    assert second["task"] == "tiny-paper"
    assert list(client.get("/info").json()["tasks"]) == ["tiny", "tiny-paper"]


def test_a_task_says_what_its_predictions_stand_for(serve: Serve, tmp_path: Path) -> None:
    """What was measured, on which networks, how they were trained, how well they are predicted, and the limits."""
    metrics = {
        "cross_validation": {"tau": 0.7, "r2": 0.8, "curve_mae": 0.02, "interval_coverage": 0.91},
        "noise_ceiling": {"tau": 0.9},
    }
    folder = graphs.artifact(
        tmp_path / "own", about=TaskDescription(**ABOUT), metrics=metrics, training={"networks": 120}
    )
    task = serve(models=(folder,)).get("/tasks/tiny").json()
    assert task["measured"] == ABOUT["measured"]
    assert task["training_recipe"] == ABOUT["training_recipe"]
    assert task["limits"] == ABOUT["limits"]
    space = task["search_space"]
    assert space["description"] == ABOUT["search_space"]
    assert space["layer_types"] == list(LAYER_TYPES)
    assert (space["layers"], space["networks"]) == ([2, 60], 120)
    assert task["quality"] == {
        "tau": 0.7,
        "tau_ceiling": 0.9,
        "r2": 0.8,
        "mean_absolute_error": 0.02,
        "interval_level": 0.9,
        "interval_coverage": 0.91,
        "out_of_fold": None,
    }
    assert (task["continues_curves"], task["reads_weights"]) == (False, False)


def test_a_card_without_a_description_is_served_too(client: TestClient) -> None:
    """As those of a user's own fit: what is not known is null."""
    task = client.get("/tasks/tiny").json()
    assert task["measured"] is task["training_recipe"] is task["quality"]["tau"] is None
    assert task["limits"] == []


def test_the_layer_types_are_those_of_the_tasks_code(serve: Serve, tiny_paper: Path) -> None:
    """The paper's code knows seven types; others are rejected."""
    client = serve(models=(tiny_paper,))
    types = client.get("/tasks/tiny-paper").json()["search_space"]["layer_types"]
    assert types == ["conv", "max_pool", "avg_pool", "relu", "sigmoid", "tanh", "batch_norm"]
    for kind in ("tanh", "gelu", "dropout"):
        response = client.post("/predict", json={"architectures": [{"layers": [{"type": kind}]}]})
        assert response.status_code == (200 if kind in types else 422)


def test_a_shipped_task_tells_what_it_can_do(mini: TestClient) -> None:
    task = mini.get(f"/tasks/{TASK}").json()
    card = read_artifact(ZOO / TASK).card
    assert (task["task"], task["version"], task["epochs"]) == (TASK, card.version, card.epochs)
    assert (task["continues_curves"], task["reads_weights"]) == (True, True)
    assert 0 < task["quality"]["tau"] < task["quality"]["tau_ceiling"] < 1
    points = task["quality"]["out_of_fold"]
    assert points["networks"] == card.metrics["cross_validation"]["networks"]
    assert 0 < len(points["measured"]) == len(points["predicted"]) <= 300


def test_an_unknown_task_lists_those_there_are(client: TestClient) -> None:
    document = problem(client.get("/tasks/other"), 404)
    assert document["detail"] == "The tasks are: tiny."


@pytest.mark.parametrize("name", [folder.name for folder in shipped()])
def test_every_shipped_task_is_described(serve: Serve, name: str) -> None:
    client = serve(models=(ZOO / name,))
    task = client.get(f"/tasks/{name}").json()
    assert task["description"]
    assert task["search_space"]["networks"] > 100
    assert task["quality"]["tau"] > 0.5
