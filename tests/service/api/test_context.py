"""`POST /predict` with a context: measured networks of a data set of the client's own, and shipped priors."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau
from starlette.testclient import TestClient

from model.network.schema import LAYERS
from service.app import create_app
from service.settings import Settings
from tests.service.requests import RELU, problem
from training.observations.observation import Observation
from training.observations.read import read

INPUT = [3, 16, 16]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service with the predictors that ship, and a database of its own."""
    with TestClient(create_app(Settings(state=tmp_path_factory.mktemp("state")))) as client:
        while client.get("/readyz").status_code != 200:
            pass
        yield client


@pytest.fixture(scope="module")
def rows() -> list[Observation]:
    """Measured networks of the test split of cifar10-mini, which no prior has seen."""
    found = {row.network_id: row for row in read(Path("data/cifar10-mini.parquet")) if row.split == "test"}
    return [row for row in found.values() if len(row.accuracy) == 10 and row.space != "families"][:120]


def item(row: Observation, accuracy: Any) -> dict[str, Any]:
    return {"layers": LAYERS.dump_python(row.layers, mode="json"), "accuracy": accuracy}


def ask(client: TestClient, known: list[dict[str, Any]], asked: list[Observation], **fields: Any) -> dict[str, Any]:
    architectures = [{"layers": LAYERS.dump_python(row.layers, mode="json")} for row in asked]
    body = {"input": INPUT, "context": known, "architectures": architectures, **fields}
    response = client.post("/predict", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_twenty_measured_networks_and_a_prior_rank_others(shipped: TestClient, rows: list[Observation]) -> None:
    """With 20 networks and the prior of mnist-mini tau is above 0.6; without a prior it is lower. Both say so."""
    known = [item(row, row.accuracy[-1]) for row in rows[:20]]
    truth = [row.accuracy[-1] for row in rows[20:]]
    taus = {}
    for prior in ("mnist-mini", None):
        found = ask(shipped, known, rows[20:], epochs=10, prior=prior)
        assert (found["model"]["prior"], found["model"]["networks"], found["epochs"]) == (prior, 20, [10])
        taus[prior] = kendalltau(truth, [one["final_accuracy"] for one in found["predictions"]]).statistic
        assert -1 <= found["model"]["tau"] <= 1
        assert sorted(one["rank"] for one in found["predictions"])[0] == 1
    assert taus["mnist-mini"] > 0.6
    assert taus["mnist-mini"] > taus[None]


def test_auto_chooses_a_prior_by_itself(shipped: TestClient, rows: list[Observation]) -> None:
    """Of the shipped predictors, one of a data set and recipe much like the context's is the likeliest."""
    known = [item(row, row.accuracy[-1]) for row in rows[:40]]
    assert ask(shipped, known, rows[40:42])["model"]["prior"] in {"cifar10-mini", "mnist-mini"}


def test_curves_in_the_context_give_curves(shipped: TestClient, rows: list[Observation]) -> None:
    """Measured curves of ten epochs: chosen epochs come back, with intervals around them."""
    known = [item(row, row.accuracy) for row in rows[:40]]
    found = ask(shipped, known, rows[40:], epochs=[2, 10], prior="mnist-mini")
    curves = np.array([one["accuracy"] for one in found["predictions"]])
    measured = np.array([[row.accuracy[1], row.accuracy[9]] for row in rows[40:]])
    lower, upper = (np.array([one[side] for one in found["predictions"]]) for side in ("lower", "upper"))
    assert ((lower <= measured) & (measured <= upper)).mean() > 0.75
    assert np.abs(curves - measured).mean() < 0.06


def test_one_answer_does_not_depend_on_the_others(shipped: TestClient, rows: list[Observation]) -> None:
    """A network alone gets what it gets among others."""
    known = [item(row, row.accuracy[-1]) for row in rows[:20]]
    together = ask(shipped, known, rows[20:30], prior="mnist-mini")["predictions"][3]
    alone = ask(shipped, known, rows[23:24], prior="mnist-mini")["predictions"][0]
    assert alone["final_accuracy"] == pytest.approx(together["final_accuracy"], abs=2e-6)


def test_a_stored_task_is_predicted_from_what_it_holds(shipped: TestClient, rows: list[Observation]) -> None:
    """What is answered for stored observations is what is answered for them as a context; fewer than 3 are a 409."""
    known = [item(row, row.accuracy[-1]) for row in rows[:20]]
    created = shipped.put("/tasks/mine", json={"input": INPUT, "prior": "mnist-mini"})
    assert created.status_code == 201, created.text
    body = {"task": "mine", "architectures": [{"layers": known[0]["layers"]}, {"layers": known[1]["layers"]}]}
    for part, status in ((known[:2], 409), (known[2:], 200)):
        assert shipped.post("/tasks/mine/observations", json={"observations": part}).status_code == 200
        response = shipped.post("/predict", json=body)
        assert response.status_code == status, response.text
    in_context = ask(shipped, known, rows[:2], prior="mnist-mini")
    assert response.json()["predictions"] == in_context["predictions"]
    assert response.json()["model"] == in_context["model"]


def test_an_unknown_task_is_a_422_that_lists_the_tasks(shipped: TestClient) -> None:
    """Neither loaded nor stored."""
    response = shipped.post("/predict", json={"task": "nobodys", "architectures": [{"layers": [RELU]}]})
    (fault,) = problem(response, 422)["errors"]
    assert (fault["pointer"], fault["code"]) == ("/task", "unknown-task")


MEASURED = {"layers": [RELU], "accuracy": 0.5}
BAD = {"layers": [RELU, {"type": "add", "inputs": ["nowhere", "input"]}], "accuracy": 0.5}


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"context": [MEASURED] * 2}, "/context"),
        ({"context": [MEASURED] * 3, "input": None}, "/input"),
        ({"context": [MEASURED] * 3, "task": "mnist-mini"}, "/task"),
        ({"context": [MEASURED] * 3, "prior": "nobody"}, "/prior"),
        ({"context": [MEASURED, MEASURED, {"layers": [RELU], "accuracy": 71}]}, "/context/2/accuracy"),
        ({"context": [MEASURED, MEASURED, {"layers": [RELU], "accuracy": [0.1, 0.2]}]}, "/context/2/accuracy"),
        ({"context": [MEASURED, BAD, MEASURED]}, "/context/1/layers/1/inputs"),
        ({"context": [MEASURED] * 3, "epochs": [1, 2]}, "/epochs"),
        ({"prior": "mnist-mini", "task": "mnist-mini"}, "/prior"),
    ],
)
def test_a_mistake_is_a_422_at_its_place(shipped: TestClient, fields: dict[str, Any], where: str) -> None:
    """Too few networks, no image, a task beside it, an unknown prior, percent, unequal curves, a broken network."""
    body = {"input": INPUT, "architectures": [{"layers": [RELU]}], **fields}
    response = shipped.post("/predict", json={name: value for name, value in body.items() if value is not None})
    assert [fault["pointer"] for fault in problem(response, 422)["errors"]] == [where]
