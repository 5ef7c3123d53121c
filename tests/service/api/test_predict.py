"""`POST /predict`: responses are the model's, in the order and under the names of the request."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from model.artifact import ZOO, read_artifact
from model.encoding.layer_code import encode
from model.network.schema import LAYERS
from tests.service import graphs
from tests.service.conftest import Serve
from tests.service.requests import RELU, metric, network, problem

CONV = {"type": "conv", "kernel_size": 3, "out_channels": 16}


def curve(layers: list[Any], epochs: list[int], tiny: Path) -> list[float]:
    """Return the accuracy that the tiny predictor's formula gives."""
    card = read_artifact(tiny).card
    codes = encode(layers, card.layer_code, card.image).codes
    return [1 / (1 + math.exp(-graphs.expected_logit(codes, epoch))) for epoch in epochs]


def predict(client: TestClient, *architectures: dict[str, Any], **fields: Any) -> dict[str, Any]:
    response = client.post("/predict", json={"architectures": list(architectures), **fields})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_the_response_is_the_models_for_every_epoch(client: TestClient, tiny: Path) -> None:
    """Without `epochs` the whole curve comes back, equal to the formula of the graph."""
    layers: list[Any] = [
        CONV,
        {"type": "batch_norm"},
        RELU,
        {"type": "conv", "kernel_size": (3, 5), "channel_ratio": 1.5},
    ]
    response = predict(client, {"id": "a", "in_channels": 3, "layers": layers})
    assert response["epochs"] == [1, 2, 3, 4, 5]
    (prediction,) = response["predictions"]
    np.testing.assert_allclose(prediction["accuracy"], curve(layers, response["epochs"], tiny), atol=1e-5)
    np.testing.assert_allclose(prediction["lower"], np.array(prediction["accuracy"]) - 0.1, atol=1e-5)
    np.testing.assert_allclose(prediction["upper"], np.array(prediction["accuracy"]) + 0.1, atol=1e-5)
    assert prediction["final_accuracy"] == prediction["accuracy"][-1]
    assert response["model"] == {"task": "tiny", "version": "1", "sha256": read_artifact(tiny).card.sha256}


def test_order_names_and_ranks_of_several_networks(client: TestClient, tiny: Path) -> None:
    """Networks of mixed lengths come back in request order, each with its own curve; equals share a rank."""
    lists = [[CONV, RELU] * n for n in (3, 1, 9, 1, 30)]
    found = predict(client, *({"id": str(i), "layers": layers} for i, layers in enumerate(lists)), epochs=[4, 2])
    assert [prediction["id"] for prediction in found["predictions"]] == list("01234")
    for prediction, layers in zip(found["predictions"], lists, strict=True):
        np.testing.assert_allclose(prediction["accuracy"], curve(layers, [4, 2], tiny), atol=1e-5)
        assert prediction["final_accuracy"] == prediction["accuracy"][0], "final is the largest epoch, here the first"
    assert [prediction["rank"] for prediction in found["predictions"]] == [3, 4, 2, 4, 1]


def test_epochs_may_be_an_integer(client: TestClient) -> None:
    """`4` means `[4]`."""
    one, listed = (predict(client, {"layers": [CONV]}, epochs=epochs) for epochs in (4, [4]))
    assert one["epochs"] == listed["epochs"] == [4]
    assert one["predictions"] == listed["predictions"]
    assert len(one["predictions"][0]["accuracy"]) == 1


def test_missing_ids_are_null(client: TestClient) -> None:
    """A network without a name is answered without one; the order tells which it is."""
    found = predict(client, {"layers": [CONV]}, {"id": "b", "layers": [RELU]}, {"id": None, "layers": [RELU]})
    assert [prediction["id"] for prediction in found["predictions"]] == [None, "b", None]


@pytest.mark.parametrize("name", ["", "\u7f51\u7edc-\U0001f680", "a/b~c", "\u202eabc", "x" * 200, "e\u0301"])
def test_an_id_comes_back_as_it_was_sent(client: TestClient, name: str) -> None:
    (prediction,) = predict(client, {"id": name, "layers": [RELU]})["predictions"]
    assert prediction["id"] == name


@pytest.mark.parametrize("field", ["id", "in_channels", "observed"])
def test_null_means_absent(client: TestClient, field: str) -> None:
    plain, with_null = (predict(client, {"layers": [CONV]} | fields) for fields in ({}, {field: None}))
    assert plain["predictions"] == with_null["predictions"]
    assert predict(client, {"layers": [CONV]}, task=None, epochs=None)["predictions"] == plain["predictions"]


def test_the_distance_tells_what_is_out_of_distribution(client: TestClient) -> None:
    """1.0 is the threshold: beyond it a prediction is not in distribution and carries a note."""
    near, at, far = predict(client, *({"layers": [RELU] * n} for n in (20, 40, 41)))["predictions"]
    assert [near["distance"], at["distance"], far["distance"]] == [0.5, 1.0, 1.025]
    assert [one["in_distribution"] for one in (near, at, far)] == [True, True, False]
    assert near["notes"] == at["notes"] == []
    assert far["notes"] == ["unlike the training set (distance above 1); trust the interval less"]


def test_networks_longer_or_shorter_than_the_training_set_carry_a_note(client: TestClient) -> None:
    (short,) = predict(client, {"layers": [RELU]})["predictions"]
    assert short["notes"] == ["1 layers; the training set has networks of 2 to 60"]


def test_the_papers_code_takes_the_nearest_ratio_and_says_so(serve: Serve, tiny_paper: Path) -> None:
    """The extended code knows any ratio; Table 1 of the paper ends at 3."""
    layers: list[Any] = [CONV, RELU, {"type": "conv", "kernel_size": 1, "channel_ratio": 100.0}, RELU]
    client = serve(models=(tiny_paper,))
    for _ in range(2):
        (prediction,) = predict(client, {"layers": layers})["predictions"]
        (note,) = prediction["notes"]
        assert note.startswith("/layers/2: channel ratio 100 is outside 0.25 to 3; took the nearest")


def test_any_kernel_ratio_and_stride_is_predicted(client: TestClient, tiny: Path) -> None:
    layers: list[Any] = [
        CONV | {"kernel_size": [1, 7], "stride": 9},
        {"type": "conv", "kernel_size": 1, "channel_ratio": 100.0},
        {"type": "max_pool", "kernel_size": 9},
    ]
    (prediction,) = predict(client, {"layers": layers}, epochs=1)["predictions"]
    assert prediction["notes"] == []
    assert prediction["accuracy"] == pytest.approx(curve(layers, [1], tiny), abs=1e-5)


RESIDUAL = [
    CONV,
    RELU | {"name": "stem"},
    CONV,
    {"type": "batch_norm", "name": "branch"},
    {"type": "add", "inputs": ["branch", "stem"]},
]
DEPTHWISE = [CONV, CONV | {"groups": "depthwise"}, {"type": "hard_swish"}, CONV | {"kernel_size": 1}]
SQUEEZE_EXCITE = [
    CONV | {"name": "body"},
    {"type": "global_avg_pool"},
    CONV | {"kernel_size": 1, "out_channels": 4},
    {"type": "silu"},
    CONV | {"kernel_size": 1},
    {"type": "sigmoid", "name": "gate"},
    {"type": "mul", "inputs": ["body", "gate"]},
]
DENSE = [
    CONV | {"name": "a"},
    CONV | {"name": "b"},
    {"type": "concat", "inputs": ["a", "b", "input"]},
    {"type": "flatten"},
    {"type": "linear", "out_features": 10},
]


@pytest.mark.parametrize("layers", [RESIDUAL, DEPTHWISE, SQUEEZE_EXCITE, DENSE])
def test_graphs_are_predicted(serve: Serve, tiny: Path, layers: list[Any]) -> None:
    """By the formula of the test's predictor, and by one that ships; wherever they stand in a request."""
    client = serve(models=(tiny, ZOO / "cifar10-mini"))
    read = LAYERS.validate_python(layers)
    found = predict(client, {"layers": [RELU]}, {"layers": layers}, epochs=[1, 2], task="tiny")["predictions"]
    np.testing.assert_allclose(found[1]["accuracy"], curve(read, [1, 2], tiny), atol=1e-5)
    (alone,) = predict(client, {"layers": layers}, task="cifar10-mini")["predictions"]
    _, crowd, _ = predict(client, *({"layers": one} for one in ([RELU], layers, [RELU] * 9)), task="cifar10-mini")[
        "predictions"
    ]
    np.testing.assert_allclose(alone["accuracy"], crowd["accuracy"], atol=1e-5)
    assert all(0 <= value <= 1 for value in alone["accuracy"])


def test_a_fault_of_a_graph_is_pointed_at(client: TestClient) -> None:
    """In the network that has it, at the field to change; no name is repeated."""
    networks = [{"layers": RESIDUAL}, {"layers": [CONV | {"name": "secret"}, {"type": "add", "inputs": ["secret"]}]}]
    body = {"architectures": [*networks, {"layers": [CONV, CONV | {"groups": 3}]}]}
    document = problem(client.post("/predict", json=body), 422)
    assert document["errors"] == [
        {
            "pointer": "/architectures/1/layers/1/inputs",
            "code": "impossible",
            "detail": "add merges two or more layers, this is one",
        },
        {
            "pointer": "/architectures/2/layers/1/groups",
            "code": "impossible",
            "detail": "must divide the 16 input channels",
        },
    ]
    assert "secret" not in json.dumps(document)


def test_limits_of_a_network(client: TestClient) -> None:
    """2,048 layers; a layer that reads a thousand others is no fault."""
    document = problem(client.post("/predict", json={"architectures": [{"layers": [RELU] * 5000}]}), 422)
    assert (document["errors"][0]["pointer"], document["errors"][0]["code"]) == ("/architectures/0/layers", "too-long")
    many = [RELU | {"name": f"n{index}", "inputs": ["input"]} for index in range(1000)]
    predict(client, {"layers": [*many, {"type": "add", "inputs": [layer["name"] for layer in many]}]})


@pytest.mark.parametrize(
    ("layer", "where", "says"),
    [
        ({"type": "conv", "kernel_size": 3, "out_channels": 8}, "type", "conv cannot read a flat vector"),
        ({"type": "max_pool", "kernel_size": 2}, "type", "max_pool cannot read a flat vector"),
        ({"type": "global_avg_pool"}, "type", "global_avg_pool cannot read a flat vector"),
    ],
)
def test_a_spatial_layer_behind_linear_is_rejected(
    client: TestClient, layer: dict[str, Any], where: str, says: str
) -> None:
    """The output of a linear layer is flat; that of global_avg_pool is a map of one position."""
    layers = [CONV, {"type": "linear", "out_features": 8}, RELU, layer]
    (fault,) = problem(client.post("/predict", json={"architectures": [{"layers": layers}]}), 422)["errors"]
    assert fault["pointer"] == f"/architectures/0/layers/3/{where}"
    assert says in fault["detail"]
    predict(client, {"layers": [CONV, {"type": "global_avg_pool"}, layer]})


def test_every_loaded_task_is_served_by_name(serve: Serve, tiny: Path, tiny_paper: Path) -> None:
    """With two predictors `task` chooses; without it the error lists them."""
    client = serve(models=(tiny, tiny_paper))
    for task in ("tiny", "tiny-paper"):
        assert predict(client, {"layers": [CONV]}, task=task)["model"]["task"] == task
    document = problem(client.post("/predict", json={"architectures": [{"layers": [CONV]}]}), 422)
    assert document["detail"] == "several predictors are loaded; name one of: tiny, tiny-paper"
    assert document["errors"][0]["pointer"] == "/task"
    body = {"task": "tiny-paper", "architectures": [{"layers": [{"type": "dropout"}]}]}
    (fault,) = problem(client.post("/predict", json=body), 422)["errors"]
    assert "the paper's code does not know dropout; it knows conv, max_pool" in fault["detail"]


def test_headers_say_which_request_and_where_the_time_went(client: TestClient) -> None:
    """A client's request id comes back, an unsafe one is replaced; Server-Timing names the stages."""
    body = {"architectures": [{"layers": [CONV]}]}
    response = client.post("/predict", json=body, headers={"X-Request-ID": "run-7.3"})
    assert response.headers["x-request-id"] == "run-7.3" == response.json()["request_id"]
    stages = [part.split(";")[0].strip() for part in response.headers["server-timing"].split(",")]
    assert stages == ["validate", "queue", "infer", "encode"]
    for unsafe in ('evil" id', "x" * 129, "a b", ""):
        replaced = client.post("/predict", json=body, headers={"X-Request-ID": unsafe})
        assert replaced.headers["x-request-id"] != unsafe
        assert len(replaced.headers["x-request-id"]) == 16


def test_large_requests_are_read_in_a_thread_and_answered_alike(client: TestClient) -> None:
    """A body above the inline size gives the same curves as its networks sent alone."""
    networks = [network(n % 7, n) for n in range(2000)]
    together = predict(client, *networks)["predictions"]
    assert [prediction["id"] for prediction in together] == [one["id"] for one in networks]
    for n in (0, 1000, 1999):
        assert predict(client, networks[n])["predictions"][0]["accuracy"] == together[n]["accuracy"]


def test_a_byte_order_mark_is_accepted(client: TestClient) -> None:
    """Editors on Windows write one."""
    content = b'\xef\xbb\xbf{"architectures":[{"layers":[{"type":"relu"}]}]}'
    response = client.post("/predict", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("fields", "meant"),
    [
        ('"id":5,"id":"x"', {"id": "x"}),
        ('"in_channels":"3","in_channels":3', {"in_channels": 3}),
        ('"observed":[2],"observed":null', {}),
        ('"layers":5,"layers":[{"type":"tanh"}]', {"layers": [{"type": "tanh"}]}),
        ('"layers":[{"type":"relu","type":"tanh"}]', {"layers": [{"type": "tanh"}]}),
    ],
)
def test_of_a_name_given_twice_the_last_counts(client: TestClient, fields: str, meant: dict[str, Any]) -> None:
    """As with most parsers of JSON, whatever the first held."""
    body = f'{{"architectures":[],"architectures":[{{"layers":[{{"type":"sigmoid"}}],{fields}}}]}}'
    response = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 200, response.text
    assert response.json()["predictions"] == predict(client, {"layers": [{"type": "sigmoid"}]} | meant)["predictions"]


def test_of_a_name_given_twice_the_last_is_the_fault(client: TestClient) -> None:
    body = '{"architectures":[{"layers":[{"type":"relu"}],"id":"x","id":5}]}'
    response = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert problem(response, 422)["detail"] == "/architectures/0/id: must be a string"


def test_networks_are_counted(client: TestClient) -> None:
    """Repeats too; those outside the training distribution in a counter of their own."""
    names = ("predictor_architectures_total", "predictor_unfamiliar_inputs_total")
    before = [metric(client, "predictor_input_layers_count"), metric(client, "predictor_input_layers_sum")]
    predict(client, {"layers": [RELU] * 41}, {"layers": [RELU] * 41}, {"layers": [RELU] * 2})
    assert [metric(client, f'{name}{{task="tiny"}}') for name in names] == [3, 2]
    after = [metric(client, "predictor_input_layers_count"), metric(client, "predictor_input_layers_sum")]
    assert [new - old for new, old in zip(after, before, strict=True)] == [3, 84]
