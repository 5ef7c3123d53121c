"""Costs, constraints and objectives of `POST /predict`, and the image that networks are counted for."""

from typing import Any

import pytest
from starlette.testclient import TestClient

CONV = {"type": "conv", "kernel_size": 3, "out_channels": 16}
NORM, RELU = {"type": "batch_norm"}, {"type": "relu"}


def post(client: TestClient, *architectures: dict[str, Any], **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.post("/predict", json={"architectures": list(architectures), **fields}).json()
    return found


def test_costs_are_those_of_the_listed_layers_on_the_given_image(client: TestClient) -> None:
    """By hand: 3x3 from 3 to 16 channels has 432 weights; a bias unless only batch_norm reads it."""
    alone, normalised = post(client, {"layers": [CONV]}, {"layers": [CONV, NORM]}, input=[3, 10, 20])["predictions"]
    assert (alone["params"], normalised["params"]) == (432 + 16, 432 + 2 * 16)
    assert alone["flops"] == normalised["flops"] == 2 * 432 * 200
    assert (alone["activation_bytes"], normalised["activation_bytes"]) == (4 * 200 * (3 + 16), 4 * 200 * (16 + 16))


def test_another_image_changes_flops_and_not_parameters(client: TestClient) -> None:
    """Four times the pixels are four times the FLOPs; `in_channels` is checked against the given image."""
    small, large = (post(client, {"layers": [CONV]}, input=[3, size, size])["predictions"][0] for size in (8, 16))
    assert (large["flops"], large["params"]) == (4 * small["flops"], small["params"])
    (fault,) = post(client, {"layers": [CONV], "in_channels": 3}, input=[1, 8, 8])["errors"]
    assert (fault["pointer"], fault["detail"]) == ("/architectures/0/in_channels", "the images have 1 channels")


def test_constraints_mark_what_is_feasible_and_leave_the_rank(client: TestClient) -> None:
    """A bound holds up to and including its value; costs of the client count as ours do."""
    bodies = [{"layers": [CONV], "costs": {"latency_ms": 3}}, {"layers": [RELU], "costs": {"latency_ms": 4}}]
    plain = post(client, *bodies)["predictions"]
    assert all("feasible" not in one and "pareto_rank" not in one for one in plain)
    bound = post(client, *bodies, constraints={"latency_ms": 3, "params": 448})["predictions"]
    assert [one["feasible"] for one in bound] == [True, False]
    assert [one["rank"] for one in bound] == [one["rank"] for one in plain]


def test_objectives_give_fronts(client: TestClient) -> None:
    """A network that costs more and is predicted no better than another is on a later front."""
    bodies = [{"layers": [RELU], "costs": {"watts": watts}} for watts in (2, 1, 3)]
    found = post(client, *bodies, objectives=["accuracy", "watts"])["predictions"]
    assert [one["pareto_rank"] for one in found] == [2, 1, 3]


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"constraints": {"joules": 1}}, "/constraints/joules"),
        ({"objectives": ["accuracy", "joules"]}, "/objectives/1"),
        ({"objectives": ["watts"]}, "/architectures/1/costs"),
        ({"objectives": ["params", "params"]}, "/objectives"),
        ({"constraints": {}}, "/constraints"),
        ({"input": [3, 32]}, "/input/2"),
        ({"input": [3, 0, 32]}, "/input/1"),
    ],
)
def test_what_cannot_be_weighed_is_a_422_at_its_place(client: TestClient, fields: dict[str, Any], where: str) -> None:
    """Unknown names, a cost that one network lacks, repeats, and images without pixels."""
    found = post(client, {"layers": [RELU], "costs": {"watts": 1}}, {"layers": [RELU]}, **fields)
    assert found["status"] == 422
    assert [fault["pointer"] for fault in found["errors"]] == [where]
